/**
 * The page: asks the collector for what the address wants, and shows it. Every change goes through the state; nothing here
 * is changed by hand.
 */

import { address, ask } from "./api.js";
import { grouped } from "./amount.js";
import { Comparison } from "./comparison.js";
import { byId, copy, html, toast, waiting } from "./dom.js";
import { Downloads } from "./downloads.js";
import { openHelp } from "./help.js";
import { listenToKeys } from "./keys.js";
import { Loading, colourOf, phaseName, readTheme, turnTheme } from "./look.js";
import { Profiles } from "./profiles.js";
import { isCpu, Pickers, typeOf } from "./pickers.js";
import { format, isService, serviceOf } from "./selector.js";
import { failed, noneHere, noneYet } from "./states.js";
import { part, partText, State } from "./state.js";
import { duration, isRelative, resolve, span, stepFor } from "./time.js";
import { Timeline } from "./timeline.js";
import { Work } from "./work.js";

/** As many nodes as a page can be asked to draw; what is smaller comes as `(other)`. */
const MAX_NODES = 1_000_000;
const LEAST_STEP_SECONDS = 15;
/** How often a page without any profile looks again. */
const LOOK_AGAIN_SECONDS = 5;
/** A change of these needs another profile; other changes need it in another shape, or nothing of it. */
const ASKED_BY = new Set(["query", "from", "until", "select", "base", "base_query"]);

class Page {
  constructor() {
    this.state = new State();
    this.profiles = new Profiles();
    this.theme = readTheme();
    this.timeline = new Timeline(byId("plot"));
    this.pickers = new Pickers(this.state);
    this.downloads = new Downloads();
    this.work = new Work(this.state, this.theme);
    this.comparison = new Comparison(this.state, this.timeline, () => this.window);
    this.loading = new Loading();
    this.isNarrow = matchMedia("(max-width: 760px)");
    this.window = [0, 0];
    this.#listen();
    this.#showState();
    this.refresh();
  }

  /** Whether all that was asked for is shown. */
  get isSettled() {
    return !this.loading.isBusy && waiting.size === 0;
  }

  /** The selector, taken apart; an empty one if it is none. */
  get selector() {
    return this.pickers.selector;
  }

  /** Asks for everything anew. */
  async refresh() {
    const run = (this.run = {});
    this.stop?.abort();
    this.stop = new AbortController();
    clearTimeout(this.again);
    const { state } = this;
    const [from, until] = (this.window = [resolve(state.from), resolve(state.until)]);
    if (!(until > from)) return this.#stand(failed(new Error(`not a range of time: ${state.from} to ${state.until}`), () => this.refresh()));
    await this.loading.during(async () => {
      try {
        const { signal } = this.stop;
        const { services } = await ask(address("services", { from, until }), signal);
        if (run !== this.run) return;
        this.pickers.offer(services);
        if (!state.query) {
          const first = services.find(({ types }) => types.some(isCpu)) ?? services[0];
          if (!first) return await this.#nothing(run);
          const query = format({ type: typeOf(first.types), matchers: [{ label: "service", operator: "=", value: first.name }] });
          state.set({ query }, { replace: true, silent: true });
        }
        this.#showState();
        await Promise.all([this.#loadLabels(signal), this.#loadTimeline(signal, run), this.#loadProfile()]);
      } catch (error) {
        if (error.name !== "AbortError" && run === this.run) this.#stand(failed(error, () => this.refresh()));
      }
    });
    this.#lookAgain(run);
  }

  #lookAgain(run) {
    if (run !== this.run) return;
    const every = Number(byId("every").value) || (this.isEmpty ? LOOK_AGAIN_SECONDS : 0);
    if (every && isRelative(this.state.until)) this.again = setTimeout(() => this.refresh(), every * 1000);
  }

  async #loadLabels(signal) {
    const [from, until] = this.window;
    const { labels } = await ask(address("labels", { query: this.state.query, from, until }), signal);
    this.pickers.offerLabels(labels);
  }

  async #loadTimeline(signal, run) {
    const [from, until] = this.window;
    const { query } = this.state;
    const most = Math.min(Math.max(byId("plot").clientWidth / 5, 60), 240);
    // Profiles are seldom sent more often: a finer step would show the pauses between them.
    const step = Math.max(stepFor(until - from, most), until - from >= 600 ? LEAST_STEP_SECONDS : 1);
    const question = { query, from, until, step };
    const [cpu, lag] = await Promise.all([
      ask(address("series", { ...question, by: "phase" }), signal),
      this.hasNoLag ? null : ask(address("lag", question), signal).catch((error) => {
        if (error.name === "AbortError") throw error;
        // A collector without metrics has no lag; any other failure must not take the profile with it.
        this.hasNoLag = error.status === 404;
        return null;
      }),
    ]);
    if (run !== this.run) return;
    const { theme } = this;
    const order = Object.keys(theme.phases);
    const rank = ({ labels }) => (order.indexOf(labels.phase) + order.length + 1) % (order.length + 1);
    cpu.series.sort((a, b) => rank(a) - rank(b));
    this.timeline.theme = theme;
    const hasPhases = cpu.series.some(({ labels }) => labels.phase);
    const nameOf = (labels) => phaseName(labels, hasPhases);
    this.timeline.show({ from, until, cpu, lag: lag?.series.length ? lag : null, colourOf: (labels) => colourOf(labels, theme), nameOf });
    byId("legend").replaceChildren(...cpu.series.map(({ labels }) => {
      const swatch = html("i", { class: "swatch" });
      swatch.style.background = colourOf(labels, theme);
      const filter = labels.phase && (() => this.pickers.filters.toggleOnly("phase", labels.phase));
      return filter ? html("button", { type: "button", title: "Only this phase, or all again", click: filter }, swatch, nameOf(labels))
        : html("span", {}, swatch, nameOf(labels));
    }));
  }

  /** Asks for the profile of what is selected, and shows it. */
  async #loadProfile() {
    const { state } = this;
    const [selected, base] = [part(state.select) ?? this.window, part(state.base) ?? this.window];
    const question = { query: state.query, from: selected[0], until: selected[1], max_nodes: MAX_NODES };
    const by = isLabel(state.group) ? state.group : undefined;
    const baseQuestion = { base_query: state.base_query || state.query, base_from: base[0], base_until: base[1] };
    const url = state.base ? address("diff", { ...question, ...baseQuestion, by }) : address("flamegraph", { ...question, by });
    const fetched = await this.profiles.fetch(url);
    this.fetched = { ...fetched, selected };
    this.#warn(fetched.warnings);
    this.#offerDownloads({ ...question, by }, state.base && { ...baseQuestion });
    if (!fetched.total && !fetched.base_total) return this.#nothing(this.run);
    await this.#shape();
  }

  async #shape() {
    const { state, fetched } = this;
    if (!fetched) return;
    const { generation, functions, layout, isAround } = await this.profiles.shape({ group: state.group, shape: state.shape, focus: state.focus });
    if (generation !== fetched.generation) return;
    const nodes = layout.parent.length - 1;
    const caption = `${span(...fetched.selected)} (${duration(fetched.selected[1] - fetched.selected[0])}) · ${grouped(functions.name.length)} functions in ${grouped(nodes)} frames`;
    this.#stand(null);
    const { query, select, base, base_query, group, shape, focus } = state;
    const shown = JSON.stringify([query, select, base, base_query, group, shape, focus]);
    this.work.show({ ...fetched, functions, layout, isAround, caption }, { isSame: shown === this.shown });
    this.shown = shown;
  }

  /** Tells what the collector could not read. */
  #warn(warnings) {
    byId("warning").hidden = !warnings?.length;
    byId("warning").textContent = `Not all of it could be read: ${warnings?.join("; ")}`;
  }

  /** There is nothing to show: because of the time, because of the selector, or at all. */
  async #nothing(run) {
    const { services } = await ask(address("services", { from: 0, until: "now" }), this.stop.signal);
    if (run !== this.run) return;
    if (!services.length) return this.#stand(noneYet(), { isEmpty: true });
    const { state, selector } = this;
    const name = serviceOf(selector);
    const known = services.filter((service) => !name || service.name === name);
    const last = Math.max(...known.map(({ until }) => until));
    const hasFilters = selector.matchers.some(({ label }) => !isService(label));
    const length = this.window[1] - this.window[0];
    this.pickers.offer(services);
    this.#stand(noneHere({
      last: known.length ? last : null,
      show: () => state.set({ from: String(Math.round(last - length / 2)), until: String(Math.round(last + length / 2)), select: "", base: "" }),
      clear: hasFilters && (() => state.set({ query: format({ ...selector, matchers: selector.matchers.filter(({ label }) => isService(label)) }) })),
    }), { isEmpty: isRelative(state.until) });
  }

  /** Shows a notice in place of the profile, or the profile again. */
  #stand(content, { isEmpty = false } = {}) {
    this.isEmpty = isEmpty;
    byId("state").hidden = !content;
    byId("work").hidden = !!content;
    if (content) byId("state").replaceChildren(html("div", {}, ...content));
    document.body.classList.toggle("none-yet", !!content && !this.pickers.services.length);
  }

  #offerDownloads(question, base) {
    const name = (serviceOf(this.selector) ?? "profile").replace(/[^\w.-]+/g, "_");
    const of = (title, { max_nodes: _, ...rest }, suffix, path = "flamegraph") => ({
      title, name: `${name}${suffix}-${new Date(rest.from * 1000).toISOString().slice(0, 19).replace(/[-:]/g, "")}`,
      address: (kind) => address(path, { ...rest, format: kind, ...(kind === "json" && { max_nodes: MAX_NODES }) }),
    });
    if (!base) return this.downloads.offer([of("This selection", question, "")]);
    const { base_query: query, base_from: from, base_until: until } = base;
    this.downloads.offer([
      of("Comparison", { ...question, ...base }, "-diff", "diff"), of("Compared", question, ""),
      of("Base", { query, from, until, by: question.by }, "-base"),
    ]);
  }

  /** Brings every control to what the state says. */
  #showState() {
    const { state, selector } = this;
    this.pickers.show();
    const narrowed = part(state.select);
    this.timeline.setRanges({ select: narrowed, base: part(state.base) }, !!state.base);
    byId("selected").textContent = narrowed && !state.base ? `${span(...narrowed)} (${duration(narrowed[1] - narrowed[0])})` : "";
    byId("closer").hidden = !narrowed;
    byId("unselect").hidden = !narrowed || !!state.base;
    this.comparison.show(this.theme.dark);
    // Where there is no room for both, the graph comes first.
    const view = state.view === "both" && this.isNarrow.matches ? "graph" : state.view;
    for (const [name, value] of [["view", view], ["shape", state.shape]]) {
      const input = document.querySelector(`input[name=${name}][value="${value}"]`);
      if (input) input.checked = true;
    }
    byId("panes").dataset.view = state.view;
    byId("colour").value = state.colour;
    const service = serviceOf(selector);
    document.title = `${service ? `${service} · ` : ""}Loopscope`;
  }

  #changed(changed) {
    const { state, work } = this;
    this.#showState();
    const has = (...keys) => keys.some((key) => changed.has(key));
    const regrouped = changed.has("group") && (isLabel(state.group) || isLabel(this.lastGroup ?? "phase"));
    this.lastGroup = state.group;
    if (has("query", "from", "until")) this.refresh();
    else if ([...changed].some((key) => ASKED_BY.has(key)) || regrouped) this.#attempt(() => this.#loadProfile());
    else if (has("shape", "focus", "group")) this.#attempt(() => this.#shape());
    else {
      if (changed.has("search")) work.find(state.search);
      if (changed.has("colour")) work.paint();
      if (changed.has("root")) work.graph.turn(state.root === "bottom");
      if (changed.has("sort")) work.table.sort(state.sort);
      if (changed.has("zoom")) work.zoomToState();
    }
  }

  /** Does something that takes time; tells if it fails. */
  #attempt(call) {
    return this.loading.during(() => call().catch((error) => {
      if (error.name !== "AbortError") this.#stand(failed(error, () => this.refresh()));
    }));
  }

  #listen() {
    const { state, timeline } = this;
    const on = (id, name, call) => byId(id).addEventListener(name, call);
    state.addEventListener("change", ({ detail }) => this.#changed(detail));
    timeline.addEventListener("select", ({ detail: { which, range } }) => state.set({ [which]: range ? partText(range) : "" }));
    timeline.addEventListener("range", ({ detail }) => this.#closer(detail));
    this.pickers.addEventListener("again", () => this.refresh());
    on("reload", "click", () => this.refresh());
    on("every", "change", () => this.refresh());
    on("closer", "click", () => this.#closer({ from: part(state.select)[0], until: part(state.select)[1] }));
    on("unselect", "click", () => state.set({ select: "" }));
    on("views", "change", (event) => state.set({ view: event.target.value }, { replace: true }));
    on("shapes", "change", (event) => state.set({ shape: event.target.value, focus: "", zoom: "" }));
    on("colour", "change", (event) => state.set({ colour: event.target.value }, { replace: true }));
    on("flip", "click", () => this.flip());
    on("share", "click", () => this.#share());
    on("help", "click", openHelp);
    on("theme", "click", () => this.#setTheme(turnTheme()));
    this.isNarrow.addEventListener("change", () => this.#showState());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#setTheme());
    listenToKeys(this);
  }

  #closer({ from, until }) {
    this.state.set({ from: String(from), until: String(until), select: "", base: "" });
  }

  /** Puts the root above or below. */
  flip() {
    this.state.set({ root: this.state.root === "top" ? "bottom" : "top" }, { replace: true });
  }

  #share() {
    // Whoever follows the link is to see this time, not theirs.
    const [from, until] = this.window.map((time) => String(Math.round(time)));
    const link = new URL(this.state.address({ from, until }), location.href).href;
    copy(link).then(() => toast("Copied the link to this view"), (error) => toast(error.message));
  }

  #setTheme() {
    this.theme = readTheme();
    this.timeline.theme = this.theme;
    this.timeline.colourOf = (labels) => colourOf(labels, this.theme);
    this.timeline.draw();
    this.work.setTheme(this.theme);
    this.comparison.show(this.theme.dark);
  }

}

/** Whether stacks are grouped by a label, and not by what they hold themselves. */
function isLabel(group) {
  return group !== "phase" && group !== "none";
}

/** For the console of the browser. */
globalThis.loopscope = new Page();

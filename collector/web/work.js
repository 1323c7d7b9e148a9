/** The flamegraph and the table beside it, with what is said of them and done with them. */

import { amount, grouped, share } from "./amount.js";
import { Colours } from "./colours.js";
import { byId, copy, html, icon, settled, toast } from "./dom.js";
import { fit } from "./fit.js";
import { FlameGraph } from "./flamegraph.js";
import { openAt, steerMenu } from "./popup.js";
import { findNames, weigh } from "./search.js";
import { FunctionTable } from "./table.js";
import { describe, nameOf, stackText } from "./words.js";

/** Of a longer path the first and the last are told. */
const MOST_CRUMBS = 24;

export class Work {
  /** @param state What the page shows. @param theme Colours by name, and whether it is dark. */
  constructor(state, theme) {
    this.state = state;
    this.graph = new FlameGraph(byId("graph"));
    this.table = new FunctionTable(byId("table"));
    this.tip = document.body.appendChild(html("div", { class: "tip frame-tip", hidden: true }));
    this.menu = byId("frame-menu");
    this.field = byId("search");
    this.profile = null;
    this.setTheme(theme);
    steerMenu(this.menu);
    this.#listen();
  }

  setTheme(theme) {
    this.theme = theme;
    this.graph.theme = theme;
    if (this.profile) this.paint();
  }

  /**
   * Shows `{ unit, names, total, base_total, functions, layout, caption }`. If `isSame`, that is what was shown before, with
   * what has come since: the reader's place is kept.
   */
  show(profile, { isSame = false } = {}) {
    const { scrollTop } = this.graph.scroller;
    const chosen = this.profile && this.chosen >= 0 ? this.profile.names[this.chosen] : null;
    const cursor = this.graph.marked.cursor >= 0 ? this.profile.layout.hash[this.graph.marked.cursor] : null;
    this.profile = profile;
    this.chosen = -1;
    this.graph.highlighted = -1;
    this.graph.rootBelow = this.state.root === "bottom";
    this.#makeColours();
    this.graph.show(profile, this.colours);
    this.table.sorted = { key: this.state.sort.replace(/^-/, ""), reverse: this.state.sort.startsWith("-") };
    this.table.show(profile, (name) => this.colours.ofName(name));
    this.find(this.state.search);
    this.zoomToState(false);
    if (!isSame) return;
    if (chosen !== null && profile.names.includes(chosen)) this.choose(profile.names.indexOf(chosen));
    this.graph.scroller.scrollTop = scrollTop;
    if (cursor !== null) this.graph.mark("cursor", profile.layout.hash.indexOf(cursor));
  }

  /** Paints in the colours that the state and the theme want. */
  paint() {
    if (!this.profile) return;
    this.#makeColours();
    this.graph.paint(this.colours);
    this.table.show(this.profile, (name) => this.colours.ofName(name));
  }

  #makeColours() {
    this.colours = new Colours(this.profile, this.state.colour, this.theme.dark);
  }

  /** Zooms to what the state says, by the hash of a path; to all if there is no such path. */
  zoomToState(animated = true) {
    if (!this.profile) return;
    const hash = this.state.zoom ? parseInt(this.state.zoom, 36) | 0 : 0;
    const node = hash ? this.profile.layout.hash.indexOf(hash) : 0;
    this.graph.zoom(Math.max(node, 0), animated);
    this.#afterZoom();
  }

  /** Searches, and marks and filters what is found. */
  find(pattern) {
    if (this.field.value !== pattern) this.field.value = pattern;
    if (!this.profile) return;
    try {
      this.found = findNames(this.profile.names, pattern);
      this.field.setAttribute("aria-invalid", "false");
    } catch {
      this.found = null;
      this.field.setAttribute("aria-invalid", "true");
    }
    this.graph.setFound(this.found);
    this.table.setFound(this.found);
    this.#tellFound();
  }

  /** Makes a function stand out in both; again, or with -1, ends that. */
  choose(name) {
    this.chosen = this.chosen === name ? -1 : name;
    this.graph.highlight(this.chosen);
    this.table.choose(this.chosen);
  }

  /** Leaves what was entered last: the mark, the search, the zoom, the view around a function. Whether there was any. */
  leave() {
    if (this.chosen >= 0) this.choose(-1);
    else if (this.state.search) this.state.set({ search: "" });
    else if (this.graph.view && !this.graph.view.isWhole) this.#reset();
    else if (this.state.focus) this.state.set({ focus: "" });
    else return false;
    return true;
  }

  #reset() {
    if (this.state.zoom) this.state.set({ zoom: "" });
    else this.zoomToState();
  }

  #listen() {
    const { graph, table, state } = this;
    graph.addEventListener("zoom", ({ detail: { node } }) => this.#zoom(node));
    graph.addEventListener("point", () => this.#describe());
    graph.addEventListener("menu", ({ detail }) => this.#openMenu(detail));
    const remember = settled(300, () => state.set({ zoom: this.#hashOf(graph.view.zoomed) }, { replace: true, silent: true }));
    graph.addEventListener("moved", () => {
      this.#afterZoom();
      remember();
    });
    graph.scroller.addEventListener("pointermove", () => this.#placeTip());
    graph.scroller.addEventListener("scroll", () => { this.tip.hidden = true; });
    graph.scroller.addEventListener("copy", (event) => {
      const node = [graph.marked.cursor, graph.view?.zoomed].find((node) => node >= 0);
      if (node === undefined || getSelection().toString()) return;
      event.clipboardData.setData("text/plain", nameOf(this.profile, node));
      event.preventDefault();
      toast("Copied the function's name");
    });
    table.addEventListener("choose", ({ detail: { name } }) => this.choose(name));
    table.addEventListener("focus", ({ detail: { name } }) => state.set({ focus: this.profile.names[name], zoom: "" }));
    table.addEventListener("sort", ({ detail: { key } }) => state.set({ sort: key }, { replace: true }));
    table.addEventListener("read", ({ detail: { text } }) => { byId("live").textContent = text; });
    const search = settled(120, () => state.set({ search: this.field.value }, { replace: true }));
    this.field.addEventListener("input", search);
    this.field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") state.set({ search: this.field.value }, { replace: true });
    });
  }

  #hashOf(node) {
    return node > 0 ? (this.profile.layout.hash[node] >>> 0).toString(36) : "";
  }

  #zoom(node) {
    const zoom = this.#hashOf(node);
    if (zoom === this.state.zoom) this.zoomToState();
    else this.state.set({ zoom });
  }

  #afterZoom() {
    const { profile, graph, state } = this;
    const { zoomed, isWhole } = graph.view;
    const steps = [];
    for (let node = zoomed; node > 0; node = profile.layout.parent[node]) steps.unshift(node);
    const name = (node) => nameOf(profile, node);
    const crumb = (node, text = name(node)) => html("button", { type: "button", title: text, "aria-current": node === zoomed && "true", click: () => this.#zoom(node) }, fit(text, 32) || text);
    const path = byId("path");
    const around = state.focus && html("span", { class: "around" }, icon("around"), profile.isAround ? "callers and callees of " : "not in this profile: ",
      html("b", {}, fit(state.focus, 48) || state.focus), html("button", { type: "button", class: "small", title: "All stacks (Esc)", click: () => state.set({ focus: "", zoom: "" }) }, icon("close"), "All stacks"));
    const shown = steps.length > MOST_CRUMBS ? [steps[0], null, ...steps.slice(1 - MOST_CRUMBS)] : steps;
    const left = html("span", { class: "left-out" }, `${steps.length - MOST_CRUMBS} more`);
    path.replaceChildren(...[around, crumb(0), ...shown.map((node) => (node === null ? left : crumb(node))),
      !isWhole && html("button", { type: "button", class: "small reset", title: "Show all (Esc)", click: () => this.#reset() }, "Reset zoom")].filter(Boolean));
    path.scrollLeft = path.scrollWidth;
    this.#describe();
    this.#tellFound();
  }

  #tellFound() {
    const out = byId("found");
    if (this.field.getAttribute("aria-invalid") === "true") out.textContent = "not a regular expression";
    else if (!this.found || !this.profile) out.textContent = "";
    else {
      const { profile, graph } = this;
      const all = weigh(profile.layout, this.found);
      const parts = [`${share(all.total, profile.layout.total[0])} matched`, amount(all.total, profile.unit)];
      if (profile.layout.isDiff) parts[0] += ` (base ${share(all.base_total, profile.layout.base_total[0])})`;
      const { zoomed } = graph.view;
      if (zoomed > 0 && profile.layout.level[zoomed] > 0) {
        parts.push(`${share(weigh(profile.layout, this.found, zoomed).total, profile.layout.total[zoomed])} of the zoomed`);
      }
      parts.push(`${grouped(this.table.length)} function${this.table.length === 1 ? "" : "s"}`);
      out.textContent = parts.join(" · ");
    }
  }

  /** Below the graph: the frame under the keyboard, else what is zoomed to. In the tooltip: the frame under the pointer. */
  #describe() {
    const { profile, graph, tip } = this;
    if (!profile || !graph.view) return;
    const { hover, cursor } = graph.marked;
    const { zoomed } = graph.view;
    const told = cursor >= 0 ? cursor : zoomed;
    if (told !== this.told || profile !== this.toldOf) {
      const caption = told === 0 && !this.state.focus ? [html("p", { class: "caption" }, profile.caption)] : [];
      byId("details").replaceChildren(...describe(profile, told, zoomed), ...caption);
      [this.told, this.toldOf] = [told, profile];
    }
    tip.hidden = hover < 0;
    if (hover < 0) return;
    tip.replaceChildren(...describe(profile, hover, zoomed));
    this.#placeTip();
  }

  #placeTip() {
    const { tip, graph } = this;
    if (tip.hidden || !graph.pointer) return;
    const { x, y } = graph.pointer;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(Math.min(x + 14, innerWidth - width - 8), 8)}px`;
    tip.style.top = `${y + 18 + height < innerHeight ? y + 18 : y - height - 12}px`;
  }

  #openMenu({ node, x, y }) {
    const { profile, menu, state, graph } = this;
    const name = nameOf(profile, node);
    const entry = (text, call) => html("button", { type: "button", role: "menuitem", click: () => {
      menu.hidePopover();
      call();
    } }, text);
    const put = (text, what) => copy(text).then(() => toast(`Copied ${what}`), (error) => toast(error.message));
    const literal = `^${name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")}$`;
    menu.replaceChildren(html("p", { class: "function" }, name), ...[
      entry("Zoom to this frame", () => this.#zoom(node)),
      node > 0 && entry("Callers and callees of this function", () => state.set({ focus: name, zoom: "" })),
      node > 0 && entry("Mark this function everywhere", () => this.choose(profile.layout.name[node])),
      node > 0 && entry("Search for it", () => state.set({ search: literal })),
      entry("Copy the name", () => put(name, "the name")),
      node > 0 && entry("Copy the stack", () => put(stackText(profile, node), "the stack")),
    ].filter(Boolean));
    this.tip.hidden = true;
    graph.scroller.focus({ preventScroll: true });
    openAt(menu, x, y);
  }
}

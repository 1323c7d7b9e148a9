/**
 * The profile over time, stacked by phase, with a lane of the loop's lag above it where there is one. A part of the time
 * is chosen by dragging, or with the keyboard by the two handles that stand at its ends; while profiles are compared,
 * another one for the base.
 *
 * Tells by events: `select` (`{ which, range }`), `range` (`{ from, until }`, to look closer).
 */

import { amount, rate, seconds } from "./amount.js";
import { html } from "./dom.js";
import { drawLag, drawStacks, AXIS, HEIGHTS } from "./lanes.js";
import { clock, dateTime, duration, span } from "./time.js";

const LEAST_DRAG = 4;
const KINDS = { select: "Selection", base: "Base" };
/** What a part is called in it, while two are compared. */
const TITLES = { select: "Compared", base: "Base" };

export class Timeline extends EventTarget {
  /** @param {HTMLElement} plot The element to draw into. */
  constructor(plot) {
    super();
    this.plot = plot;
    this.canvas = html("canvas", { "aria-hidden": "true" });
    this.parts = {};
    this.ranges = { select: null, base: null };
    this.comparing = false;
    /** Which part a drag chooses. */
    this.active = "select";
    this.pointerLine = html("div", { class: "pointer-line", hidden: true });
    this.tip = html("div", { class: "tip", hidden: true });
    plot.replaceChildren(this.canvas, this.pointerLine);
    for (const which of ["base", "select"]) this.#makePart(which);
    document.body.append(this.tip);
    new ResizeObserver(() => this.draw()).observe(plot);
    plot.addEventListener("pointerdown", (event) => this.#down(event));
    plot.addEventListener("pointermove", (event) => this.#point(event));
    // A finger leaves when it is lifted, and what it asked for is to stay readable.
    plot.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && this.#tellNothing());
    document.addEventListener("pointerdown", (event) => plot.contains(event.target) || this.#tellNothing());
    document.addEventListener("scroll", () => this.#tellNothing(), { capture: true, passive: true });
    plot.addEventListener("dblclick", () => this.#closer());
  }

  /** `from` and `until` in UNIX seconds; `cpu` as the collector's `series`, `lag` as its `lag`, or null. */
  show({ from, until, cpu, lag, colourOf, nameOf }) {
    Object.assign(this, { from, until, cpu, lag, colourOf, nameOf });
    this.draw();
  }

  setRanges(ranges, comparing) {
    this.ranges = ranges;
    this.comparing = comparing;
    this.#placeParts();
  }

  draw() {
    const { plot, canvas } = this;
    this.width = plot.clientWidth;
    if (!this.width || this.from === undefined) return;
    const ratio = devicePixelRatio || 1;
    const height = (this.lag ? HEIGHTS.lag : 0) + HEIGHTS.cpu + AXIS;
    plot.style.height = canvas.style.height = `${height}px`;
    canvas.style.width = `${this.width}px`;
    canvas.width = Math.round(this.width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    const x = (time) => this.#x(time);
    let top = 0;
    if (this.lag) {
      drawLag(pen, { ...this, x, top });
      top = HEIGHTS.lag;
    }
    drawStacks(pen, { ...this, x, top });
    this.#placeParts();
    plot.setAttribute("aria-label", this.#summary());
  }

  #x(time) {
    return ((time - this.from) / (this.until - this.from)) * this.width;
  }

  #timeAt(clientX) {
    const { left } = this.plot.getBoundingClientRect();
    const part = Math.min(Math.max((clientX - left) / this.width, 0), 1);
    return this.from + part * (this.until - this.from);
  }

  #makePart(which) {
    const area = html("div", { class: `part ${which}`, hidden: true }, html("span", {}, TITLES[which]));
    const handles = ["from", "until"].map((end) => {
      const handle = html("div", {
        class: `handle ${which} ${end}`, hidden: true, role: "slider", tabindex: "0", "aria-orientation": "horizontal",
        "aria-label": `${KINDS[which]} ${end === "from" ? "begins" : "ends"}`,
        keydown: (event) => this.#key(event, which, end),
        pointerdown: (event) => this.#dragHandle(event, which, end),
      });
      return handle;
    });
    this.parts[which] = { area, handles };
    this.plot.append(area, ...handles);
  }

  #placeParts() {
    if (this.from === undefined) return;
    for (const [which, { area, handles }] of Object.entries(this.parts)) {
      const range = this.ranges[which];
      const [begin, end] = range ?? [this.from, this.until];
      const [left, right] = [begin, end].map((time) => Math.min(Math.max(this.#x(time), 0), this.width));
      area.hidden = !range || (which === "base" && !this.comparing) || right <= left;
      area.style.left = `${left}px`;
      area.style.width = `${right - left}px`;
      handles.forEach((handle, at) => {
        handle.hidden = which === "base" && !this.comparing;
        handle.classList.toggle("resting", !range);
        handle.style.left = `${at ? right : left}px`;
        handle.setAttribute("aria-valuemin", Math.floor(this.from));
        handle.setAttribute("aria-valuemax", Math.ceil(this.until));
        handle.setAttribute("aria-valuenow", Math.round(at ? end : begin));
        handle.setAttribute("aria-valuetext", dateTime(at ? end : begin));
      });
    }
    this.plot.classList.toggle("narrowed", !!this.ranges.select || (this.comparing && !!this.ranges.base));
  }

  #tell(which, range) {
    this.ranges = { ...this.ranges, [which]: range };
    this.#placeParts();
    this.dispatchEvent(new CustomEvent("select", { detail: { which, range } }));
  }

  /** The nearest ends of steps around two times, in order; a range is never empty. */
  #snapped(a, b) {
    const step = Math.min(this.cpu?.step ?? 1, (this.until - this.from) / 10);
    const origin = this.cpu?.start ?? this.from;
    const snap = (time, round) => origin + round((time - origin) / step) * step;
    const from = Math.max(snap(Math.min(a, b), Math.floor), this.from);
    const until = Math.min(snap(Math.max(a, b), Math.ceil), this.until);
    return until > from ? [from, until] : [from, from + step];
  }

  #down(event) {
    if (event.button !== 0 || event.target.closest(".handle") || this.from === undefined) return;
    const which = this.comparing && (event.shiftKey ? "base" : this.active);
    const began = { x: event.clientX, time: this.#timeAt(event.clientX) };
    this.#drag(event, which || "select", {
      move: (x) => (Math.abs(x - began.x) < LEAST_DRAG ? undefined : this.#snapped(began.time, this.#timeAt(x))),
      still: () => {
        const range = this.ranges[which || "select"];
        const isOutside = range && (began.time < range[0] || began.time > range[1]);
        if (isOutside && !this.comparing) this.#tell("select", null);
        if (event.pointerType === "touch") this.#tellMoment(began.x);
      },
    });
  }

  #dragHandle(event, which, end) {
    event.target.focus();
    const other = (this.ranges[which] ?? [this.from, this.until])[end === "from" ? 1 : 0];
    this.#drag(event, which, { move: (x) => this.#snapped(this.#timeAt(x), other), still: () => {} });
  }

  /** Follows a pointer until it is let go. */
  #drag(event, which, { move, still }) {
    event.preventDefault();
    this.pointerLine.hidden = true;
    const before = this.ranges[which];
    let range;
    const follow = (event) => {
      range = move(event.clientX) ?? range;
      if (!range) return;
      this.ranges = { ...this.ranges, [which]: range };
      this.#placeParts();
      this.#showTip(event.clientX, html("b", {}, `${span(...range)} (${duration(range[1] - range[0])})`));
    };
    const end = (event) => {
      this.plot.removeEventListener("pointermove", follow);
      for (const name of ["pointerup", "pointercancel"]) this.plot.removeEventListener(name, end);
      this.#tellNothing();
      if (event.type === "pointercancel") {
        this.ranges = { ...this.ranges, [which]: before };
        this.#placeParts();
      } else if (range) this.#tell(which, range);
      else still();
    };
    this.plot.setPointerCapture(event.pointerId);
    this.plot.addEventListener("pointermove", follow);
    for (const name of ["pointerup", "pointercancel"]) this.plot.addEventListener(name, end);
  }

  #key(event, which, end) {
    const step = (this.cpu?.step ?? 1) * (event.shiftKey ? 10 : 1);
    const range = [...(this.ranges[which] ?? [this.from, this.until])];
    const at = end === "from" ? 0 : 1;
    const moves = { ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step, PageDown: -10 * step, PageUp: 10 * step };
    if (event.key in moves) range[at] += moves[event.key];
    else if (event.key === "Home") range[at] = at ? range[0] + step : this.from;
    else if (event.key === "End") range[at] = at ? this.until : range[1] - step;
    else if (event.key === "Escape" && this.ranges[which] && !this.comparing) return this.#keep(event, () => this.#tell(which, null));
    else if (event.key === "Enter") return this.#keep(event, () => this.#closer());
    else return;
    range[at] = Math.min(Math.max(range[at], this.from), this.until);
    this.#keep(event, () => range[1] > range[0] && this.#tell(which, range));
  }

  #keep(event, call) {
    event.preventDefault();
    event.stopPropagation();
    call();
  }

  #closer() {
    const range = this.ranges.select;
    if (range) this.dispatchEvent(new CustomEvent("range", { detail: { from: range[0], until: range[1] } }));
  }

  #point(event) {
    if (event.buttons === 0) this.#tellMoment(event.clientX);
  }

  #tellMoment(clientX) {
    if (!this.cpu) return;
    const at = Math.floor((this.#timeAt(clientX) - this.cpu.start) / this.cpu.step);
    const begin = this.cpu.start + at * this.cpu.step;
    this.pointerLine.hidden = false;
    this.pointerLine.style.left = `${clientX - this.plot.getBoundingClientRect().left}px`;
    this.#showTip(clientX, html("b", {}, span(begin, begin + this.cpu.step)), ...this.#linesAt(at));
  }

  #tellNothing() {
    this.tip.hidden = this.pointerLine.hidden = true;
  }

  #showTip(clientX, ...content) {
    this.tip.hidden = false;
    this.tip.replaceChildren(...content);
    const { width } = this.tip.getBoundingClientRect();
    this.tip.style.left = `${Math.max(Math.min(clientX + 14, innerWidth - width - 8), 8)}px`;
    this.tip.style.top = `${this.plot.getBoundingClientRect().bottom + 4}px`;
  }

  #linesAt(at) {
    const { cpu, lag } = this;
    const line = (colour, name, text) => {
      const swatch = html("i", { class: "swatch" });
      if (colour) swatch.style.background = colour;
      return html("div", {}, swatch, html("span", {}, name), html("span", { class: "number" }, text));
    };
    const lines = [];
    const known = cpu.series.filter(({ values }) => values[at] !== null && values[at] !== undefined);
    for (const one of known) {
      if (one.values[at]) lines.push(line(this.colourOf(one.labels), this.nameOf(one.labels), rate(one.values[at], cpu.unit, cpu.step)));
    }
    const sum = known.reduce((sum, { values }) => sum + values[at], 0);
    lines.push(known.length ? line(null, "all", `${rate(sum, cpu.unit, cpu.step)} · ${amount(sum, cpu.unit)}`) : line(null, "no profile", ""));
    const lagAt = lag && Math.floor((cpu.start + (at + 0.5) * cpu.step - lag.start) / lag.step);
    for (const one of lag?.series ?? []) {
      if (typeof one.p99[lagAt] !== "number") continue;
      lines.push(line(null, `lag ${Object.values(one.labels).join(" ")}`, `p50 ${seconds(one.p50[lagAt])} · p99 ${seconds(one.p99[lagAt])} · max ${seconds(one.max[lagAt])}`));
    }
    return lines;
  }

  #summary() {
    const values = this.cpu?.series.flatMap(({ values }) => values).filter((value) => value !== null) ?? [];
    const all = values.reduce((sum, value) => sum + value, 0);
    return `Timeline, ${duration(this.until - this.from)} from ${clock(this.from)}: ${values.length ? amount(all, this.cpu.unit) : "no profiles"}. The handles choose a part of it.`;
  }
}

/**
 * The flamegraph: what can be seen of a layout, drawn on a canvas as large as the window onto it. However many frames
 * there are, no more rectangles are drawn than there are pixels in the visible rows, and far fewer labels.
 *
 * Tells by events: `zoom` (a node was chosen), `point` (the pointer or the keyboard is at another node), `menu`.
 */

import { fit } from "./fit.js";
import { Gestures } from "./gestures.js";
import { html } from "./dom.js";
import { ROW_HEIGHT, View } from "./view.js";

const FRAME_HEIGHT = ROW_HEIGHT - 1;
const LABEL_PADDING = 3;
const FONT = '11px ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", Consolas, monospace';
const ZOOM_MS = 220;
/** How solid what was not searched for is, and what called the frame that is zoomed to. */
const FADED = 0.3;
const CALLER = 0.55;

export class FlameGraph extends EventTarget {
  #animation = 0;
  #frame = 0;

  /** @param {HTMLElement} scroller The element to draw into, and which scrolls. */
  constructor(scroller) {
    super();
    this.scroller = scroller;
    this.canvas = html("canvas", { "aria-hidden": "true" });
    this.marks = { hover: html("div", { class: "mark hover" }), cursor: html("div", { class: "mark cursor" }) };
    this.stage = html("div", { class: "stage" }, this.canvas, this.marks.hover, this.marks.cursor);
    this.space = html("div", { class: "space" }, this.stage);
    scroller.replaceChildren(this.space);
    this.pen = this.canvas.getContext("2d", { alpha: true });
    this.marked = { hover: -1, cursor: -1 };
    /** What was drawn: how often, and in the last drawing how many rectangles and labels. */
    this.drawn = { times: 0, rectangles: 0, labels: 0 };
    this.found = null;
    this.highlighted = -1;
    this.rootBelow = false;
    new ResizeObserver(() => this.resize()).observe(scroller);
    scroller.addEventListener("scroll", () => this.schedule());
    new Gestures(this);
  }

  /** Shows another profile: `{ names, layout }`, in these colours. */
  show(profile, colours) {
    cancelAnimationFrame(this.#animation);
    this.profile = profile;
    this.colours = colours;
    this.view = new View(profile.layout);
    this.view.rootBelow = this.rootBelow;
    this.mark("hover", -1);
    this.mark("cursor", -1);
    this.resize();
    if (this.rootBelow) this.scroller.scrollTop = this.scroller.scrollHeight;
    else this.reveal(0);
  }

  /** Draws in other colours. */
  paint(colours) {
    this.colours = colours;
    this.schedule();
  }

  /** Marks what a search found: by name, whether it is; null without a search. */
  setFound(found) {
    this.found = found;
    this.schedule();
  }

  /** Makes a function stand out, by its name's number; -1 for none. */
  highlight(name) {
    this.highlighted = name;
    this.schedule();
  }

  /** Puts callers above what they call, or below. */
  turn(rootBelow) {
    this.rootBelow = rootBelow;
    if (!this.view) return;
    this.view.rootBelow = rootBelow;
    this.scroller.scrollTop = rootBelow ? this.scroller.scrollHeight : 0;
    this.reveal(this.view.zoomed);
    this.schedule();
  }

  /** Shows a node in full width. */
  zoom(node, animated = true) {
    cancelAnimationFrame(this.#animation);
    const { view } = this;
    const from = { start: view.start, width: view.width };
    const to = view.rangeOf(node);
    view.zoomed = node;
    this.mark("hover", -1);
    const arrive = (part) => {
      Object.assign(view, part < 1 ? between(from, to, 1 - (1 - part) ** 3) : to);
      this.draw();
    };
    this.#fitHeight();
    this.reveal(node);
    if (this.marked.cursor >= 0 && !view.box(this.marked.cursor, 1)) this.mark("cursor", -1);
    if (!animated || matchMedia("(prefers-reduced-motion: reduce)").matches) return arrive(1);
    const began = performance.now();
    const step = () => {
      const part = Math.min((performance.now() - began) / ZOOM_MS, 1);
      arrive(part);
      if (part < 1) this.#animation = requestAnimationFrame(step);
    };
    step();
  }

  /** After the view was moved by hand. */
  moved() {
    cancelAnimationFrame(this.#animation);
    this.#fitHeight();
    this.schedule();
  }

  /** The node at a point of the window, or -1. */
  nodeAt(clientX, clientY) {
    if (!this.view) return -1;
    const box = this.canvas.getBoundingClientRect();
    return this.view.nodeAt(clientX - box.left, clientY - box.top + this.scroller.scrollTop, this.width);
  }

  /** Where a node is in the window, or null. */
  boxOf(node) {
    const box = this.view?.box(node, this.width);
    if (!box) return null;
    const { left, top } = this.canvas.getBoundingClientRect();
    return new DOMRect(left + box.x, top + box.y - this.scroller.scrollTop, box.width, FRAME_HEIGHT);
  }

  /** Frames a node, under the pointer (`hover`) or the keyboard (`cursor`); with -1 none. */
  mark(kind, node) {
    const changed = this.marked[kind] !== node;
    this.marked[kind] = node;
    this.#placeMark(kind);
    if (changed) this.dispatchEvent(new CustomEvent("point", { detail: { kind, node } }));
  }

  /** Scrolls as little as shows the node's row. */
  reveal(node) {
    const y = this.view.y(this.profile.layout.level[node]);
    const { scrollTop, clientHeight } = this.scroller;
    if (y < scrollTop) this.scroller.scrollTop = y;
    else if (y + ROW_HEIGHT > scrollTop + clientHeight) this.scroller.scrollTop = y + ROW_HEIGHT - clientHeight;
  }

  resize() {
    const { scroller, canvas } = this;
    const ratio = devicePixelRatio || 1;
    this.width = scroller.clientWidth;
    this.height = scroller.clientHeight;
    canvas.width = Math.round(this.width * ratio);
    canvas.height = Math.round(this.height * ratio);
    this.stage.style.height = canvas.style.height = `${this.height}px`;
    canvas.style.width = `${this.width}px`;
    this.pen.font = FONT;
    this.cell = this.pen.measureText("0123456789".repeat(4)).width / 40 || 7;
    this.#fitHeight();
    this.draw();
  }

  /** Draws at the browser's next picture, once, whatever asks until then. */
  schedule() {
    this.#frame ||= requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const { pen, view, scroller } = this;
    const ratio = devicePixelRatio || 1;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    if (!view || !this.width) return;
    pen.translate(0, -scroller.scrollTop);
    pen.font = FONT;
    pen.textBaseline = "alphabetic";
    this.drawn = { times: this.drawn.times + 1, rectangles: 0, labels: 0 };
    const { lowest, highest } = view.levels;
    for (let level = lowest; level <= highest; level++) {
      const y = view.y(level);
      if (y + ROW_HEIGHT > scroller.scrollTop && y < scroller.scrollTop + this.height) this.#drawRow(level, y);
    }
    pen.globalAlpha = 1;
    this.#placeMark("hover");
    this.#placeMark("cursor");
  }

  #drawRow(level, y) {
    const { pen, view, found, highlighted, colours, theme } = this;
    const { name } = this.profile.layout;
    const wanted = highlighted >= 0 ? (node) => name[node] === highlighted : found && ((node) => found[name[node]]);
    const zoomedLevel = this.profile.layout.level[view.zoomed];
    const calls = Math.abs(level) < Math.abs(zoomedLevel);
    view.eachVisible(level, this.width, wanted, (node, x, width) => {
      const isWanted = wanted?.(node);
      const isFound = isWanted && highlighted < 0;
      let { fill, light } = colours.of(node);
      if (isFound) [fill, light] = [theme.match, true];
      const faded = wanted && !isWanted;
      pen.globalAlpha = faded ? FADED : calls ? CALLER : 1;
      pen.fillStyle = fill;
      const shown = width - Math.min(width / 4, 1);
      pen.fillRect(x, y, shown, FRAME_HEIGHT);
      this.drawn.rectangles++;
      if (isWanted && !isFound && shown > 3) {
        pen.strokeStyle = theme.ink;
        pen.lineWidth = 2;
        pen.strokeRect(x + 1, y + 1, shown - 2, FRAME_HEIGHT - 2);
      }
      const cells = Math.floor((width - 2 * LABEL_PADDING) / this.cell);
      if (cells < 3) return;
      // What is faded is as the page is, whatever its colour.
      pen.globalAlpha = faded ? 0.75 : 1;
      pen.fillStyle = faded || (calls && !isFound) ? theme.ink : light ? "#fff" : theme.ink;
      pen.fillText(fit(this.profile.names[name[node]] || "all", cells), x + LABEL_PADDING, y + 12);
      this.drawn.labels++;
    });
  }

  #placeMark(kind) {
    const element = this.marks[kind];
    const box = this.marked[kind] >= 0 ? this.view?.box(this.marked[kind], this.width) : null;
    element.hidden = !box;
    if (!box) return;
    element.style.transform = `translate(${box.x}px, ${box.y - this.scroller.scrollTop}px)`;
    element.style.width = `${Math.max(box.width - 1, 2)}px`;
  }

  #fitHeight() {
    const { view, height } = this;
    if (!view) return;
    view.headroom = Math.max(height - view.height, 0);
    this.space.style.height = `${Math.max(view.height, height)}px`;
  }
}

/** A view on the way from one to another. Widths change by equal factors in equal times, which looks even. */
function between(from, to, part) {
  const width = from.width * (to.width / from.width) ** part;
  const travelled = from.width === to.width ? part : (width - from.width) / (to.width - from.width);
  return { start: from.start + (to.start - from.start) * travelled, width };
}

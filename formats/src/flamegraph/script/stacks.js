const ROW_HEIGHT = 18;
const FRAME_HEIGHT = 17;
const BASELINE = 12;
const LABEL_PADDING = 3;
/** What is narrower, in pixels, shares its place with its neighbours. */
const MIN_WIDTH = 1;
/** Rows drawn beyond the window's edges, so that a quick scroll meets no void. */
const MARGIN_ROWS = 20;
const ZOOM_MS = 220;
/** All other colours are the phases', and that of what is much less than before, and dark. */
const LIGHT_CLASS = /^([nijkm]\d|l[1-4]|same|all|thread|unknown)$/;

/**
 * Draws the part of a profile that can be seen. All frames of one colour are one path, so that the number of elements
 * depends on labels and colours alone, however many frames there are.
 */
class Stacks {
  #view;
  #animation = 0;
  #cell = 1;
  #paths = new Map();
  #labels = [];
  #marks = {};

  /** @param {Profile} profile @param {Element} scroller The element to draw into, and which scrolls the drawing. */
  constructor(profile, scroller) {
    this.profile = profile;
    this.scroller = scroller;
    this.inverted = profile.inverted;
    this.zoomed = 0;
    /** By node, whether a search found it; null without a search. */
    this.matches = null;
    /** The framed nodes, or -1: under the pointer, and under the keyboard. */
    this.marked = { hover: -1, cursor: -1 };
    this.svg = scroller.appendChild(svg("svg", { "aria-hidden": "true" }));
    const mark = (kind) => this.svg.appendChild(svg("rect", { class: kind, height: FRAME_HEIGHT }));
    this.shapes = this.svg.appendChild(svg("g"));
    this.#marks.hover = mark("hover");
    this.texts = this.svg.appendChild(svg("g"));
    this.#marks.cursor = mark("cursor");
    this.#view = this.#viewOf(0);
    scroller.style.flexBasis = `${profile.rows.length * ROW_HEIGHT}px`;
    scroller.addEventListener("scroll", () => this.draw());
  }

  /** Fits the drawing to the window, which has changed, and to the font. */
  resize() {
    const probe = this.texts.appendChild(svg("text"));
    probe.textContent = "0123456789".repeat(4);
    this.#cell = probe.getComputedTextLength() / 40 || 7;
    probe.remove();
    this.width = this.scroller.clientWidth;
    this.#revealView();
    this.draw();
  }

  /** Shows a node in full width, with what called it and what it called. */
  zoom(node, animated) {
    cancelAnimationFrame(this.#animation);
    const rowsBefore = this.#rowCount;
    const { scrollTop } = this.scroller;
    this.zoomed = node;
    this.#setHeight();
    // Frames stand on the ground: rows that vanish above must not move them.
    if (!this.inverted) this.scroller.scrollTop = scrollTop + (this.#rowCount - rowsBefore) * ROW_HEIGHT;
    this.#revealView();

    const [from, to] = [this.#view, this.#viewOf(node)];
    if (!animated || matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.#view = to;
      this.draw();
      return;
    }
    const began = performance.now();
    const step = () => {
      const part = Math.min((performance.now() - began) / ZOOM_MS, 1);
      this.#view = part < 1 ? between(from, to, 1 - (1 - part) ** 3) : to;
      this.draw();
      if (part < 1) this.#animation = requestAnimationFrame(step);
    };
    step();
  }

  /** Puts callers above what they call, or below. */
  turn(inverted) {
    this.inverted = inverted;
    this.scroller.scrollTop = inverted ? 0 : this.scroller.scrollHeight;
    this.reveal(this.zoomed);
    this.draw();
  }

  /** Scrolls as little as shows the node's row. */
  reveal(node) {
    this.#revealRow(this.profile.depth[node]);
  }

  /** Scrolls as little as shows the most of what is zoomed to, that itself in any case. */
  #revealView() {
    this.#revealRow(this.profile.deepest[this.zoomed]);
    this.#revealRow(Math.max(this.profile.depth[this.zoomed] - 1, 0));
    this.reveal(this.zoomed);
  }

  #revealRow(depth) {
    const y = this.#y(depth);
    const { scrollTop, clientHeight } = this.scroller;
    if (y < scrollTop) this.scroller.scrollTop = y;
    if (y + ROW_HEIGHT > scrollTop + clientHeight) this.scroller.scrollTop = y + ROW_HEIGHT - clientHeight;
  }

  /** The node at a point of the window, or -1. */
  nodeAt(clientX, clientY) {
    const box = this.svg.getBoundingClientRect();
    const row = Math.floor((clientY - box.top) / ROW_HEIGHT);
    const depth = this.inverted ? row : this.#rowCount - 1 - row;
    const weight = this.#view.start + ((clientX - box.left) / this.width) * this.#view.total;
    return this.profile.nodeAt(depth, weight);
  }

  /** Whether zooming has not put the node out of sight. */
  isShown(node) {
    const { start, total } = this.#viewOf(this.zoomed);
    return this.profile.right(node) > start && this.profile.start[node] < start + total;
  }

  /** Frames a node, or with -1 none. */
  mark(kind, node) {
    this.marked[kind] = node;
    this.#drawMark(kind);
  }

  draw() {
    this.#setHeight();
    const { profile, scroller, matches } = this;
    const first = Math.floor(scroller.scrollTop / ROW_HEIGHT) - MARGIN_ROWS;
    const last = Math.ceil((scroller.scrollTop + scroller.clientHeight) / ROW_HEIGHT) + MARGIN_ROWS;
    const shapes = new Map();
    let labels = 0;
    for (let depth = 0; depth < this.#rowCount; depth++) {
      const y = this.#y(depth);
      if (y < first * ROW_HEIGHT || y > last * ROW_HEIGHT) continue;
      for (const { node, x, width } of this.#visible(depth)) {
        const colour = matches?.[node] ? "match" : profile.className(node);
        const calls = depth < profile.depth[this.zoomed];
        const key = calls ? `${colour} caller` : colour;
        const shown = tenths(width - Math.min(width / 4, 1));
        const shape = `M${tenths(x)} ${y}v${FRAME_HEIGHT}h${shown}v-${FRAME_HEIGHT}z`;
        shapes.set(key, (shapes.get(key) ?? "") + shape);
        const cells = Math.floor((width - 2 * LABEL_PADDING) / this.#cell);
        const label = cells > 0 && fit(profile.name(node), cells);
        // What is faded is light, whatever its colour.
        const onDark = colour === "match" ? !calls : !calls && !matches && !LIGHT_CLASS.test(colour);
        if (label) this.#drawLabel(labels++, label, x + LABEL_PADDING, y + BASELINE, onDark);
      }
    }
    for (const [key, path] of this.#paths) if (!shapes.has(key)) path.removeAttribute("d");
    for (const [key, shape] of shapes) this.#path(key).setAttribute("d", shape);
    for (const { element } of this.#labels.splice(labels)) element.remove();
    this.svg.setAttribute("class", `stacks ${this.inverted ? "icicles" : "flames"} ${matches ? "searched" : ""}`);
    this.#drawMark("hover");
    this.#drawMark("cursor");
  }

  /** What can be seen of a row. Of nodes that share a place one is drawn, rather one that a search found. */
  *#visible(depth) {
    const { profile, matches, width } = this;
    const { start, total } = this.#view;
    const row = profile.rows[depth];
    const scale = width / total;
    for (let at = profile.firstRightOf(row, start); at < row.length; ) {
      const node = row[at];
      const x = Math.max((profile.start[node] - start) * scale, 0);
      if (x >= width) return;
      const right = Math.min((profile.right(node) - start) * scale, width);
      if (right - x >= MIN_WIDTH) {
        yield { node, x, width: right - x };
        at++;
        continue;
      }
      const next = profile.firstRightOf(row, start + (x + MIN_WIDTH) / scale, at + 1);
      let chosen = at;
      while (matches && chosen < next - 1 && !matches[row[chosen]]) chosen++;
      yield { node: row[chosen], x, width: MIN_WIDTH };
      at = next;
    }
  }

  #drawLabel(position, text, x, y, onDark) {
    const label = (this.#labels[position] ??= { element: this.texts.appendChild(svg("text")) });
    const { element } = label;
    if (label.text !== text) element.textContent = label.text = text;
    if (label.x !== x) element.setAttribute("x", tenths((label.x = x)));
    if (label.y !== y) element.setAttribute("y", (label.y = y));
    if (label.onDark !== onDark) element.setAttribute("class", (label.onDark = onDark) ? "on-dark" : "");
  }

  #drawMark(kind) {
    const element = this.#marks[kind];
    const node = this.marked[kind];
    const visible = node >= 0 && this.isShown(node);
    element.style.display = visible ? "" : "none";
    if (!visible) return;
    const { start, total } = this.#view;
    const x = Math.max(((this.profile.start[node] - start) / total) * this.width, 0);
    const right = Math.min(((this.profile.right(node) - start) / total) * this.width, this.width);
    element.setAttribute("x", tenths(x));
    element.setAttribute("y", this.#y(this.profile.depth[node]));
    element.setAttribute("width", tenths(Math.max(right - x - 1, 1)));
  }

  #path(key) {
    let path = this.#paths.get(key);
    if (!path) this.#paths.set(key, (path = this.shapes.appendChild(svg("path", { class: key }))));
    return path;
  }

  #setHeight() {
    this.svg.setAttribute("height", this.#rowCount * ROW_HEIGHT);
  }

  get #rowCount() {
    return this.profile.deepest[this.zoomed] + 1;
  }

  #y(depth) {
    return (this.inverted ? depth : this.#rowCount - 1 - depth) * ROW_HEIGHT;
  }

  #viewOf(node) {
    return { start: this.profile.start[node], total: this.profile.total[node] };
  }
}

/** A view on the way from one to another. Widths change by equal factors in equal times, which looks even. */
function between(from, to, part) {
  const total = from.total * (to.total / from.total) ** part;
  const travelled = from.total === to.total ? part : (total - from.total) / (to.total - from.total);
  return { start: from.start + (to.start - from.start) * travelled, total };
}

function tenths(length) {
  return Math.round(length * 10) / 10;
}

function svg(name, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/**
 * What of a layout is seen: a part of its width, and the rows of the frame that is zoomed to. Knows pixels, but does not
 * draw.
 */

export const ROW_HEIGHT = 18;
/** What is narrower, in pixels, shares its place with its neighbours. */
const MIN_WIDTH = 1;
/** The deepest that wheel and fingers zoom: a part of all. */
const LEAST_WIDTH = 1e-9;

export class View {
  /** @param layout As `layout.js` makes it. */
  constructor(layout) {
    this.layout = layout;
    this.whole = layout.weight[0] || 1;
    this.zoomed = 0;
    this.start = 0;
    this.width = this.whole;
    this.rootBelow = false;
    /** Room above flames that are lower than the window: they stand on its ground. */
    this.headroom = 0;
    this.deepest = deepestOf(layout);
    const levels = [...layout.rows.keys()];
    this.all = { lowest: Math.min(...levels), highest: Math.max(...levels) };
  }

  get isWhole() {
    return this.start === 0 && this.width === this.whole;
  }

  /** The levels that are shown: those of the frame that is zoomed to. */
  get levels() {
    const level = this.layout.level[this.zoomed];
    if (level === 0) return this.all;
    const deepest = this.deepest[this.zoomed];
    return level > 0 ? { lowest: 0, highest: deepest } : { lowest: deepest, highest: 0 };
  }

  get height() {
    const { lowest, highest } = this.levels;
    return (highest - lowest + 1) * ROW_HEIGHT;
  }

  /** The upper edge of a level's row. */
  y(level) {
    const { lowest, highest } = this.levels;
    return this.rootBelow ? (highest - level) * ROW_HEIGHT + this.headroom : (level - lowest) * ROW_HEIGHT;
  }

  levelAt(y) {
    const { lowest, highest } = this.levels;
    const row = Math.floor((y - (this.rootBelow ? this.headroom : 0)) / ROW_HEIGHT);
    const level = this.rootBelow ? highest - row : row + lowest;
    return level >= lowest && level <= highest ? level : null;
  }

  /** The node at a point, or -1. */
  nodeAt(x, y, pixels) {
    const row = this.layout.rows.get(this.levelAt(y));
    if (!row) return -1;
    const weight = this.start + (x / pixels) * this.width;
    const node = this.#firstRightOf(weight, row[0], row[1]);
    return node < row[1] && this.layout.start[node] <= weight ? node : -1;
  }

  /** Left edge and width of a node in pixels, as far as they are seen; null if they are not. */
  box(node, pixels) {
    const scale = pixels / this.width;
    const left = Math.max((this.layout.start[node] - this.start) * scale, 0);
    const right = Math.min((this.#right(node) - this.start) * scale, pixels);
    const { lowest, highest } = this.levels;
    const level = this.layout.level[node];
    return right > left && level >= lowest && level <= highest ? { x: left, width: right - left, y: this.y(level) } : null;
  }

  /**
   * Calls `draw(node, x, width)` for what can be seen of a level. Of nodes that share a place one is drawn, rather a
   * wanted one.
   */
  eachVisible(level, pixels, wanted, draw) {
    const { layout, start } = this;
    const [first, end] = layout.rows.get(level) ?? [0, 0];
    const scale = pixels / this.width;
    for (let node = this.#firstRightOf(start, first, end); node < end; ) {
      const x = Math.max((layout.start[node] - start) * scale, 0);
      if (x >= pixels) return;
      const right = Math.min((this.#right(node) - start) * scale, pixels);
      if (right - x >= MIN_WIDTH) {
        draw(node, x, right - x);
        node++;
        continue;
      }
      const next = this.#firstRightOf(start + (x + MIN_WIDTH) / scale, node + 1, end);
      let chosen = node;
      while (wanted && chosen < next - 1 && !wanted(chosen)) chosen++;
      // As much as they have: a row of crumbs must not look like a full one.
      const last = next - 1;
      const width = Math.min(Math.max((this.#right(last) - start) * scale - x, MIN_WIDTH / 2), MIN_WIDTH);
      draw(wanted && !wanted(chosen) ? node : chosen, x, width);
      node = next;
    }
  }

  /** Where a node would be in full width. */
  rangeOf(node) {
    return { start: this.layout.start[node], width: this.layout.weight[node] || this.whole };
  }

  /** Widens or narrows what is seen by a factor, around a point that stays where it is. */
  scaleAround(fraction, factor) {
    const width = Math.min(Math.max(this.width * factor, this.whole * LEAST_WIDTH), this.whole);
    this.#look(this.start + (this.width - width) * fraction, width);
  }

  /** Moves what is seen by a part of its width. */
  pan(fraction) {
    this.#look(this.start + fraction * this.width, this.width);
  }

  #look(start, width) {
    this.width = width;
    this.start = Math.min(Math.max(start, 0), this.whole - width);
    this.zoomed = this.#smallestAround();
  }

  /** The innermost node that all that is seen belongs to, on the side of the root where we are. */
  #smallestAround() {
    const { layout } = this;
    const side = Math.sign(layout.level[this.zoomed]) || 1;
    const slack = this.width * 1e-9;
    let node = 0;
    for (let level = side; ; level += side) {
      const row = layout.rows.get(level);
      if (!row) return node;
      const found = this.#firstRightOf(this.start + slack, row[0], row[1]);
      const isAround = found < row[1] && layout.start[found] <= this.start + slack && this.#right(found) >= this.start + this.width - slack;
      if (!isAround) return node;
      node = found;
    }
  }

  #right(node) {
    return this.layout.start[node] + this.layout.weight[node];
  }

  /** The first node of a slice whose right edge lies right of a weight. */
  #firstRightOf(weight, first, end) {
    while (first < end) {
      const middle = (first + end) >>> 1;
      if (this.#right(middle) > weight) end = middle;
      else first = middle + 1;
    }
    return first;
  }
}

/** By node, the level that is farthest from the root among all that it leads to. */
function deepestOf({ level, parent }) {
  const deepest = level.slice();
  for (let node = deepest.length - 1; node > 0; node--) {
    const up = parent[node];
    if (Math.abs(deepest[node]) > Math.abs(deepest[up])) deepest[up] = deepest[node];
  }
  return deepest;
}

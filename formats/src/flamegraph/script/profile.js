"use strict";

/** The profile in the file, spread out for quick look-ups. Nodes are numbers, in depth-first order. */
class Profile {
  /** @param {string} json As `data.rs` wrote it, which describes the columns. */
  constructor(json) {
    const { nodes, symbols, ...rest } = JSON.parse(json);
    Object.assign(this, rest);
    this.symbols = symbols;
    this.length = nodes.length;
    this.symbol = Uint32Array.from(nodes.symbol);
    this.depth = new Uint32Array(this.length);
    this.parent = new Int32Array(this.length);
    /** The weight to the left of a node, the weight of it with all that it called, and of it alone. */
    this.start = new Float64Array(this.length);
    this.total = new Float64Array(this.length);
    this.self = new Float64Array(this.length);
    /** The node after the last of a node's descendants. */
    this.end = new Uint32Array(this.length);
    /** The lowest row that a node's descendants reach, counted from the root. */
    this.deepest = new Uint32Array(this.length);
    /** The nodes of each row, from left to right. */
    this.rows = [];
    this.#place(nodes);
    this.#leaveOut(nodes.left_out);
  }

  #place({ total, up, rest }) {
    const open = [];
    const left = [total];
    for (let node = 0; node <= this.length; node++) {
      const depth = node < this.length ? open.length - up[node] : 0;
      while (open.length > depth) {
        const closed = open.pop();
        this.end[closed] = node;
        const parent = this.parent[closed];
        if (parent >= 0) this.deepest[parent] = Math.max(this.deepest[parent], this.deepest[closed]);
      }
      if (node === this.length) return;

      const parent = depth ? open[depth - 1] : -1;
      this.parent[node] = parent;
      this.depth[node] = this.deepest[node] = depth;
      this.start[node] = parent < 0 ? 0 : this.start[parent] + this.total[parent] - left[depth];
      this.total[node] = this.self[node] = left[depth + 1] = left[depth] - rest[node];
      left[depth] = rest[node];
      if (parent >= 0) this.self[parent] = rest[node];
      open.push(node);
      (this.rows[depth] ??= []).push(node);
    }
  }

  #leaveOut(pairs) {
    for (let at = 0, node = 0; at < pairs.length; at += 2) {
      node += pairs[at];
      this.self[node] -= pairs[at + 1];
    }
  }

  name(node) {
    return this.names[this.symbols.name[this.symbol[node]]];
  }

  location(node) {
    return this.locations[this.symbols.location[this.symbol[node]]];
  }

  className(node) {
    return this.classes[this.symbols.class[this.symbol[node]]];
  }

  right(node) {
    return this.start[node] + this.total[node];
  }

  /** The node and those that called it, from the root on. */
  path(node) {
    const path = [];
    for (let at = node; at >= 0; at = this.parent[at]) path.push(at);
    return path.reverse();
  }

  /** The position in a row of the first node that ends to the right of a weight, from a position on. */
  firstRightOf(row, weight, from = 0) {
    let [low, high] = [from, row.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.right(row[middle]) > weight) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** The node of a row at a weight, or -1. */
  nodeAt(depth, weight) {
    const row = this.rows[depth] ?? [];
    const node = row[this.firstRightOf(row, weight)] ?? -1;
    return node >= 0 && this.start[node] <= weight ? node : -1;
  }

  /** The weight in all units that it has: `1,234 samples, 1.24 s`. */
  describe(weight) {
    if (this.unit === "bytes") return scaled(weight, BYTES, "B");
    const time = scaled(weight * this.period_ns, TIMES, "ns");
    if (this.unit === "ns") return time;
    // Parts of two profiles count nothing, and things take no time.
    if (!this.count_name) return "on average";
    const name = weight === 1 ? this.count_name.replace(/s$/, "") : this.count_name;
    const counted = `${weight.toLocaleString("en-US")} ${name}`;
    return this.period_ns ? `${counted}, ${time}` : counted;
  }
}

const TIMES = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]];
const BYTES = [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]];

/** Three significant digits in the largest unit that the number reaches. */
function scaled(number, units, smallest) {
  const found = units.find(([size]) => number >= size);
  if (!found) return `${number} ${smallest}`;
  const value = number / found[0];
  return `${value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)} ${found[1]}`;
}

/** `12.3 %`, and never `0 %` of something. */
function share(part, whole) {
  const percent = (part / (whole || 1)) * 100;
  if (percent === 0) return "0 %";
  if (percent < 0.01) return "< 0.01 %";
  return `${percent.toFixed(percent < 0.995 ? 2 : percent < 99.95 ? 1 : 0)} %`;
}

/**
 * A tree of calls in columns: a node is a number, its caller has a smaller one, node 0 is the root. `base_self` and
 * `base_total` are what the same node has in the profile that this one is compared with, or null. Nothing here knows of
 * the page: this runs in the worker.
 */

/** The phases of an event loop as the labels name them, in the order in which they run. */
export const PHASES = [
  "timers", "pending", "idle", "prepare", "poll_wait", "poll_callbacks", "check", "close", "ticks", "microtasks",
];
const NUMBERS = new Map(PHASES.map((phase, at) => [phase, at + 1]));

/** The phase that a function stands for, counted from 1; 0 if it is a function. */
function phaseNumber(name) {
  return name[0] === "[" && name.endsWith("]") ? (NUMBERS.get(name.slice(1, -1).replace(" ", "_")) ?? 0) : 0;
}

/** A tree from the collector's answer. Throws if that is not one. */
export function fromAnswer({ unit, names, nodes }) {
  const { length } = nodes?.parent ?? [];
  const column = (Type, values) => {
    if (values?.length !== length) throw new Error("the collector's columns are not equally long");
    return new Type(values);
  };
  if (!length) return empty(unit, !!nodes?.base_total);
  const tree = {
    unit,
    names,
    /** By name, the phase of the event loop that it stands for. */
    phases: Uint8Array.from(names, phaseNumber),
    parent: column(Int32Array, nodes.parent),
    name: column(Uint32Array, nodes.name),
    self: column(Float64Array, nodes.self),
    total: column(Float64Array, nodes.total),
    base_self: nodes.base_total ? column(Float64Array, nodes.base_self) : null,
    base_total: nodes.base_total ? column(Float64Array, nodes.base_total) : null,
  };
  tree.parent[0] = -1;
  for (let node = 0; node < length; node++) {
    const ordered = node === 0 || (tree.parent[node] >= 0 && tree.parent[node] < node);
    if (!ordered || tree.name[node] >= names.length) throw new Error(`the collector's node ${node} is out of place`);
  }
  return tree;
}

function empty(unit, isDiff) {
  const zero = () => new Float64Array(1);
  return {
    unit, names: ["all"], phases: new Uint8Array(1), parent: Int32Array.of(-1), name: new Uint32Array(1), self: zero(), total: zero(),
    base_self: isDiff ? zero() : null, base_total: isDiff ? zero() : null,
  };
}

/** Builds a tree by following paths from its root; equal paths become one. */
export class Builder {
  #children = new Map();
  #parent = [-1];
  #name;
  #columns;

  /** @param like The tree whose names and unit the new one has. */
  constructor(like, rootName = like.name[0]) {
    this.like = like;
    this.#name = [rootName];
    const names = like.base_total ? ["self", "total", "base_self", "base_total"] : ["self", "total"];
    this.#columns = Object.fromEntries(names.map((name) => [name, [0]]));
  }

  get length() {
    return this.#parent.length;
  }

  /** The node for a function that another calls. */
  child(parent, name) {
    const key = parent * this.like.names.length + name;
    let node = this.#children.get(key);
    if (node === undefined) {
      node = this.#parent.length;
      this.#children.set(key, node);
      this.#parent.push(parent);
      this.#name.push(name);
      for (const column of Object.values(this.#columns)) column.push(0);
    }
    return node;
  }

  /** Adds what a node of the old tree has in one column to one of the new. */
  add(node, column, from, fromColumn = column) {
    if (this.#columns[column]) this.#columns[column][node] += this.like[fromColumn][from];
  }

  /** The tree; `total` and `base_total` hold what was added to the node itself, and become sums of all below it. */
  finish() {
    const parent = Int32Array.from(this.#parent);
    const tree = { ...this.like, parent, name: Uint32Array.from(this.#name), base_self: null, base_total: null };
    for (const [name, column] of Object.entries(this.#columns)) tree[name] = Float64Array.from(column);
    for (const total of [tree.total, tree.base_total]) {
      for (let node = parent.length - 1; total && node > 0; node--) total[parent[node]] += total[node];
    }
    return tree;
  }
}

/** What a node's total has that none of its callees has: its own, and what the collector left out below it. */
export function ownOf(tree, column = "total") {
  const total = tree[column];
  const own = Float64Array.from(total);
  for (let node = total.length - 1; node > 0; node--) own[tree.parent[node]] -= total[node];
  return own;
}

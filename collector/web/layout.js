/**
 * Where the nodes of a tree stand: row by row, from left to right, so that a row is a slice of the columns, the callees
 * of a node are one too, and what can be seen of either is found by halving. Made once a tree, in the worker.
 *
 * A layout may hold a second tree that grows the other way from the same root (callers above, callees below). Its rows
 * are called -1, -2, …
 */

const FNV_PRIME = 0x0100_0193;

/** The layout of a tree, and of one of callers that share its root. */
export function layOut(tree, callers = null) {
  const scale = scaleOf(tree);
  const down = placed(tree, scale);
  if (!callers) return { ...down, rows: new Map(rowsOf(down.depths, 0, 1)), isDiff: !!tree.base_total };
  const up = placed(callers, scale);
  const skip = down.parent.length - 1;
  const columns = {};
  for (const key of COLUMNS) {
    const [first, second] = [down[key], up[key]];
    if (!first) continue;
    columns[key] = new first.constructor(first.length + second.length - 1);
    columns[key].set(first);
    columns[key].set(second.subarray(1), first.length);
  }
  for (let node = down.parent.length; node < columns.parent.length; node++) {
    if (columns.parent[node] > 0) columns.parent[node] += skip;
    columns.first[node] += skip;
    columns.level[node] = -columns.level[node];
    columns.hash[node] = ~columns.hash[node];
  }
  const rows = new Map([...rowsOf(down.depths, 0, 1), ...rowsOf(up.depths, skip, -1)]);
  return { ...columns, rows, isDiff: !!tree.base_total };
}

const COLUMNS = [
  "parent", "name", "self", "total", "base_self", "base_total", "start", "weight", "level", "first", "count", "hash",
];

/** The rows by their level: the slice of the columns that each is. */
function rowsOf(depths, skip, sign) {
  const rows = [];
  for (let depth = sign > 0 ? 0 : 1; depth + 1 < depths.length; depth++) {
    rows.push([depth * sign, [depths[depth] + skip, depths[depth + 1] + skip]]);
  }
  return rows;
}

/**
 * What a node's width is made of. Compared profiles are seldom equally long: each counts by its own sum, so that what
 * has the same share in both is grey and takes that share of the width.
 */
function scaleOf(tree) {
  const [now, base] = [tree.total[0], tree.base_total?.[0] ?? 0];
  if (!tree.base_total) return { now: 1, base: 0 };
  const sides = (now > 0) + (base > 0);
  return { now: now > 0 ? 1 / now / sides : 0, base: base > 0 ? 1 / base / sides : 0 };
}

function placed(tree, scale) {
  const { length } = tree.parent;
  const weight = new Float64Array(length);
  for (let node = 0; node < length; node++) {
    weight[node] = tree.total[node] * scale.now + (tree.base_total ? tree.base_total[node] * scale.base : 0);
  }
  const { order, depths } = rowByRow(tree, weight);
  const rank = new Int32Array(length);
  for (let at = 0; at < length; at++) rank[order[at]] = at;
  // Loops, for `from` with a function takes ten times as long.
  const pick = (column) => {
    if (!column) return null;
    const picked = new column.constructor(length);
    for (let at = 0; at < length; at++) picked[at] = column[order[at]];
    return picked;
  };
  const parents = pick(tree.parent);
  for (let at = 1; at < length; at++) parents[at] = rank[parents[at]];
  const layout = {
    parent: parents,
    name: pick(tree.name),
    self: pick(tree.self),
    total: pick(tree.total),
    base_self: pick(tree.base_self),
    base_total: pick(tree.base_total),
    weight: pick(weight),
    start: new Float64Array(length),
    level: new Int32Array(length),
    first: new Int32Array(length),
    count: new Int32Array(length),
    hash: new Int32Array(length),
    depths,
  };
  const hashes = Int32Array.from(tree.names, hashOf);
  let before = -1;
  let right = 0;
  for (let node = 0; node < length; node++) {
    const parent = layout.parent[node];
    if (parent < 0) continue;
    if (parent !== before) {
      layout.first[parent] = node;
      right = layout.start[parent];
      before = parent;
    }
    layout.count[parent]++;
    layout.start[node] = right;
    right += layout.weight[node];
    layout.level[node] = layout.level[parent] + 1;
    layout.hash[node] = Math.imul(layout.hash[parent] ^ hashes[layout.name[node]], FNV_PRIME);
  }
  return layout;
}

/** The nodes row by row; callees stand together, phases first and in their order, then by what they weigh. */
function rowByRow({ parent, name, names, phases }, weight) {
  const { length } = parent;
  const first = new Int32Array(length + 1);
  for (let node = 1; node < length; node++) first[parent[node] + 1]++;
  for (let node = 0; node < length; node++) first[node + 1] += first[node];
  const filled = first.slice();
  const callees = new Int32Array(length);
  for (let node = 1; node < length; node++) callees[filled[parent[node]]++] = node;

  const phaseRank = (node) => phases[name[node]] || Infinity;
  const byPlace = (a, b) => (phaseRank(a) - phaseRank(b) || 0) || weight[b] - weight[a] || compare(names[name[a]], names[name[b]]);
  const order = new Int32Array(length);
  const depths = [0, 1];
  for (let at = 0, end = 1; at < length; at++) {
    const node = order[at];
    if (first[node + 1] > first[node]) {
      const own = callees.subarray(first[node], first[node + 1]).sort(byPlace);
      order.set(own, end);
      end += own.length;
    }
    if (at + 1 === depths.at(-1) && end > at + 1) depths.push(end);
  }
  return { order, depths };
}

function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The Fowler–Noll–Vo hash of a text. */
export function hashOf(text) {
  let hash = 0x811c_9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), FNV_PRIME);
  return hash;
}

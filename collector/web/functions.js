/**
 * The orders of the table's rows by its columns, from the first row on; equal ones by name. `ranks` are the places of the
 * names in the alphabet. Of changes the largest come first, whichever way; with `-`, from the largest loss on.
 */
export function ordersOf(functions, ranks, { total, base_total: baseTotal }) {
  const { name, self, total: totals, base_self: baseSelf, base_total: base } = functions;
  const rank = Uint32Array.from(name, (one) => ranks[one]);
  const order = (key) => Uint32Array.from(name.keys()).sort((a, b) => key(a, b) || rank[a] - rank[b]);
  const falling = (values) => order((a, b) => values[b] - values[a]);
  const orders = { name: order(() => 0), total: falling(totals) };
  if (!base) return { ...orders, self: falling(self) };
  const moved = (now, base) => now.map((value, at) => value / (total || 1) - base[at] / (baseTotal || 1));
  for (const [key, values] of [["change", moved(totals, base)], ["self", moved(self, baseSelf)]]) {
    orders[key] = falling(values.map(Math.abs));
    orders[`-${key}`] = order((a, b) => values[a] - values[b]);
  }
  return { ...orders, base: falling(base) };
}

/** The place of each name in the alphabet. */
export function ranksOf(names) {
  const sorted = [...names.keys()].sort((a, b) => (names[a] < names[b] ? -1 : names[a] > names[b] ? 1 : 0));
  const ranks = new Uint32Array(names.length);
  sorted.forEach((name, rank) => { ranks[name] = rank; });
  return ranks;
}

/** What each function has by itself, and with all that it calls; a call of itself inside its own call counts once. */
export function functionsOf(layout, nameCount) {
  const columns = () => new Float64Array(nameCount);
  const self = columns();
  const total = columns();
  const [baseSelf, baseTotal] = layout.base_total ? [columns(), columns()] : [null, null];
  const open = new Int32Array(nameCount);
  // Down through first callees, to the right through siblings, up at the last.
  let node = 0;
  let down = true;
  while (node >= 0) {
    const name = layout.name[node];
    if (down) {
      self[name] += layout.self[node];
      if (baseSelf) baseSelf[name] += layout.base_self[node];
      if (open[name]++ === 0) {
        total[name] += layout.total[node];
        if (baseTotal) baseTotal[name] += layout.base_total[node];
      }
      if (layout.count[node]) {
        node = layout.first[node];
        continue;
      }
    }
    open[layout.name[node]]--;
    const parent = layout.parent[node];
    down = parent >= 0 && node + 1 < layout.first[parent] + layout.count[parent];
    node = down ? node + 1 : parent;
  }
  const root = layout.name[0];
  const name = [];
  for (let at = 0; at < nameCount; at++) {
    if (at !== root && (total[at] || (baseTotal && baseTotal[at]))) name.push(at);
  }
  const pick = (column) => column && Float64Array.from(name, (at) => column[at]);
  return {
    name: Uint32Array.from(name), self: pick(self), total: pick(total), base_self: pick(baseSelf), base_total: pick(baseTotal),
  };
}

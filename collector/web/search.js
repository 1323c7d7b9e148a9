/** Which functions a pattern finds, and what they and all that they call take. Nested finds count once. */

/** A pattern as a regular expression, without regard to case unless it has capitals; throws if it is none. */
export function expression(pattern) {
  return new RegExp(pattern, /\p{Lu}/u.test(pattern.replace(/\\./g, "")) ? "" : "i");
}

/** By name, whether it is found; null for an empty pattern. */
export function findNames(names, pattern) {
  if (!pattern) return null;
  const wanted = expression(pattern);
  return Uint8Array.from(names, (name) => (wanted.test(name) ? 1 : 0));
}

/** `{ total, base_total, nodes }` of what is found below a node, itself included. */
export function weigh(layout, found, within = 0) {
  const sums = { total: 0, base_total: 0, nodes: 0 };
  const covered = new Uint8Array(layout.parent.length);
  const inside = new Uint8Array(layout.parent.length);
  inside[within] = 1;
  for (let node = 0; node < covered.length; node++) {
    // Of callers above a function, the function's own tree is what counts.
    if (layout.level[node] < 0) break;
    const parent = layout.parent[node];
    if (parent >= 0 && inside[parent]) inside[node] = 1;
    const isFound = found[layout.name[node]];
    const isCovered = parent >= 0 && covered[parent];
    covered[node] = isFound || isCovered ? 1 : 0;
    if (!inside[node]) continue;
    sums.nodes += isFound;
    if (!covered[node] || (isCovered && node !== within)) continue;
    sums.total += layout.total[node];
    if (layout.base_total) sums.base_total += layout.base_total[node];
  }
  return sums;
}

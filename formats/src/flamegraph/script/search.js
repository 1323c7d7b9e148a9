/** Finds functions by regular expression, in names and in locations. Small letters match capitals as well. */
class Search {
  constructor(profile) {
    this.profile = profile;
    /** By node, whether it was found; null without a pattern. */
    this.matches = null;
  }

  /** Looks for a pattern; the empty one ends the search. Returns whether the pattern is well formed. */
  run(pattern) {
    this.matches = null;
    if (!pattern) return true;
    let expression;
    try {
      expression = new RegExp(pattern, /[A-Z]/.test(pattern) ? "u" : "iu");
    } catch {
      return false;
    }
    const { names, locations, symbols, symbol } = this.profile;
    const [inName, inLocation] = [names, locations].map((texts) => texts.map((text) => expression.test(text)));
    const found = symbols.name.map((name, at) => inName[name] || inLocation[symbols.location[at]]);
    this.matches = Uint8Array.from(symbol, (at) => found[at]);
    return true;
  }

  /** What was spent in a node while any function was running that was found: nested ones count once. */
  weightIn(root) {
    const { profile, matches } = this;
    if (profile.path(root).some((node) => matches[node])) return profile.total[root];
    let weight = 0;
    for (let node = root; node < profile.end[root]; ) {
      if (matches[node]) weight += profile.total[node];
      node = matches[node] ? profile.end[node] : node + 1;
    }
    return weight;
  }

  /** The next found node inside of another after a third, around the end; -1 if there is none. */
  next(root, after, step) {
    const { [root]: end } = this.profile.end;
    const length = end - root;
    const from = after >= root && after < end ? after - root : step > 0 ? length - 1 : 0;
    for (let walked = 1; walked <= length; walked++) {
      const node = root + ((from + step * walked + 2 * length) % length);
      if (this.matches?.[node]) return node;
    }
    return -1;
  }
}

/**
 * What the page shows, as its address says it. The address is the only place where it is kept, so that every view is a
 * link and Back leads back. The first three parameters are the collector's own.
 */

const DEFAULTS = {
  /** A selector; empty until a service is known. */
  query: "",
  from: "now-1h",
  until: "now",
  /** The part of the time that is looked at: `FROM-UNTIL` in UNIX seconds; empty for all of it. */
  select: "",
  /** What it is compared with: a part of the time, `all`, or empty if it is not compared. */
  base: "",
  /** The selector of what it is compared with; empty for the same. */
  base_query: "",
  /** `both`, `graph`, `table`. */
  view: "both",
  /** `calls`: who is called by whom. `callers`: the functions that ran, and who called them. */
  shape: "calls",
  /** The function whose callers and callees are shown. */
  focus: "",
  /** Where the root is: `top`, `bottom`. */
  root: "top",
  /** What colours tell: `package`, `phase`. */
  colour: "package",
  /** What stands right above all stacks: `phase` of the event loop, `none` (and no phase within them), or a label. */
  group: "phase",
  search: "",
  /** The frame that is zoomed to, by the hash of its path. */
  zoom: "",
  /** The column that the table is sorted by; with `-` before it, the other way round. */
  sort: "self",
};

/** Changes of these start a page of the history; others replace the one that is there. */
const PAGES = new Set(["query", "from", "until", "select", "base", "base_query", "shape", "focus", "zoom", "group"]);

export class State extends EventTarget {
  constructor() {
    super();
    Object.assign(this, DEFAULTS);
    this.#read();
    addEventListener("popstate", () => this.#follow());
  }

  /** Changes some of it, and the address with it. Listeners of `change` are told what changed, unless it is `silent`. */
  set(changes, { replace = false, silent = false } = {}) {
    const changed = Object.keys(changes).filter((key) => this[key] !== changes[key]);
    if (!changed.length) return;
    Object.assign(this, changes);
    const isPage = !replace && changed.some((key) => PAGES.has(key));
    history[isPage ? "pushState" : "replaceState"](null, "", this.address());
    if (!silent) this.#tell(changed);
  }

  /** The address of this view, relative to the page's. */
  address(changes = {}) {
    const parameters = new URLSearchParams();
    for (const [key, otherwise] of Object.entries(DEFAULTS)) {
      const value = changes[key] ?? this[key];
      if (value !== otherwise) parameters.set(key, value);
    }
    return `?${parameters}`;
  }

  #read() {
    const parameters = new URLSearchParams(location.search);
    for (const [key, otherwise] of Object.entries(DEFAULTS)) this[key] = parameters.get(key) ?? otherwise;
  }

  #follow() {
    const before = { ...this };
    this.#read();
    this.#tell(Object.keys(DEFAULTS).filter((key) => before[key] !== this[key]));
  }

  #tell(changed) {
    this.dispatchEvent(new CustomEvent("change", { detail: new Set(changed) }));
  }
}

/** A part of the time as two numbers, or null for all of it. */
export function part(text) {
  const found = /^(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)$/.exec(text);
  return found && Number(found[2]) > Number(found[1]) ? [Number(found[1]), Number(found[2])] : null;
}

export function partText([from, until]) {
  const digits = until - from < 10 ? 3 : 0;
  return `${Number(from.toFixed(digits))}-${Number(until.toFixed(digits))}`;
}

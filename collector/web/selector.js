/**
 * A selector: a profile type and matchers of labels, as Pyroscope writes them:
 * `process_cpu:cpu:nanoseconds:cpu:nanoseconds{service="api", phase=~"timers|check"}`.
 */

// Names and quotes as the collector reads them (`selector.rs`): whatever it answers, this must be able to read.
const MATCHER = /\s*([\p{Alphabetic}\p{N}_.\-/]+)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)\s*(,|$)/suy;

/** Takes a selector apart: `{ type, matchers: [{ label, operator, value }] }`. Throws what is wrong with it. */
export function parse(text) {
  const found = /^\s*([^\s{}"]*)\s*(?:\{(.*)\}\s*)?$/s.exec(text);
  if (!found) throw new SyntaxError("a selector is a profile type and labels in braces: type{label=\"value\"}");
  const [, type, inside = ""] = found;
  const matchers = [];
  MATCHER.lastIndex = 0;
  while (MATCHER.lastIndex < inside.trimEnd().length) {
    const rest = inside.slice(MATCHER.lastIndex).trim();
    const matcher = MATCHER.exec(inside);
    if (!matcher) throw new SyntaxError(`not a matcher such as label="value": ${rest}`);
    matchers.push({ label: matcher[1], operator: matcher[2], value: unquoted(matcher[3]) });
  }
  return { type, matchers };
}

/** Writes a selector. */
export function format({ type, matchers }) {
  const inside = matchers.map(({ label, operator, value }) => `${label}${operator}${quoted(value)}`);
  return `${type}{${inside.join(", ")}}`;
}

/** The service that a selector names, or nothing. */
export function serviceOf({ matchers }) {
  return matchers.find(({ label, operator }) => isService(label) && operator === "=")?.value;
}

/** Whether the label names the service; Pyroscope's own is `service_name`. */
export function isService(label) {
  return label === "service" || label === "service_name";
}

/** The values that a selector lets through of a label, or nothing if it lets through all or says it otherwise. */
export function valuesOf({ matchers }, label) {
  const matcher = matchers.find((matcher) => matcher.label === label);
  if (matcher?.operator === "=") return [matcher.value];
  if (matcher?.operator !== "=~") return undefined;
  return matcher.value.split(/(?<!\\)\|/).map((value) => value.replace(/\\(.)/g, "$1"));
}

/** The selector with these values of a label only; with none, with all. */
export function withValues(selector, label, values) {
  const matchers = selector.matchers.filter((matcher) => matcher.label !== label);
  if (values.length === 1) matchers.push({ label, operator: "=", value: values[0] });
  if (values.length > 1) matchers.push({ label, operator: "=~", value: values.map(literal).join("|") });
  return { ...selector, matchers };
}

/** A profile type as a person says it. */
export function typeName(type) {
  const [profile, sample = "", unit = ""] = type.split(":");
  const known = {
    "process_cpu:cpu": "CPU time", "process_cpu:samples": "CPU samples", "wall:wall": "Wall-clock time",
    "memory:alloc_space": "Allocated bytes", "memory:alloc_objects": "Allocated objects",
    "memory:inuse_space": "Heap bytes in use", "memory:inuse_objects": "Heap objects in use",
    "off_cpu:off_cpu": "Off-CPU time", "mutex:delay": "Lock wait", "block:delay": "Blocked time",
  }[`${profile}:${sample}`];
  const plain = [profile, sample === profile ? "" : sample].filter(Boolean).join(" ").replaceAll("_", " ");
  return known ?? `${plain}${unit && !["count", "nanoseconds", "bytes"].includes(unit) ? ` (${unit})` : ""}`;
}

/** With no other escapes than the collector knows. */
function quoted(value) {
  const escapes = { "\n": "\\n", "\t": "\\t", "\\": "\\\\", '"': '\\"' };
  return `"${value.replace(/[\n\t\\"]/g, (character) => escapes[character])}"`;
}

function unquoted(text) {
  const inside = text.slice(1, -1);
  if (text.startsWith("`")) return inside;
  const known = { n: "\n", t: "\t", "\\": "\\", '"': '"', "'": "'" };
  return inside.replace(/\\(.)/gsu, (escape, character) => known[character] ?? escape);
}

function literal(value) {
  return value.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

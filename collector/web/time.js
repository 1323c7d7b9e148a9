/** Times as the collector takes them: UNIX seconds, RFC 3339, or relative to now (`now-1h`). */

const UNIT_SECONDS = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];

/** The ranges that are offered, as `from` of `now`. */
export const PRESETS = [
  ["now-5m", "Last 5 minutes"], ["now-15m", "Last 15 minutes"], ["now-30m", "Last 30 minutes"], ["now-1h", "Last hour"],
  ["now-3h", "Last 3 hours"], ["now-6h", "Last 6 hours"], ["now-12h", "Last 12 hours"], ["now-24h", "Last 24 hours"],
  ["now-2d", "Last 2 days"], ["now-7d", "Last 7 days"], ["now-30d", "Last 30 days"],
];

/** The UNIX seconds that a text means, or `NaN`. A date without a zone is local. */
export function resolve(text, now = Date.now() / 1000) {
  const trimmed = String(text).trim();
  const relative = /^now(?:\s*-\s*(\d+(?:\.\d+)?)\s*([smhdw]))?$/.exec(trimmed);
  if (relative) return now - (relative[1] ? Number(relative[1]) * UNIT_SECONDS[relative[2]] : 0);
  if (/^\d+(\.\d+)?$/.test(trimmed)) return Number(trimmed);
  return Date.parse(trimmed.replace(" ", "T")) / 1000;
}

export function isRelative(text) {
  return String(text).trim().startsWith("now");
}

/** What a range is called: a preset's name, or its two ends. */
export function rangeName(from, until) {
  const preset = until === "now" && PRESETS.find(([text]) => text === from);
  if (preset) return preset[1];
  if (isRelative(from) || isRelative(until)) return `${from} to ${until}`;
  return span(resolve(from), resolve(until));
}

/** Two times, the second without the day if it is the same. */
export function span(from, until) {
  const sameDay = new Date(from * 1000).toDateString() === new Date(until * 1000).toDateString();
  return `${dateTime(from)} – ${sameDay ? clock(until) : dateTime(until)}`;
}

/** `2026-11-29 13:05:07`, in the reader's zone. */
export function dateTime(time) {
  const date = new Date(time * 1000);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(time)}`;
}

/** `13:05:07` */
export function clock(time, withSeconds = true) {
  const date = new Date(time * 1000);
  return `${two(date.getHours())}:${two(date.getMinutes())}${withSeconds ? `:${two(date.getSeconds())}` : ""}`;
}

/** `2h 30m`, `45s` */
export function duration(seconds) {
  const rounded = seconds < 10 ? Math.round(seconds * 10) / 10 : Math.round(seconds);
  const parts = [];
  let left = rounded;
  for (const [name, size] of [["d", 86_400], ["h", 3600], ["m", 60]]) {
    if (left >= size) parts.push(`${Math.floor(left / size)}${name}`);
    left %= size;
  }
  if (left || !parts.length) parts.push(`${Math.round(left * 10) / 10}s`);
  return parts.slice(0, 2).join(" ");
}

/** The step that divides a range into at most so many. */
export function stepFor(seconds, most) {
  return STEPS.find((step) => seconds / step <= most) ?? Math.ceil(seconds / most / 86_400) * 86_400;
}

/** Where marks stand on an axis, at even times of the reader's zone, and how they are called. */
export function marks(from, until, most) {
  const step = stepFor(until - from, most);
  const offset = new Date(from * 1000).getTimezoneOffset() * 60;
  const found = [];
  for (let time = Math.ceil((from - offset) / step) * step + offset; time <= until; time += step) {
    const date = new Date(time * 1000);
    const isMidnight = date.getHours() === 0 && date.getMinutes() === 0 && step >= 60;
    const day = `${date.toLocaleString("en-US", { month: "short" })} ${date.getDate()}`;
    found.push({ time, text: isMidnight || step >= 86_400 ? day : clock(time, step < 60) });
  }
  return found;
}

function two(number) {
  return String(number).padStart(2, "0");
}

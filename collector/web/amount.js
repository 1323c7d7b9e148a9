/** Amounts as a person reads them: `1.24 s`, `12.3 %`. Units are those that the collector names. */

const SCALES = {
  nanoseconds: { steps: [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]], smallest: "ns" },
  bytes: { steps: [[1024 ** 4, "TiB"], [1024 ** 3, "GiB"], [1024 ** 2, "MiB"], [1024, "KiB"]], smallest: "B" },
};
const COUNTS = [[1e9, "G"], [1e6, "M"], [1e4, "k"]];

/** Three significant digits in the largest unit that the amount reaches. */
export function amount(value, unit) {
  const scale = SCALES[unit];
  if (scale) return scaled(value, scale.steps, scale.smallest);
  const text = Math.abs(value) < 1e4 ? grouped(Math.round(value * 100) / 100) : scaled(value, COUNTS, "");
  return unit && unit !== "count" ? `${text} ${unit}` : text;
}

/** The amount to the last digit: `1,234,567,890 ns`. */
export function exact(value, unit) {
  const name = SCALES[unit]?.smallest ?? (unit === "count" ? "" : unit);
  return `${grouped(value)} ${name}`.trim();
}

/** A rate over some seconds: CPU time as the number of CPUs that it keeps busy, all else as an amount a second. */
export function rate(value, unit, seconds) {
  if (unit === "nanoseconds") return `${significant(value / seconds / 1e9)} CPU`;
  return `${amount(value / seconds, unit)}/s`;
}

/** Seconds as `1.24 s`. */
export function seconds(value) {
  return value === 0 ? "0 s" : scaled(value * 1e9, SCALES.nanoseconds.steps, "ns");
}

/** `12.3 %`, and never `0 %` of something. */
export function share(part, whole) {
  const percent = whole > 0 ? (part / whole) * 100 : 0;
  if (percent === 0) return "0 %";
  if (percent < 0.01) return "< 0.01 %";
  return `${percent.toFixed(percent < 0.995 ? 2 : percent < 99.95 ? 1 : 0)} %`;
}

/** How a share moved, in points of a percent: `+3.2 pp`, `−0.04 pp`, `±0`. */
export function change(share, base) {
  const points = (share - base) * 100;
  const size = Math.abs(points);
  if (size < 0.005) return "±0";
  return `${points > 0 ? "+" : "−"}${size.toFixed(size < 0.995 ? 2 : 1)} pp`;
}

/** `1,234,567` */
export function grouped(number) {
  return number.toLocaleString("en-US", { maximumFractionDigits: 2 });
}

/** Three significant digits without an exponent. */
export function significant(number) {
  const size = Math.abs(number);
  if (size === 0) return "0";
  return number.toFixed(size < 0.00995 ? 4 : size < 0.0995 ? 3 : size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

function scaled(value, steps, smallest) {
  const [size, name] = steps.find(([size]) => Math.abs(value) >= size) ?? [1, smallest];
  const number = value / size;
  const digits = size === 1 && Number.isInteger(number) ? 0 : Math.abs(number) < 9.995 ? 2 : Math.abs(number) < 99.95 ? 1 : 0;
  return `${number.toFixed(digits)} ${name}`.trim();
}

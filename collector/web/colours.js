/**
 * What colour a frame has. All colours of functions are equally light, so that every label can be read and none cries
 * out; hues tell packages, a shade the function. Phases of the event loop have the colours that they have in our SVG.
 */

import { hashOf } from "./layout.js";
import { PHASES } from "./tree.js";

/** The phases of an event loop, by day and by night. White labels have a contrast of at least 4.8. */
export const PHASE_COLOURS = {
  timers: "#2063b0", pending: "#046f87", idle: "#60697b", prepare: "#5e5a9a", poll_wait: "#677380",
  poll_callbacks: "#067067", check: "#9b418b", close: "#7d4e33", ticks: "#3f46ac", microtasks: "#7847a6",
};
const PHASE_HUES = {
  timers: 254, pending: 215, idle: 265, prepare: 284, poll_wait: 240, poll_callbacks: 183, check: 335, close: 50,
  ticks: 274, microtasks: 305,
};
/** More and less than before, told apart by every kind of colour vision; from little to much. */
const DIFF = {
  light: {
    more: ["#f8e3cf", "#f6cda6", "#f1b078", "#e8914b", "#d9742a"], less: ["#dce7f5", "#bcd4ef", "#94bbe6", "#689edb", "#2c69b4"],
    same: "#e4e6ea", ink: "#1d1d1f",
  },
  dark: {
    more: ["#4d3a2a", "#66442a", "#804d24", "#9b571d", "#a65a12"], less: ["#2b3c50", "#2a4767", "#275480", "#22629c", "#1f6fb8"],
    same: "#3a3d43", ink: "#f2f3f5",
  },
};
/** From which factor of a share on, by its logarithm to base 2, a change has which colour. */
const DIFF_STEPS = [0.05, 0.25, 0.6, 1.2, 2.5];

/** The package of a function, by the manners of the languages: `std::io::read`, `net/http.Get`, `uv__io_poll`. */
export function packageOf(name) {
  if (name.startsWith("[")) return name;
  const script = /(?:^|[\s(])(?:file:\/\/)?((?:node:|\/|\.\/)[^\s():]+)/.exec(name)?.[1];
  if (script?.startsWith("node:")) return script;
  if (script) return /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(script)?.[1] ?? script.replace(/[^/]*$/, "");
  const go = /^((?:[\w.-]+\/)*[\w-]+)\.[\w(*]/.exec(name)?.[1];
  if (go) return go;
  const path = /^[<&(*\s]*(?:dyn |mut |impl )?([A-Za-z_][\w$]*)::/.exec(name)?.[1];
  if (path) return path;
  return /^_*([A-Za-z0-9]+)_/.exec(name)?.[1] ?? "";
}

/** Colours of one layout in one mode. */
export class Colours {
  /**
   * @param profile `{ names, layout }` @param mode `package` or `phase` @param dark Whether it is night.
   */
  constructor({ names, phases, layout, total, base_total: base }, mode, dark) {
    Object.assign(this, { names, phases, layout });
    this.totals = { total, base };
    this.dark = dark;
    /** By name, as far as it was asked for: of a hundred thousand names few are in sight. */
    this.byPackage = [];
    /** What the collector left out. */
    this.other = names.indexOf("(other)");
    this.hue = mode === "phase" ? this.#phaseHues() : null;
    const shades = (hue, chroma) => [0, 1, 2].map((shade) => this.#colour(hue, chroma, shade));
    this.byHue = Object.fromEntries(Object.values(PHASE_HUES).map((hue) => [hue, shades(hue, 0.055)]));
    this.byHue[-1] = shades(0, 0);
  }

  /** The fill of a frame, and whether its label must be light. */
  of(node) {
    const { layout } = this;
    const name = layout.name[node];
    const phase = this.#phaseOf(name);
    if (name === this.other) return { fill: this.dark ? "#4a4d52" : "#cfd1d5", light: this.dark };
    if (layout.isDiff) return this.#changeColour(node);
    // Between its callers and its callees stands what they are those of.
    if (layout.level[node] === 0 && layout.rows.has(-1)) return { fill: this.dark ? "#2a5f9e" : "#2063b0", light: true };
    if (phase) return { fill: PHASE_COLOURS[phase], light: true };
    if (layout.level[node] === 0) return { fill: this.dark ? "#2d3035" : "#e9ebef", light: this.dark };
    if (this.hue) return { fill: this.byHue[this.hue[node]][name % 3], light: this.dark };
    return { fill: this.ofName(name), light: this.dark };
  }

  /** The colour of a function, whatever calls it. */
  ofName(name) {
    const phase = this.#phaseOf(name);
    return phase ? PHASE_COLOURS[phase] : (this.byPackage[name] ??= this.#packageColour(this.names[name]));
  }

  #phaseOf(name) {
    return PHASES[this.phases[name] - 1];
  }

  #packageColour(name) {
    const home = packageOf(name);
    const shade = (hashOf(name) >>> 3) % 3;
    // Hues of the phases' blues are left to them: from red over yellow to green, twenty steps. Who has no package is paler.
    return this.#colour(36 + ((hashOf(home || name) >>> 5) % 20) * 6.8, home ? 0.085 : 0.045, shade);
  }

  #colour(hue, chroma, shade) {
    const light = this.dark ? 0.43 - shade * 0.022 : 0.845 + shade * 0.022;
    return hex(light, this.dark ? chroma * 0.8 : chroma, hue);
  }

  /** By node, the hue of the outermost phase that it is in, or -1. */
  #phaseHues() {
    const { layout } = this;
    const hues = new Int16Array(layout.parent.length).fill(-1);
    for (let node = 0; node < hues.length; node++) {
      const up = layout.parent[node] < 0 ? -1 : hues[layout.parent[node]];
      const phase = this.#phaseOf(layout.name[node]);
      hues[node] = up >= 0 || !phase ? up : PHASE_HUES[phase];
    }
    return hues;
  }

  #changeColour(node) {
    const { layout } = this;
    const set = DIFF[this.dark ? "dark" : "light"];
    const now = layout.total[node] / (this.totals.total || 1);
    const base = layout.base_total[node] / (this.totals.base || 1);
    const step = changeStep(now, base);
    if (step === 0) return { fill: set.same, light: this.dark };
    const fill = (step > 0 ? set.more : set.less)[Math.abs(step) - 1];
    return { fill, light: this.dark || step === -5 };
  }
}

/** A colour of the Oklch space as `#rrggbb`, which a canvas reads ten times as fast. */
function hex(light, chroma, hue) {
  const [a, b] = [Math.cos, Math.sin].map((f) => chroma * f((hue * Math.PI) / 180));
  const [l, m, s] = [0.3963377774 * a + 0.2158037573 * b, -0.1055613458 * a - 0.0638541728 * b, -0.0894841775 * a - 1.291485548 * b]
    .map((part) => (light + part) ** 3);
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s, -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  const bytes = linear.map((part) => {
    const gamma = part <= 0.0031308 ? 12.92 * part : 1.055 * part ** (1 / 2.4) - 0.055;
    return Math.round(Math.min(Math.max(gamma, 0), 1) * 255).toString(16).padStart(2, "0");
  });
  return `#${bytes.join("")}`;
}

/** How much a share has changed: 0 for not to speak of, up to 5 for more, down to -5 for less. */
export function changeStep(now, base) {
  const least = 1e-5;
  const factor = Math.log2((now + least) / (base + least));
  const step = DIFF_STEPS.filter((from) => Math.abs(factor) >= from).length;
  // What is hardly there can change by any factor.
  return Math.abs(now - base) < 2e-4 ? 0 : Math.sign(factor) * step;
}

/** The colours of the legend of a comparison: from much less to much more. */
export function diffLegend(dark) {
  const { less, same, more } = DIFF[dark ? "dark" : "light"];
  return [...less.toReversed(), same, ...more];
}

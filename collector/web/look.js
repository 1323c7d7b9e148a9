/** What the page looks like where a script draws it: colours of the theme, names of series, and that it is at work. */

import { PHASE_COLOURS } from "./colours.js";
import { byId } from "./dom.js";

/** An answer within this time is shown without a word. */
const QUIET_MS = 150;

/** The colours of the theme that holds now. */
export function readTheme() {
  const { theme } = document.documentElement.dataset;
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  byId("theme").title = `Theme: ${theme ?? "as the system's"}`;
  byId("theme").setAttribute("aria-label", byId("theme").title);
  const style = getComputedStyle(byId("theme"));
  const probe = document.body.appendChild(document.createElement("i"));
  const colour = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const found = {
    dark, phases: PHASE_COLOURS, font: style.fontFamily, ink: colour("ink"), faint: colour("faint"), line: colour("line"), match: "#d11763",
    plain: colour("plain"), lag: colour("lag"), lagMax: colour("lag-max"), lagArea: colour("lag-area"),
  };
  probe.remove();
  return found;
}

/** Takes the next theme: dark and light in turns, then the system's again. */
export function turnTheme() {
  const { dataset } = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const other = system === "dark" ? "light" : "dark";
  const next = { undefined: other, [other]: system, [system]: undefined }[dataset.theme];
  if (next) {
    dataset.theme = next;
    localStorage.setItem("theme", next);
  } else {
    delete dataset.theme;
    localStorage.removeItem("theme");
  }
}

/** The colour of a series on the timeline. */
export function colourOf({ phase }, theme) {
  return theme.phases[phase] ?? theme.plain;
}

/** The name of a series on the timeline: a phase, or what ran in none where there are phases. */
export function phaseName({ phase }, hasPhases) {
  return phase?.replaceAll("_", " ") || (hasPhases ? "outside of the loop" : "all");
}

/** Tells that the page waits, if that takes long enough to be noticed. */
export class Loading {
  #count = 0;
  #timer;

  get isBusy() {
    return this.#count > 0;
  }

  async during(call) {
    if (this.#count++ === 0) this.#timer = setTimeout(() => this.#show(true), QUIET_MS);
    try {
      return await call();
    } finally {
      if (--this.#count === 0) {
        clearTimeout(this.#timer);
        this.#show(false);
      }
    }
  }

  #show(isBusy) {
    byId("progress").hidden = !isBusy;
    document.body.classList.toggle("busy", isBusy);
  }
}

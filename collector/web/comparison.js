/** The bar that tells what is compared with what, and changes that. */

import { byId, html } from "./dom.js";
import { diffLegend } from "./colours.js";
import { parse } from "./selector.js";
import { part, partText } from "./state.js";
import { span } from "./time.js";

export class Comparison {
  /** @param state What the page shows. @param timeline Where the two ranges are dragged. @param window Tells the whole time. */
  constructor(state, timeline, window) {
    Object.assign(this, { state, timeline, window });
    byId("compare").addEventListener("click", () => this.toggle());
    byId("compare-end").addEventListener("click", () => this.toggle());
    byId("before").addEventListener("click", () => state.set({ base: partText(this.#before()) }));
    byId("swap").addEventListener("click", () => this.#swap());
    byId("drags").addEventListener("change", (event) => { timeline.active = event.target.value; });
    const field = byId("base-query");
    field.addEventListener("change", () => {
      try {
        if (field.value.trim()) parse(field.value);
        field.setCustomValidity("");
        state.set({ base_query: field.value.trim() });
      } catch (error) {
        field.setCustomValidity(error.message);
        field.reportValidity();
      }
    });
  }

  /** Begins to compare, with a sensible base, or ends it. */
  toggle() {
    const { state } = this;
    if (state.base) return state.set({ base: "", base_query: "" });
    const [from, until] = this.window();
    const middle = Math.round((from + until) / 2);
    // A selection is compared with the time before it; all of the time in two halves.
    if (part(state.select)) state.set({ base: partText(this.#before()) });
    else state.set({ base: partText([from, middle]), select: partText([middle, until]) });
  }

  show(dark) {
    const { state, timeline } = this;
    const isOn = !!state.base;
    byId("comparison").hidden = !isOn;
    byId("compare").setAttribute("aria-pressed", String(isOn));
    document.body.classList.toggle("comparing", isOn);
    if (!isOn) return;
    const text = (range) => (range ? span(...range) : "all of the time");
    byId("base-range").textContent = text(part(state.base));
    byId("select-range").textContent = text(part(state.select));
    byId("base-query").value = state.base_query;
    byId("drags").querySelector(`[value=${timeline.active}]`).checked = true;
    const swatches = diffLegend(dark).map((colour) => {
      const swatch = html("i");
      swatch.style.background = colour;
      return swatch;
    });
    byId("diff-legend").replaceChildren("less", ...swatches, "more");
  }

  #before() {
    const [from, until] = part(this.state.select) ?? this.window();
    return [from - (until - from), from];
  }

  #swap() {
    const { state } = this;
    const all = partText(this.window());
    const query = state.base_query && state.base_query !== state.query ? { query: state.base_query, base_query: state.query } : {};
    state.set({ base: state.select || all, select: state.base === "all" ? "" : state.base, ...query });
  }
}

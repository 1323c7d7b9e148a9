/** Filters by labels, as chips and a popup with the values that there are. Tells by `change` (`{ selector }`). */

import { PHASE_COLOURS } from "./colours.js";
import { byId, html, icon } from "./dom.js";
import { placeBelow } from "./popup.js";
import { isService, valuesOf, withValues } from "./selector.js";

/** Of a label with more values, a field finds those that are meant. */
const FIELD_FROM = 10;
const MOST_SHOWN = 100;

export class Filters extends EventTarget {
  constructor() {
    super();
    this.chips = byId("chips");
    this.popup = byId("labels-popup");
    this.add = html("button", { type: "button", class: "chip add", popovertarget: "labels-popup", title: "Filter by labels" }, icon("plus"), "Filter");
    placeBelow(this.popup, this.add);
    this.labels = {};
    this.selector = { type: "", matchers: [] };
    this.popup.addEventListener("toggle", (event) => event.newState === "open" && this.#build());
  }

  /** `labels` as the collector's: every label with its values. */
  show(selector, labels) {
    this.selector = selector;
    this.labels = labels;
    const chips = selector.matchers.filter(({ label }) => !isService(label)).map(({ label, operator, value }) => html("span", { class: "chip" },
      html("button", { type: "button", class: "text", click: () => this.popup.showPopover(), title: "Change" },
        html("b", {}, label), ` ${operator === "=~" || operator === "=" ? "" : `${operator} `}${value.replaceAll("|", ", ")}`),
      html("button", { type: "button", "aria-label": `Without the filter ${label}`, title: "Remove", click: () => this.#without(label, operator, value) }, icon("close"))));
    this.chips.replaceChildren(...chips, this.add);
  }

  #without(label, operator, value) {
    const matchers = this.selector.matchers.filter((one) => one.label !== label || one.operator !== operator || one.value !== value);
    this.#tell({ ...this.selector, matchers });
  }

  /** The selector with this value alone, or without it if it is alone already. */
  toggleOnly(label, value) {
    const values = valuesOf(this.selector, label);
    this.#tell(withValues(this.selector, label, values?.length === 1 && values[0] === value ? [] : [value]));
  }

  #tell(selector) {
    this.selector = selector;
    this.dispatchEvent(new CustomEvent("change", { detail: { selector } }));
  }

  #build() {
    const names = Object.keys(this.labels).filter((label) => !isService(label) && !label.startsWith("__"));
    const order = (label) => ["phase", "loop", "host", "pid"].indexOf(label) + 1 || 9;
    names.sort((a, b) => order(a) - order(b) || (a < b ? -1 : 1));
    this.popup.replaceChildren(...names.map((label) => this.#group(label)));
    if (!names.length) this.popup.append(html("p", { class: "hint" }, "These profiles have no labels to filter by."));
  }

  #group(label) {
    const values = this.labels[label];
    const rows = html("div", { class: "values" });
    const fill = (text) => {
      const shown = values.filter((value) => value.toLowerCase().includes(text.toLowerCase()));
      const chosen = valuesOf(this.selector, label) ?? [];
      rows.replaceChildren(...shown.slice(0, MOST_SHOWN).map((value) => {
        const box = html("input", { type: "checkbox", change: () => this.#toggle(label, value, box.checked) });
        box.checked = chosen.includes(value);
        const swatch = label === "phase" && html("i", { class: "swatch" });
        if (swatch) swatch.style.background = PHASE_COLOURS[value] ?? "";
        return html("label", {}, box, swatch, html("span", {}, value || "(none)"));
      }));
      if (shown.length > MOST_SHOWN) rows.append(html("p", { class: "hint" }, `and ${shown.length - MOST_SHOWN} more`));
    };
    fill("");
    const field = values.length >= FIELD_FROM && html("input", {
      type: "search", placeholder: `${values.length} values`, "aria-label": `Values of ${label}`, input: () => fill(field.value),
    });
    return html("fieldset", {}, html("legend", {}, label), field, rows);
  }

  #toggle(label, value, isWanted) {
    const values = new Set(valuesOf(this.selector, label));
    if (isWanted) values.add(value);
    else values.delete(value);
    this.#tell(withValues(this.selector, label, [...values]));
  }
}

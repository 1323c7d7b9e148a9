/** The choice of the time: presets, two fields, back and forth. Tells by the event `change` (`{ from, until }`). */

import { byId, html } from "./dom.js";
import { placeBelow } from "./popup.js";
import { dateTime, isRelative, PRESETS, rangeName, resolve } from "./time.js";

export class RangePicker extends EventTarget {
  constructor() {
    super();
    this.popup = byId("range-popup");
    this.button = byId("range");
    placeBelow(this.popup, this.button);
    this.from = "now-1h";
    this.until = "now";
    this.#build();
    byId("earlier").addEventListener("click", () => this.#shift(-0.5));
    byId("later").addEventListener("click", () => this.#shift(0.5));
    byId("wider").addEventListener("click", () => this.#widen());
  }

  set(from, until) {
    Object.assign(this, { from, until });
    this.button.textContent = rangeName(from, until);
    for (const preset of this.popup.querySelectorAll("[data-from]")) {
      preset.setAttribute("aria-pressed", String(until === "now" && preset.dataset.from === from));
    }
    const text = (time) => (isRelative(time) ? time : dateTime(resolve(time)));
    this.fields.from.value = text(from);
    this.fields.until.value = text(until);
    this.error.textContent = "";
  }

  #build() {
    const presets = PRESETS.map(([from, name]) => html("button", {
      type: "button", "data-from": from, click: () => this.#tell(from, "now"),
    }, name));
    const field = (name) => html("input", { type: "text", id: `range-${name}`, spellcheck: "false", autocomplete: "off" });
    this.fields = { from: field("from"), until: field("until") };
    this.error = html("output", { class: "error" });
    const form = html("form", { submit: (event) => { event.preventDefault(); this.#apply(); } },
      html("label", { for: "range-from" }, "From"), this.fields.from, html("label", { for: "range-until" }, "Until"), this.fields.until,
      html("p", { class: "hint" }, "2026-01-31 13:45, now-90m, or UNIX seconds"), this.error,
      html("button", { type: "submit", class: "primary" }, "Show"));
    this.popup.replaceChildren(html("div", { class: "presets", role: "group", "aria-label": "Presets" }, ...presets), form);
  }

  #apply() {
    const [from, until] = [this.fields.from.value.trim(), this.fields.until.value.trim()];
    const [begin, end] = [resolve(from), resolve(until)];
    if (Number.isNaN(begin)) this.error.textContent = `not a time: ${from}`;
    else if (Number.isNaN(end)) this.error.textContent = `not a time: ${until}`;
    else if (end <= begin) this.error.textContent = "it ends before it begins";
    else this.#tell(isRelative(from) ? from : String(begin), isRelative(until) ? until : String(end));
  }

  #shift(part) {
    const [begin, end] = [resolve(this.from), resolve(this.until)];
    const by = (end - begin) * part;
    const now = Date.now() / 1000;
    // Back at the present a range goes on with it.
    if (end + by >= now && this.until === "now") return;
    this.#tell(whole(begin + by), whole(end + by));
  }

  #widen() {
    const [begin, end] = [resolve(this.from), resolve(this.until)];
    const more = (end - begin) / 2;
    const relative = /^now-(\d+)([smhdw])$/.exec(this.from);
    if (this.until === "now" && relative) this.#tell(`now-${relative[1] * 2}${relative[2]}`, "now");
    else this.#tell(whole(begin - more), whole(Math.min(end + more, Date.now() / 1000)));
  }

  #tell(from, until) {
    if (this.popup.matches(":popover-open")) this.popup.hidePopover();
    this.dispatchEvent(new CustomEvent("change", { detail: { from, until } }));
  }
}

function whole(time) {
  return String(Math.round(time));
}

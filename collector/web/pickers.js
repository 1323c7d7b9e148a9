/**
 * What is asked for: the service, the type of profile, the labels, the time, and all of it as a selector that can be
 * written by hand. Changes go into the state; `again` is told where the same is asked for once more.
 */

import { Combobox } from "./combobox.js";
import { byId } from "./dom.js";
import { Filters } from "./filters.js";
import { RangePicker } from "./range.js";
import { format, isService, parse, serviceOf, typeName, withValues } from "./selector.js";

export class Pickers extends EventTarget {
  #service = new Combobox(byId("service"), { label: "Service", placeholder: "service" });
  #range = new RangePicker();
  #labels = {};

  /** @param state What the page shows. */
  constructor(state) {
    super();
    this.state = state;
    this.filters = new Filters();
    /** What is known of services: `[{ name, types, from, until }]`. */
    this.services = [];
    this.#service.addEventListener("choose", ({ detail: { value } }) => this.#choose(value));
    this.#range.addEventListener("change", ({ detail }) => state.set({ ...detail, select: "", base: "" }));
    this.filters.addEventListener("change", ({ detail: { selector } }) => state.set({ query: format(selector) }));
    byId("type").addEventListener("change", (event) => state.set({ query: format({ ...this.selector, type: event.target.value }) }));
    byId("group").addEventListener("change", (event) => state.set({ group: event.target.value, zoom: "" }));
    byId("selector").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#take(byId("query").value.trim());
    });
  }

  /** The selector, taken apart; an empty one if it is none. */
  get selector() {
    try {
      return parse(this.state.query);
    } catch {
      return { type: "", matchers: [] };
    }
  }

  /** Brings everything to what the state says. */
  show() {
    const { state, selector } = this;
    this.#range.set(state.from, state.until);
    this.#service.setValue(serviceOf(selector) ?? "");
    byId("query").value = state.query;
    byId("query-error").textContent = "";
    this.filters.show(selector, this.#labels);
    this.#offerTypes();
    this.#offerGroups();
  }

  /** Offers these services, and the types of the one that is chosen. */
  offer(services) {
    this.services = services;
    const note = ({ types }) => `${types.length} type${types.length === 1 ? "" : "s"}`;
    this.#service.setOptions(services.map((service) => ({ value: service.name, note: note(service) })));
    this.#offerTypes();
  }

  /** Offers these labels with their values. */
  offerLabels(labels) {
    this.#labels = labels;
    this.filters.show(this.selector, labels);
    this.#offerGroups();
  }

  #offerTypes() {
    const { selector } = this;
    const types = this.#typesOf(serviceOf(selector));
    const all = types.includes(selector.type) || !selector.type ? types : [selector.type, ...types];
    const any = selector.type ? [] : [new Option("any type", "")];
    byId("type").replaceChildren(...any, ...all.map((type) => new Option(typeName(type), type, false, type === selector.type)));
  }

  #offerGroups() {
    const labels = Object.keys(this.#labels).filter((label) => !isService(label) && label !== "phase");
    const options = [["phase", "by phase"], ["none", "no phases"], ...labels.map((label) => [label, `by ${label}`])];
    byId("group").replaceChildren(...options.map(([value, text]) => new Option(text, value, false, value === this.state.group)));
  }

  #typesOf(name) {
    return this.services.find((service) => service.name === name)?.types ?? [];
  }

  #choose(name) {
    const types = this.#typesOf(name);
    const { type } = this.selector;
    const chosen = types.includes(type) ? type : typeOf(types);
    this.state.set({ query: format(withValues({ type: chosen, matchers: [] }, "service", [name])), zoom: "", focus: "" });
  }

  #take(text) {
    try {
      parse(text);
    } catch (error) {
      byId("query-error").textContent = error.message;
      return;
    }
    if (text === this.state.query) this.dispatchEvent(new Event("again"));
    else this.state.set({ query: text, zoom: "" });
  }
}

/** Whether a type is the time that was spent on CPUs. */
export function isCpu(type) {
  return type.startsWith("process_cpu:cpu:");
}

/** The type that is shown first: CPU time where there is one. */
export function typeOf(types) {
  return types.find(isCpu) ?? types[0] ?? "";
}

/** A field that offers what matches the text typed into it. Tells by the event `choose` (`{ value }`). */

import { html, icon } from "./dom.js";

/** More are told by their number only. */
const MOST_OFFERED = 200;

export class Combobox extends EventTarget {
  #options = [];
  #offered = [];
  #at = -1;

  /** @param {HTMLElement} root The element to build in. @param label What is chosen, for readers of screens. */
  constructor(root, { label, placeholder }) {
    super();
    this.value = "";
    const id = `${root.id}-list`;
    this.list = html("ul", { id, role: "listbox", "aria-label": label, class: "popup options", popover: "manual", mousedown: (event) => this.#pick(event) });
    this.field = html("input", {
      type: "text", role: "combobox", "aria-label": label, "aria-controls": id, "aria-expanded": "false", "aria-autocomplete": "list",
      autocomplete: "off", spellcheck: "false", placeholder, title: label,
      focus: () => this.#open(), click: () => this.#open(), blur: () => this.#close(), input: () => this.#offer(this.field.value), keydown: (event) => this.#key(event),
    });
    root.append(this.field, icon("down"), this.list);
    this.root = root;
  }

  /** Offers these: `[{ value, note }]`. */
  setOptions(options) {
    this.#options = options;
    if (this.#isOpen) this.#offer(this.#filter);
  }

  setValue(value) {
    this.value = value;
    if (!this.#isOpen) this.field.value = value;
    this.field.size = Math.min(Math.max(value.length, 8), 32);
  }

  get #isOpen() {
    return this.list.matches(":popover-open");
  }

  /** What is typed, once it differs from what is chosen. */
  get #filter() {
    return this.field.value === this.value ? "" : this.field.value;
  }

  #open() {
    if (this.#isOpen) return;
    this.field.select();
    this.list.showPopover();
    this.field.setAttribute("aria-expanded", "true");
    const box = this.field.getBoundingClientRect();
    this.list.style.left = `${box.left}px`;
    this.list.style.top = `${box.bottom + 4}px`;
    this.list.style.minWidth = `${box.width}px`;
    this.#offer("");
  }

  #close() {
    if (!this.#isOpen) return;
    this.list.hidePopover();
    this.field.setAttribute("aria-expanded", "false");
    this.field.removeAttribute("aria-activedescendant");
    this.field.value = this.value;
  }

  #offer(text) {
    if (!this.#isOpen) this.#open();
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const matching = this.#options.filter(({ value }) => words.every((word) => value.toLowerCase().includes(word)));
    this.#offered = matching.slice(0, MOST_OFFERED);
    this.list.replaceChildren(...this.#offered.map(({ value, note }, at) => html("li", {
      role: "option", id: `${this.list.id}-${at}`, "data-at": at, "aria-selected": String(value === this.value),
    }, html("span", {}, value), note && html("small", {}, note))));
    const more = matching.length - this.#offered.length;
    if (more > 0) this.list.append(html("li", { class: "note" }, `and ${more} more`));
    if (!matching.length) this.list.append(html("li", { class: "note" }, "none matches"));
    this.#mark(Math.max(this.#offered.findIndex(({ value }) => value === this.value), 0));
  }

  #mark(at) {
    this.#at = at;
    for (const option of this.list.querySelectorAll("[role=option]")) {
      option.classList.toggle("cursor", Number(option.dataset.at) === at);
      if (Number(option.dataset.at) !== at) continue;
      option.scrollIntoView({ block: "nearest" });
      this.field.setAttribute("aria-activedescendant", option.id);
    }
  }

  #pick(event) {
    // The field keeps the focus.
    event.preventDefault();
    const option = event.target.closest("[role=option]");
    if (option) this.#choose(Number(option.dataset.at));
  }

  #choose(at) {
    const chosen = this.#offered[at];
    if (!chosen) return;
    this.value = chosen.value;
    this.#close();
    this.field.value = chosen.value;
    this.dispatchEvent(new CustomEvent("choose", { detail: { value: chosen.value } }));
  }

  #key(event) {
    const last = this.#offered.length - 1;
    switch (event.key) {
      case "ArrowDown": if (this.#isOpen) this.#mark(Math.min(this.#at + 1, last)); else this.#open(); break;
      case "ArrowUp": this.#mark(Math.max(this.#at - 1, 0)); break;
      case "Enter": if (this.#isOpen) this.#choose(this.#at); break;
      case "Escape": this.#close(); break;
      default: return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}

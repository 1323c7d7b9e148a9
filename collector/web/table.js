/**
 * The functions as a table: of however many rows, only those in sight are in the document. Tells by events: `choose`
 * (`{ name }`: make it stand out), `focus` (`{ name }`: callers and callees), `sort` (`{ key }`).
 */

import { amount, change, exact, share } from "./amount.js";
import { html, icon } from "./dom.js";

const ROW_HEIGHT = 24;
const MARGIN_ROWS = 6;
const COLUMNS = [
  { key: "name", title: "Function", hint: "What the function is called" },
  { key: "self", title: "Self", hint: "Spent in the function itself" },
  { key: "total", title: "Total", hint: "Spent in the function and all that it called" },
];
const DIFF_COLUMNS = [
  COLUMNS[0],
  { key: "base", title: "Base", hint: "Total, as a share of the base" },
  { key: "total", title: "Now", hint: "Total, as a share of what is compared with it" },
  { key: "change", title: "Change", hint: "How the share of the total moved, in points of a percent" },
  { key: "self", title: "Self change", hint: "How the share of the function itself moved" },
];

export class FunctionTable extends EventTarget {
  #rows = [];
  #cursor = -1;

  /** @param {HTMLElement} root The element to build in. */
  constructor(root) {
    super();
    this.head = html("div", { class: "head", role: "row", "aria-rowindex": "1" });
    this.space = html("div", { class: "space", role: "presentation" });
    this.body = html("div", {
      class: "body", tabindex: "0", role: "rowgroup", "aria-label": "Functions; arrows move, Enter marks in the graph, Shift-Enter shows callers and callees",
      scroll: () => this.#draw(), keydown: (event) => this.#key(event), click: (event) => this.#click(event),
    }, this.space);
    root.setAttribute("role", "table");
    root.setAttribute("aria-label", "Functions");
    root.replaceChildren(html("div", { role: "rowgroup" }, this.head), this.body);
    this.root = root;
    this.sorted = { key: "self", reverse: false };
    this.chosen = -1;
    new ResizeObserver(() => this.#draw()).observe(this.body);
  }

  /** Shows `{ names, functions, unit, total, base_total }`; `swatch(name)` is the colour of a function. */
  show(profile, swatch) {
    this.profile = profile;
    this.swatch = swatch;
    this.isDiff = !!profile.functions.base_total;
    this.root.classList.toggle("diff", this.isDiff);
    this.#arrange();
  }

  /** Shows only what a search found: by name, whether it is; null for all. */
  setFound(found) {
    this.found = found;
    this.#arrange();
  }

  /** Sorts by a column's key, with `-` before it the other way round. */
  sort(text) {
    const key = text.replace(/^-/, "");
    this.sorted = { key, reverse: text.startsWith("-") };
    this.#arrange();
  }

  /** Marks the row of a function, and shows it; -1 for none. */
  choose(name) {
    this.chosen = name;
    const at = this.#rows.findIndex((row) => this.#nameOf(row) === name);
    if (at >= 0) this.#moveTo(at);
    else this.#draw();
  }

  /** How many rows there are, after filtering. */
  get length() {
    return this.#rows.length;
  }

  #nameOf(row) {
    return this.profile.functions.name[row];
  }

  #arrange() {
    if (!this.profile) return;
    const { name, orders } = this.profile.functions;
    const columns = this.isDiff ? DIFF_COLUMNS : COLUMNS;
    if (!columns.some(({ key }) => key === this.sorted.key)) this.sorted = { key: "total", reverse: false };
    const { key, reverse } = this.sorted;
    const order = (reverse && orders[`-${key}`]) || (reverse ? orders[key].toReversed() : orders[key]);
    this.#rows = this.found ? order.filter((row) => this.found[name[row]]) : order;
    this.#drawHead(columns);
    this.root.setAttribute("aria-rowcount", this.#rows.length + 1);
    this.space.style.height = `${this.#rows.length * ROW_HEIGHT}px`;
    this.#cursor = -1;
    this.#draw();
  }

  #drawHead(columns) {
    const focused = this.head.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    this.head.replaceChildren(...columns.map(({ key, title, hint }) => {
      const isSorted = this.sorted.key === key;
      const direction = (key === "name") === this.sorted.reverse ? "descending" : "ascending";
      const button = html("button", { type: "button", title: hint, "data-key": key, click: () => this.#sortBy(key) }, title, isSorted && icon(direction));
      return html("div", { role: "columnheader", class: key, "aria-sort": isSorted ? direction : "none" }, button);
    }));
    if (focused) this.head.querySelector(`[data-key="${focused}"]`)?.focus();
  }

  #sortBy(key) {
    const reverse = this.sorted.key === key && !this.sorted.reverse;
    this.dispatchEvent(new CustomEvent("sort", { detail: { key: `${reverse ? "-" : ""}${key}` } }));
  }

  #draw() {
    if (!this.profile) return;
    const { scrollTop, clientHeight } = this.body;
    const first = Math.max(Math.floor(scrollTop / ROW_HEIGHT) - MARGIN_ROWS, 0);
    const last = Math.min(Math.ceil((scrollTop + clientHeight) / ROW_HEIGHT) + MARGIN_ROWS, this.#rows.length);
    const rows = [];
    for (let at = first; at < last; at++) rows.push(this.#row(at));
    this.space.replaceChildren(...rows);
    if (!this.#rows.length) this.space.append(html("p", { class: "nothing" }, this.found ? "No function matches." : "No functions."));
  }

  #row(at) {
    const row = this.#rows[at];
    const name = this.#nameOf(row);
    const text = this.profile.names[name];
    const swatch = html("i", { class: "swatch" });
    swatch.style.background = this.swatch(name);
    const element = html("div", {
      class: `row${at === this.#cursor ? " cursor" : ""}${name === this.chosen ? " chosen" : ""}`, role: "row",
      "aria-rowindex": at + 2, "data-at": at,
    },
    html("div", { role: "cell", class: "name", title: text }, swatch, html("bdi", {}, text),
      html("button", { type: "button", tabindex: "-1", class: "around", title: "Callers and callees", "aria-label": `Callers and callees of ${text}` }, icon("around"))),
    ...(this.isDiff ? this.#diffCells(row) : this.#cells(row)));
    element.style.transform = `translateY(${at * ROW_HEIGHT}px)`;
    return element;
  }

  #cells(row) {
    const { functions, unit, total } = this.profile;
    return ["self", "total"].map((key) => {
      const value = functions[key][row];
      const cell = html("div", { role: "cell", class: `number ${key}`, title: exact(value, unit) },
        html("span", {}, amount(value, unit)), html("span", { class: "share" }, share(value, total)));
      cell.style.setProperty("--bar", `${total ? (value / total) * 100 : 0}%`);
      return cell;
    });
  }

  #diffCells(row) {
    const { functions, unit, total, base_total: baseTotal } = this.profile;
    const cell = (key, text, title, sign = 0) => html("div", { role: "cell", class: `number ${key}${sign > 0 ? " more" : sign < 0 ? " less" : ""}`, title }, text);
    const [now, base] = [functions.total[row], functions.base_total[row]];
    const moved = (now, base) => [change(now / (total || 1), base / (baseTotal || 1)), `${exact(base, unit)} → ${exact(now, unit)}`];
    const signOf = (text) => (text.startsWith("+") ? 1 : text.startsWith("−") ? -1 : 0);
    const [all, allTitle] = moved(now, base);
    const [self, selfTitle] = moved(functions.self[row], functions.base_self[row]);
    return [
      cell("base", share(base, baseTotal), exact(base, unit)), cell("total", share(now, total), exact(now, unit)),
      cell("change", all, allTitle, signOf(all)), cell("self", self, selfTitle, signOf(self)),
    ];
  }

  #click(event) {
    const row = event.target.closest(".row");
    if (!row) return;
    this.#cursor = Number(row.dataset.at);
    this.#tellOf(this.#cursor, event.target.closest(".around") ? "focus" : "choose");
  }

  #tellOf(at, what) {
    const name = this.#nameOf(this.#rows[at]);
    this.dispatchEvent(new CustomEvent(what, { detail: { name } }));
  }

  #key(event) {
    const page = Math.max(Math.floor(this.body.clientHeight / ROW_HEIGHT) - 1, 1);
    const last = this.#rows.length - 1;
    const to = { ArrowDown: this.#cursor + 1, ArrowUp: this.#cursor - 1, PageDown: this.#cursor + page, PageUp: this.#cursor - page, Home: 0, End: last }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (to !== undefined) this.#moveTo(Math.min(Math.max(to, 0), last));
    else if (event.key === "Enter" && this.#cursor >= 0) this.#tellOf(this.#cursor, event.shiftKey ? "focus" : "choose");
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #moveTo(at) {
    this.#cursor = at;
    const top = at * ROW_HEIGHT;
    const { scrollTop, clientHeight } = this.body;
    if (top < scrollTop) this.body.scrollTop = top;
    else if (top + ROW_HEIGHT > scrollTop + clientHeight) this.body.scrollTop = top + ROW_HEIGHT - clientHeight;
    this.#draw();
    const row = this.space.querySelector(".cursor");
    if (row) this.dispatchEvent(new CustomEvent("read", { detail: { text: row.innerText.replaceAll("\n", " ") } }));
  }
}

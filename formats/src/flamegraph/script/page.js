/**
 * The page around the stacks, made of HTML in one `foreignObject` as large as the window: HTML breaks lines, scrolls and
 * has fields to type in. It replaces the static drawing. All text goes in as text, never as markup.
 */
class Page {
  /** @param {SVGSVGElement} root @param {Profile} profile */
  constructor(root, profile) {
    this.root = root;
    this.profile = profile;
    this.search = new Search(profile);
    this.#build();
    this.stacks = new Stacks(profile, this.scroller);
    this.#listen();
    this.stacks.resize();
    this.#follow();
  }

  #build() {
    const texts = (selector) => [...this.root.querySelectorAll(selector)].map((found) => found.textContent);
    const [title] = texts(":scope > title");
    const subtitles = texts("#subtitle title");
    this.root.querySelector("#static").remove();
    for (const attribute of ["viewBox", "role", "aria-labelledby"]) this.root.removeAttribute(attribute);
    for (const side of ["width", "height"]) this.root.setAttribute(side, "100%");

    this.field = html("input", {
      type: "search", placeholder: "Search (regular expression)", "aria-label": "Search by regular expression",
      title: "Ctrl-F. Enter: next match, Shift-Enter: previous match, Esc: end", autocomplete: "off", spellcheck: "false",
    });
    this.found = html("output", { class: "found", "aria-live": "polite" });
    this.turnButton = html("button", { type: "button", title: "Callers above or below what they call (I)" });
    this.resetButton = html("button", { type: "button", title: "Show all (Esc)" }, "Reset zoom");
    this.path = html("nav", { class: "path", "aria-label": "Zoomed to" });
    this.scroller = html("div", {
      class: "scroller", tabindex: "0", role: "application", "aria-label": "Stacks",
      "aria-describedby": "details", "aria-keyshortcuts": "ArrowUp ArrowDown ArrowLeft ArrowRight Enter Escape",
    });
    this.details = html("div", { class: "details", id: "details", "aria-live": "polite" });
    const legend = html("ul", { class: "legend" });
    for (const { class: colour, text } of this.profile.legend) {
      const item = html("li", {}, html("span", {}), text);
      item.firstChild.appendChild(svg("svg", { width: 11, height: 11, "aria-hidden": "true" }))
        .appendChild(svg("rect", { class: colour, width: 11, height: 11, rx: 2 }));
      legend.append(item);
    }
    const page = html("div", { class: "app" },
      html("header", {},
        html("div", { class: "heading" }, html("h1", { title }, title), ...subtitles.map((text) => html("p", {}, text))),
        html("div", { class: "tools" }, this.field, this.resetButton, this.turnButton, this.found)),
      this.path, this.scroller, html("footer", {}, this.details, legend));
    this.root.appendChild(svg("foreignObject", { width: "100%", height: "100%" })).append(page);
  }

  #listen() {
    const { scroller, stacks, field } = this;
    new ResizeObserver(() => {
      stacks.resize();
      this.#revealPathEnd();
    }).observe(scroller);
    addEventListener("hashchange", () => this.#follow());
    addEventListener("keydown", (event) => this.#key(event));
    scroller.addEventListener("click", (event) => {
      const node = stacks.nodeAt(event.clientX, event.clientY);
      stacks.mark("cursor", -1);
      if (node >= 0) this.zoom(node);
    });
    scroller.addEventListener("pointermove", (event) => this.#point(stacks.nodeAt(event.clientX, event.clientY)));
    scroller.addEventListener("pointerleave", () => this.#point(-1));
    scroller.addEventListener("focus", () => {
      // By the keyboard, not by a click.
      if (scroller.matches(":focus-visible") && stacks.marked.cursor < 0) this.#moveTo(stacks.zoomed);
    });
    field.addEventListener("input", () => {
      this.#find(field.value);
      this.#remember(location.replace.bind(location));
    });
    this.resetButton.addEventListener("click", () => this.zoom(0));
    this.turnButton.addEventListener("click", () => this.turn());
  }

  /** Zooms to a node and puts that into the address, so that Back leads back. */
  zoom(node) {
    this.#show(node, true);
    this.#remember((address) => { location.href = address; });
  }

  /** Turns flames into icicles, and back. */
  turn() {
    this.stacks.turn(!this.stacks.inverted);
    this.#describe();
  }

  #show(node, animated) {
    this.stacks.zoom(node, animated);
    this.stacks.mark("hover", -1);
    if (!this.stacks.isShown(this.stacks.marked.cursor)) this.stacks.mark("cursor", -1);
    const { profile } = this;
    const steps = profile.path(node).map((step) => {
      const button = html("button", { type: "button", title: profile.name(step) }, fit(profile.name(step), 32));
      button.addEventListener("click", () => this.zoom(step));
      return button;
    });
    steps.at(-1).setAttribute("aria-current", "true");
    this.path.replaceChildren(...steps);
    this.#revealPathEnd();
    this.resetButton.disabled = node === 0;
    this.#describe();
  }

  #revealPathEnd() {
    this.path.scrollLeft = this.path.scrollWidth;
  }

  #find(pattern) {
    const wellFormed = this.search.run(pattern);
    this.field.setAttribute("aria-invalid", String(!wellFormed));
    this.stacks.matches = this.search.matches;
    this.stacks.draw();
    this.#describe();
  }

  /** Writes the zoom and the search into the address, by a function that goes there. */
  #remember(go) {
    const parameters = new URLSearchParams();
    if (this.stacks.zoomed) parameters.set("zoom", this.stacks.zoomed);
    if (this.field.value) parameters.set("search", this.field.value);
    const hash = `#${parameters}`;
    if (hash !== (location.hash || "#")) go(hash);
  }

  /** Goes where the address says. */
  #follow() {
    const parameters = new URLSearchParams(location.hash.slice(1));
    const node = Number(parameters.get("zoom"));
    const search = parameters.get("search") ?? "";
    if (search !== this.field.value || !this.search.matches === !!search) {
      this.field.value = search;
      this.#find(search);
    }
    const known = Number.isInteger(node) && node >= 0 && node < this.profile.length ? node : 0;
    if (known !== this.stacks.zoomed || !this.path.firstChild) this.#show(known, this.path.firstChild !== null);
  }

  #point(node) {
    if (node === this.stacks.marked.hover) return;
    this.stacks.mark("hover", node);
    this.scroller.style.cursor = node < 0 ? "" : "pointer";
    this.#describe();
  }

  #moveTo(node) {
    if (node < 0) return;
    this.stacks.reveal(node);
    this.stacks.mark("cursor", node);
    this.stacks.mark("hover", -1);
    this.#describe();
  }

  /** Tells of the node under the pointer, else of that under the keyboard, else of what is zoomed to. */
  #describe() {
    const { profile, stacks, search } = this;
    const { hover, cursor } = stacks.marked;
    const node = [hover, cursor, stacks.zoomed].find((marked) => marked >= 0);
    const amount = (label, weight) => {
      const text = weight ? `${share(weight, profile.total[0])} · ${profile.describe(weight)}` : "none";
      return html("span", {}, html("b", {}, label), ` ${text}`);
    };
    this.details.replaceChildren(
      html("p", { class: "function" }, html("span", {}, profile.name(node)), html("span", {}, profile.location(node))),
      html("p", {}, amount("total", profile.total[node]), amount("self", profile.self[node])),
    );
    this.turnButton.textContent = stacks.inverted ? "Flames" : "Icicles";

    const invalid = this.field.getAttribute("aria-invalid") === "true";
    const zoomed = stacks.zoomed;
    const weight = search.matches ? search.weightIn(0) : 0;
    const parts = [`${share(weight, profile.total[0])} matched · ${profile.describe(weight)}`];
    if (zoomed && search.matches) parts.push(`${share(search.weightIn(zoomed), profile.total[zoomed])} of the zoomed`);
    this.found.textContent = invalid ? "not a regular expression" : search.matches ? parts.join(" · ") : "";
  }

  #key(event) {
    const inField = event.target === this.field;
    const find = event.key === "f" && (event.ctrlKey || event.metaKey);
    // A second Ctrl-F is the browser's own search.
    if (((find || event.key === "F3") && !inField) || (event.key === "/" && !inField)) {
      this.field.focus();
      this.field.select();
    } else if (inField && (event.key === "Enter" || event.key === "F3")) {
      this.#moveTo(this.search.next(this.stacks.zoomed, this.stacks.marked.cursor, event.shiftKey ? -1 : 1));
    } else if (event.key === "Escape") {
      this.#escape(inField);
    } else if (inField || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    } else if (event.key === "i" || event.key === "I") {
      this.turn();
    } else if (event.target !== this.scroller || !this.#steer(event.key)) {
      return;
    }
    event.preventDefault();
  }

  /** Leaves the search, then the zoom. */
  #escape(inField) {
    if (this.field.value) {
      this.field.value = "";
      this.#find("");
      this.#remember(location.replace.bind(location));
    } else if (!inField) {
      this.zoom(0);
    }
    if (inField) this.scroller.focus();
  }

  /** Moves the cursor, or zooms to it; whether the key does either. */
  #steer(key) {
    const { profile, stacks } = this;
    const at = stacks.marked.cursor < 0 ? stacks.zoomed : stacks.marked.cursor;
    const [caller, callee] = stacks.inverted ? ["ArrowUp", "ArrowDown"] : ["ArrowDown", "ArrowUp"];
    const row = profile.rows[profile.depth[at]];
    const neighbour = (step) => {
      const node = row[profile.firstRightOf(row, profile.start[at]) + step] ?? -1;
      return node >= 0 && stacks.isShown(node) ? node : -1;
    };
    switch (key) {
      case caller: this.#moveTo(profile.parent[at]); break;
      // The first callee is the one with the most weight, except among phases.
      case callee: this.#moveTo(at + 1 < profile.end[at] ? this.#calleeInSight(at) : -1); break;
      case "ArrowLeft": this.#moveTo(neighbour(-1)); break;
      case "ArrowRight": this.#moveTo(neighbour(1)); break;
      case "Home": this.#moveTo(0); break;
      case "Enter": case " ": this.zoom(at); break;
      default: return false;
    }
    return true;
  }

  /** The callee that leads to what is zoomed to, or the one with the most weight. */
  #calleeInSight(node) {
    const { profile, stacks } = this;
    let heaviest = -1;
    for (let callee = node + 1; callee < profile.end[node]; callee = profile.end[callee]) {
      if (stacks.isShown(callee) && !(profile.total[callee] <= profile.total[heaviest])) heaviest = callee;
    }
    return heaviest;
  }
}

/** An HTML element with text and elements in it. */
function html(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/1999/xhtml", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

{
  const data = document.getElementById("profile");
  new Page(data.ownerSVGElement, new Profile(data.textContent));
}

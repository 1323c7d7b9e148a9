/** What pointer, wheel, fingers and keys do to a flamegraph. */

/** From how far on a pointer that is down drags, in pixels. */
const DRAG_FROM = 5;
/** Fingers that are closer than this, in pixels, tell no scale. */
const LEAST_PINCH = 10;
const WHEEL_FACTOR = 1.0025;

export class Gestures {
  #pointers = new Map();
  #dragged = false;

  /** @param {import("./flamegraph.js").FlameGraph} graph */
  constructor(graph) {
    this.graph = graph;
    const { scroller } = graph;
    const listen = (name, call, options) => scroller.addEventListener(name, call, options);
    listen("click", (event) => this.#click(event));
    listen("contextmenu", (event) => this.#menu(event));
    listen("keydown", (event) => this.#key(event));
    listen("wheel", (event) => this.#wheel(event), { passive: false });
    listen("pointerdown", (event) => this.#down(event));
    listen("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) listen(name, (event) => this.#pointers.delete(event.pointerId));
    listen("pointerleave", (event) => {
      this.#pointers.delete(event.pointerId);
      graph.mark("hover", -1);
    });
    listen("focus", () => {
      // By the keyboard, not by a click.
      if (graph.view && scroller.matches(":focus-visible") && graph.marked.cursor < 0) this.#moveTo(graph.view.zoomed);
    });
  }

  #tell(name, detail) {
    this.graph.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #click(event) {
    if (this.#dragged) return;
    const node = this.graph.nodeAt(event.clientX, event.clientY);
    this.graph.mark("cursor", -1);
    if (node >= 0) this.#tell("zoom", { node });
  }

  #menu(event) {
    const node = this.graph.nodeAt(event.clientX, event.clientY);
    if (node < 0) return;
    event.preventDefault();
    this.#tell("menu", { node, x: event.clientX, y: event.clientY });
  }

  #down(event) {
    if (event.button !== 0) return;
    this.#dragged = false;
    this.#pointers.set(event.pointerId, { x: event.clientX, from: event.clientX });
  }

  #move(event) {
    const { graph } = this;
    const pointer = this.#pointers.get(event.pointerId);
    if (!pointer || !graph.view) {
      const node = graph.nodeAt(event.clientX, event.clientY);
      graph.scroller.style.cursor = node < 0 ? "" : "pointer";
      graph.mark("hover", node);
      graph.pointer = { x: event.clientX, y: event.clientY };
      return;
    }
    if (this.#pointers.size === 2) {
      const [a, b] = [...this.#pointers.values()];
      const [resting, before] = [pointer === a ? b.x : a.x, pointer.x];
      pointer.x = event.clientX;
      this.#dragged = true;
      this.#pinch(resting, before, pointer.x);
      return;
    }
    const moved = event.clientX - pointer.x;
    if (graph.view.width < graph.view.whole && (this.#dragged || Math.abs(event.clientX - pointer.from) > DRAG_FROM)) {
      pointer.x = event.clientX;
      this.#dragged = true;
      graph.mark("hover", -1);
      this.#pan(-moved / graph.width);
    }
  }

  #wheel(event) {
    const { graph } = this;
    if (!graph.view) return;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.#scale(event.clientX, WHEEL_FACTOR ** Math.max(Math.min(event.deltaY, 300), -300));
      return;
    }
    const across = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (Math.abs(across) > (event.shiftKey ? 0 : Math.abs(event.deltaY)) && graph.view.width < graph.view.whole) {
      event.preventDefault();
      this.#pan(across / graph.width);
    }
  }

  /** What is under either finger stays there. */
  #pinch(resting, before, after) {
    const [from, to] = [before - resting, after - resting];
    if (from * to > 0 && Math.abs(from) > LEAST_PINCH && Math.abs(to) > LEAST_PINCH) this.#scale(resting, from / to);
  }

  #scale(clientX, factor) {
    const { left } = this.graph.canvas.getBoundingClientRect();
    this.graph.view.scaleAround((clientX - left) / this.graph.width, factor);
    this.#moved();
  }

  #pan(fraction) {
    this.graph.view.pan(fraction);
    this.#moved();
  }

  #moved() {
    this.graph.moved();
    this.#tell("moved");
  }

  #key(event) {
    if (!this.graph.view || event.ctrlKey || event.metaKey || event.altKey) return;
    if (this.#steer(event.key, event.shiftKey)) {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  #steer(key, shift) {
    const { graph } = this;
    const { view } = graph;
    const { layout } = graph.profile;
    const at = graph.marked.cursor < 0 ? view.zoomed : graph.marked.cursor;
    const up = graph.rootBelow ? 1 : -1;
    switch (key) {
      case "ArrowUp": this.#step(at, up); break;
      case "ArrowDown": this.#step(at, -up); break;
      case "ArrowLeft": this.#moveTo(this.#neighbour(at, -1)); break;
      case "ArrowRight": this.#moveTo(this.#neighbour(at, 1)); break;
      case "Home": this.#moveTo(0); break;
      case "Enter": case " ":
        if (shift) this.#openMenu(at);
        else this.#tell("zoom", { node: at });
        break;
      case "ContextMenu": this.#openMenu(at); break;
      case "+": case "=": this.#scaleAt(at, 0.5); break;
      case "-": this.#scaleAt(at, 2); break;
      default: return false;
    }
    return layout.parent.length > 0;
  }

  #openMenu(node) {
    const box = this.graph.boxOf(node);
    if (box) this.#tell("menu", { node, x: box.left + Math.min(box.width / 2, 40), y: box.bottom });
  }

  #scaleAt(node, factor) {
    const box = this.graph.boxOf(node);
    const { left, width } = this.graph.canvas.getBoundingClientRect();
    this.#scale(box ? box.left + box.width / 2 : left + width / 2, factor);
  }

  /** Towards higher levels (1) or lower ones (-1): away from the root to the widest, towards it to the caller. */
  #step(at, direction) {
    const { layout } = this.graph.profile;
    const level = layout.level[at];
    if (level * direction < 0) return this.#moveTo(layout.parent[at]);
    const row = layout.rows.get(level + direction);
    if (!row) return;
    let [node, end] = row;
    if (level !== 0 || direction > 0) {
      if (!layout.count[at]) return;
      node = layout.first[at];
      end = node + layout.count[at];
    }
    let widest = -1;
    for (; node < end; node++) {
      if (this.graph.view.box(node, this.graph.width) && !(layout.weight[node] <= layout.weight[widest])) widest = node;
    }
    this.#moveTo(widest);
  }

  #neighbour(at, step) {
    const { layout } = this.graph.profile;
    const [first, end] = layout.rows.get(layout.level[at]);
    const node = at + step;
    return node >= first && node < end && this.graph.view.box(node, this.graph.width) ? node : -1;
  }

  #moveTo(node) {
    if (node < 0) return;
    this.graph.reveal(node);
    this.graph.mark("hover", -1);
    this.graph.mark("cursor", node);
  }
}

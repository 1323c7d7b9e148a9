/** Keys and gestures, in a dialog. */

import { byId, html } from "./dom.js";

const KEYS = [
  ["Anywhere", [["/", "search"], ["Esc", "end the mark, the search, the zoom, the view around a function"], ["I", "root above or below"], ["R", "refresh"], ["C", "compare"], ["?", "this help"]]],
  ["In the graph", [["↑ ↓ ← →", "to callers, callees, neighbours"], ["Enter", "zoom to the frame"], ["Shift Enter", "menu: callers and callees, copy"], ["+ −", "closer, wider"], ["Home", "to the root"]]],
  ["In the table", [["↑ ↓", "rows"], ["Enter", "mark the function in the graph"], ["Shift Enter", "callers and callees"]]],
  ["On the timeline", [["← →", "move the handle by a step, with Shift by ten"], ["Enter", "zoom into the selection"], ["Esc", "end the selection"]]],
  ["Pointer and fingers", [["click", "zoom; on the timeline drag to choose, double-click to zoom in; a tap tells of a moment"], ["right click, long press", "menu"], ["Ctrl wheel, pinch", "zoom smoothly; drag then moves"], ["Shift drag", "on the timeline: choose the base, while comparing"]]],
];

export function openHelp() {
  const dialog = byId("help-dialog");
  dialog.replaceChildren(
    html("form", { method: "dialog" }, html("h2", {}, "Keys and gestures"), html("button", { class: "small", autofocus: true }, "Close")),
    html("div", { class: "columns" }, ...KEYS.map(([title, keys]) => html("section", {}, html("h3", {}, title),
      html("dl", {}, ...keys.flatMap(([key, text]) => [html("dt", {}, html("kbd", {}, key)), html("dd", {}, text)]))))),
  );
  dialog.showModal();
}

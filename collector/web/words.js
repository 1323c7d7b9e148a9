/** What is said of a frame: in the tooltip, below the graph, and on the clipboard. */

import { amount, change, exact, share } from "./amount.js";
import { html } from "./dom.js";

/** The name of a node; that of the root is empty. */
export function nameOf(profile, node) {
  return profile.names[profile.layout.name[node]] || "all";
}

/** The figures of a node as pairs of a word and a text. */
export function figures(profile, node, zoomed) {
  const { layout, unit, total, base_total: base } = profile;
  const of = (value, whole) => `${amount(value, unit)} · ${share(value, whole)}`;
  const isCaller = layout.level[node] < 0;
  const pairs = [[isCaller ? "on this way" : layout.isDiff ? "now" : "total", of(layout.total[node], total)]];
  const zoomedTotal = layout.total[zoomed];
  if (zoomed > 0 && node !== zoomed && zoomedTotal > 0 && layout.total[node] <= zoomedTotal) pairs.push(["of the zoomed", share(layout.total[node], zoomedTotal)]);
  if (!isCaller) pairs.push(["self", of(layout.self[node], total)]);
  if (layout.isDiff) {
    pairs.push(["base", of(layout.base_total[node], base)]);
    pairs.push(["change", change(layout.total[node] / (total || 1), layout.base_total[node] / (base || 1))]);
  }
  return pairs;
}

/** The same as elements: the name, and the figures behind it. */
export function describe(profile, node, zoomed) {
  const { layout, unit } = profile;
  const pairs = figures(profile, node, zoomed).map(([word, text]) => html("span", { class: `figure ${word}` }, html("b", {}, word), ` ${text}`));
  const precise = html("span", { class: "figure" }, exact(layout.total[node], unit));
  return [html("p", { class: "function" }, nameOf(profile, node)), html("p", { class: "figures" }, ...pairs, precise)];
}

/** All callers of a node and itself, one a line, the outermost first. */
export function stackText(profile, node) {
  const names = [];
  for (let at = node; at > 0; at = profile.layout.parent[at]) names.unshift(nameOf(profile, at));
  return profile.layout.level[node] < 0 ? names.reverse().join("\n") : names.join("\n");
}

/**
 * Fetches profiles and shapes them beside the page, so that the page never waits for a large one. Asked by messages
 * `{ id, url }` (fetch this) and `{ id, shape }` (what of it to show); answers `{ id, … }` or `{ id, error }`.
 */

import { ApiError, ask } from "./api.js";
import { functionsOf, ordersOf, ranksOf } from "./functions.js";
import { layOut } from "./layout.js";
import { bottomUp, calleesOf, callersOf, grouped } from "./reshape.js";
import { fromAnswer } from "./tree.js";

let tree = null;
/** The places of its names in the alphabet, and the sums of the profile. */
let ranks = null;
let totals = null;
let fetching = new AbortController();
/** Which profile that is: an answer that was overtaken by another profile must not be taken for one about it. */
let generation = 0;
/** The last tree in groups, and how that was asked for: what is looked at around a function changes more often. */
let last = { tree: null, of: null, group: null };

addEventListener("message", async ({ data: { id, url, shape } }) => {
  try {
    if (url) {
      fetching.abort();
      fetching = new AbortController();
      const answer = await ask(url, fetching.signal);
      tree = fromAnswer(answer);
      generation++;
      const { total, base_total, warnings } = answer;
      ranks = ranksOf(tree.names);
      totals = { total, base_total };
      const { unit, names, phases } = tree;
      postMessage({ id, generation, unit, names, phases, total, base_total, warnings });
    } else {
      const shaped = shapeOf(shape);
      postMessage({ id, generation, ...shaped }, buffersOf(shaped));
    }
  } catch (error) {
    if (error.name === "AbortError") postMessage({ id, aborted: true });
    else postMessage({ id, error: { message: error.message, status: error instanceof ApiError ? error.status : null } });
  }
});

function shapeOf({ group, shape, focus }) {
  if (last.of !== tree || last.group !== group) last = { tree: grouped(tree, group), of: tree, group };
  const whole = last.tree;
  const all = layOut(whole);
  const functions = functionsOf(all, whole.names.length);
  functions.orders = ordersOf(functions, ranks, totals);
  const name = focus ? whole.names.indexOf(focus) : -1;
  if (name >= 0) return { functions, isAround: true, layout: layOut(calleesOf(whole, name), callersOf(whole, name)) };
  if (shape === "callers") return { functions, layout: layOut(bottomUp(whole)) };
  return { functions, layout: all };
}

function buffersOf({ functions, layout }) {
  const columns = [functions, functions.orders, layout].flatMap(Object.values);
  return [...new Set(columns.filter(ArrayBuffer.isView).map((column) => column.buffer))];
}

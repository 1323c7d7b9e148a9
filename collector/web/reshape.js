/** Other trees from a tree: by phases, around a function, from the functions that ran to those that called them. */

import { Builder, ownOf } from "./tree.js";

/** Of a tree of callers, what is less than this part of all is left out, with what called it. */
const LEAST_CALLER = 1 / 20_000;

/**
 * Puts each phase of the event loop right below the root, with the whole stacks of what ran in it (`phase`); takes phases
 * out of the stacks (`none`); or leaves them where they are.
 */
export function grouped(tree, by) {
  const isPhase = tree.phases;
  if (!isPhase.some((phase) => phase > 0) || (by !== "phase" && by !== "none")) return tree;
  const { builder, own } = rebuild(tree);
  const { parent, name } = tree;
  const place = new Int32Array(parent.length);
  const phase = new Int32Array(parent.length).fill(-1);
  for (let node = 1; node < parent.length; node++) {
    const up = parent[node];
    phase[node] = phase[up];
    if (!isPhase[name[node]]) place[node] = builder.child(place[up], name[node]);
    else if (by === "none") place[node] = place[up];
    else if (phase[up] >= 0) place[node] = builder.child(place[up], name[node]);
    else {
      phase[node] = node;
      const callers = [];
      for (let caller = up; caller > 0; caller = parent[caller]) callers.push(name[caller]);
      place[node] = callers.reduceRight((at, name) => builder.child(at, name), builder.child(0, name[node]));
    }
    own(place[node], node);
  }
  own(0, 0);
  return builder.finish();
}

/** What a function calls, wherever it is called; calls inside of its own calls are part of those. */
export function calleesOf(tree, functionName) {
  const { builder, own } = rebuild(tree, functionName);
  const { parent, name } = tree;
  const place = new Int32Array(parent.length).fill(-1);
  for (let node = 0; node < parent.length; node++) {
    const up = node ? place[parent[node]] : -1;
    if (up >= 0) place[node] = builder.child(up, name[node]);
    else if (name[node] === functionName) place[node] = 0;
    if (place[node] >= 0) own(place[node], node);
  }
  return builder.finish();
}

/** Who calls a function, and who calls those: a tree that grows upwards. */
export function callersOf(tree, functionName) {
  const builder = new Builder(tree, functionName);
  const { parent, name } = tree;
  const inside = new Uint8Array(parent.length);
  for (let node = 0; node < parent.length; node++) {
    const isInside = node > 0 && inside[parent[node]];
    inside[node] = isInside || name[node] === functionName ? 1 : 0;
    if (!inside[node] || isInside) continue;
    let at = 0;
    for (let caller = parent[node]; caller > 0; caller = parent[caller]) at = builder.child(at, name[caller]);
    builder.add(at, "total", node);
    builder.add(at, "base_total", node);
  }
  return builder.finish();
}

/** The functions that ran, and below each who called it. */
export function bottomUp(tree) {
  const { parent, name, self, base_self: base } = tree;
  const builder = new Builder(tree);
  const weight = (node) => (self[node] + (base ? base[node] : 0));
  let all = 0;
  const ran = [];
  for (let node = 1; node < parent.length; node++) {
    if (!weight(node)) continue;
    all += weight(node);
    ran.push(node);
  }
  builder.add(0, "self", 0);
  builder.add(0, "total", 0, "self");
  builder.add(0, "base_self", 0);
  builder.add(0, "base_total", 0, "base_self");
  // Each group: all nodes that are `at` now and began at `ran`, under one node of the new tree.
  const groups = [{ place: 0, members: ran.map((node) => [node, node]) }];
  for (let group = groups.pop(); group; group = groups.pop()) {
    const byName = new Map();
    for (const member of group.members) {
      const list = byName.get(name[member[1]]);
      if (list) list.push(member);
      else byName.set(name[member[1]], [member]);
    }
    for (const [caller, members] of byName) {
      const total = members.reduce((sum, [ran]) => sum + weight(ran), 0);
      const isLeftOut = group.place > 0 && total < all * LEAST_CALLER;
      const place = isLeftOut ? group.place : builder.child(group.place, caller);
      const onwards = [];
      for (const [ran, at] of members) {
        if (group.place === 0) {
          builder.add(place, "self", ran);
          builder.add(place, "base_self", ran);
        }
        if (!isLeftOut && parent[at] > 0) onwards.push([ran, parent[at]]);
        else {
          builder.add(place, "total", ran, "self");
          builder.add(place, "base_total", ran, "base_self");
        }
      }
      if (onwards.length) groups.push({ place, members: onwards });
    }
  }
  return builder.finish();
}

/** A builder, and a function that gives a new node what an old one has of its own. */
function rebuild(tree, rootName) {
  const builder = new Builder({ ...tree, own: ownOf(tree), base_own: tree.base_total && ownOf(tree, "base_total") }, rootName);
  const own = (place, node) => {
    builder.add(place, "self", node);
    builder.add(place, "total", node, "own");
    builder.add(place, "base_self", node);
    builder.add(place, "base_total", node, "base_own");
  };
  return { builder, own };
}

/** The keys that work wherever the focus is, but in fields. */

import { byId } from "./dom.js";
import { openHelp } from "./help.js";

export function listenToKeys(page) {
  const field = byId("search");
  const plain = {
    "?": openHelp, i: () => page.flip(), r: () => page.refresh(), c: () => page.comparison.toggle(),
    "/": () => search(field),
  };
  addEventListener("keydown", (event) => {
    const isInField = event.target.matches?.("input:not([type=radio], [type=checkbox]), select, textarea");
    const isModified = event.ctrlKey || event.metaKey || event.altKey;
    if (event.key === "f" && (event.ctrlKey || event.metaKey)) {
      // A second Ctrl-F is the browser's own search.
      if (event.target === field) return;
      search(field);
    } else if (event.key === "Escape") {
      const isElsewhere = (isInField && event.target !== field) || document.querySelector("dialog[open], .popup:popover-open");
      if (isElsewhere || !page.work.leave()) return;
      if (event.target === field) byId("graph").focus();
    } else {
      const call = !isInField && !isModified && plain[event.key.toLowerCase()];
      if (!call) return;
      call();
    }
    event.preventDefault();
  });
}

function search(field) {
  field.focus();
  field.select();
}

/** The menu of files that the profile can be had as. */

import { byId, html } from "./dom.js";
import { placeBelow, steerMenu } from "./popup.js";

const FORMATS = [
  ["svg", "svg", "Flame graph (SVG)", "one file, with its own zoom and search"],
  ["pprof", "pb.gz", "pprof", "for go tool pprof and others"],
  ["folded", "folded.txt", "Folded stacks", "a line a stack"],
  ["json", "json", "JSON", "columns, as this page reads them"],
];

export class Downloads {
  constructor() {
    this.popup = byId("download-popup");
    placeBelow(this.popup, byId("download"));
    steerMenu(this.popup);
    this.popup.addEventListener("click", () => this.popup.hidePopover());
  }

  /**
   * Offers `[{ title, name, address }]`: each a profile, the beginning of its files' names and a function from a format to
   * an address.
   */
  offer(profiles) {
    this.popup.replaceChildren(...profiles.flatMap(({ title, name, address, formats }) => [
      html("p", { class: "menu-title" }, title),
      ...FORMATS.filter(([format]) => !formats || formats.includes(format)).map(([format, ending, text, hint]) => html("a", {
        href: address(format), download: `${name}.${ending}`, "data-format": format,
      }, html("span", {}, text), html("small", {}, hint))),
    ]));
  }
}

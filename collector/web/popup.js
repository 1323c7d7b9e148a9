/** Places a popup below what opens it, inside of the window. */
export function placeBelow(popup, anchor) {
  popup.addEventListener("toggle", (event) => {
    if (event.newState === "open") place(popup, anchor.getBoundingClientRect());
    anchor.setAttribute("aria-expanded", String(event.newState === "open"));
  });
  anchor.setAttribute("aria-expanded", "false");
}

/** Opens a popup at a point of the window. */
export function openAt(popup, x, y) {
  popup.showPopover();
  place(popup, new DOMRect(x, y, 0, 0));
  popup.querySelector("button, a, input")?.focus();
}

function place(popup, anchor) {
  const { width, height } = popup.getBoundingClientRect();
  const below = anchor.bottom + 4;
  const fits = below + height <= innerHeight - 8;
  popup.style.left = `${Math.max(Math.min(anchor.left, innerWidth - width - 8), 8)}px`;
  popup.style.top = `${Math.max(fits ? below : Math.min(anchor.top - height - 4, innerHeight - height - 8), 8)}px`;
}

/** Lets the arrows move between the entries of a menu. */
export function steerMenu(menu) {
  menu.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const entries = [...menu.querySelectorAll("button, a")];
    const at = entries.indexOf(document.activeElement) + step;
    entries.at(at % entries.length)?.focus();
    event.preventDefault();
  });
}

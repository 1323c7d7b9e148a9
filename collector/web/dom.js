/** An element with attributes, and text and elements in it. A function is a listener; text never becomes markup. */
export function html(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** A sign from the page's own set, drawn in the colour of the text. */
export function icon(name) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  element.setAttribute("class", "icon");
  element.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  element.append(use);
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Puts text on the clipboard, also where the browser offers no interface for it (a page without TLS). */
export async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = html("textarea", { class: "unseen" });
  field.value = text;
  (document.querySelector("dialog[open]") ?? document.body).append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  if (!copied) throw new Error("the browser refuses to copy");
}

/** Says something for a moment, to readers of screens as well. */
export function toast(text) {
  const place = byId("toast");
  place.textContent = text;
  place.classList.add("shown");
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => place.classList.remove("shown"), 2500);
}

/** The `settled` functions that are about to be called. */
export const waiting = new Set();

/** Calls a function once, when calls have ceased for so long. */
export function settled(milliseconds, call) {
  let timer;
  return () => {
    clearTimeout(timer);
    waiting.add(call);
    timer = setTimeout(() => {
      waiting.delete(call);
      call();
    }, milliseconds);
  };
}

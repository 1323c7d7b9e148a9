/** The worker that fetches and shapes profiles, as promises. */

import { ApiError } from "./api.js";

export class Profiles {
  #worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #next = 0;

  constructor() {
    this.#worker.addEventListener("message", ({ data }) => {
      const { resolve, reject } = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if (data.aborted) reject(new DOMException("another profile is wanted", "AbortError"));
      else if (data.error?.status >= 0) reject(new ApiError(data.error.message, data.error.status));
      else if (data.error) reject(new Error(data.error.message));
      else resolve(data);
    });
    this.#worker.addEventListener("error", (event) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(event.message ?? "the page's worker cannot be loaded"));
      this.#waiting.clear();
    });
  }

  /** Fetches a profile; `{ unit, names, total, base_total }`. Ends the fetch before. */
  fetch(url) {
    return this.#ask({ url });
  }

  /** What of the profile is to be shown: `{ functions, layout }`. */
  shape(shape) {
    return this.#ask({ shape });
  }

  #ask(question) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, ...question });
    });
  }
}

/** Asks the collector. All addresses are relative to the page's, so that it also works below a path of a proxy. */

const API = new URL("../api/v1/", import.meta.url);

/** What the collector said when it could not answer. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.name = "ApiError";
    this.status = status;
  }
}

/** The address of a question. Parameters without a value are left out. */
export function address(question, parameters = {}) {
  const url = new URL(question, API);
  for (const [key, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== "") url.searchParams.set(key, value);
  }
  return url.href;
}

/** The answer to a question, as JSON. */
export async function ask(url, signal) {
  let answer;
  try {
    answer = await fetch(url, { signal, headers: { Accept: "application/json" } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The collector does not answer. Is it running, and does the network reach it?", 0);
  }
  if (!answer.ok) throw new ApiError(await reason(answer), answer.status);
  try {
    return await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(`The collector's answer is not JSON: ${error.message}`, answer.status);
  }
}

async function reason(answer) {
  const text = (await answer.text().catch(() => "")).trim();
  try {
    const said = JSON.parse(text);
    return String(said.error?.message ?? said.error ?? said.message ?? text);
  } catch {
    return text || `status ${answer.status}`;
  }
}

// Requests to this gateway with the reader's key, and what went wrong in words.
import { say, time } from "./strings.js";

const PLACE = "claude-gateway-key";

// Of this tab alone; never in an address, a cookie or the disk's storage.
export const key = () => sessionStorage.getItem(PLACE) ?? "";
export const keepKey = (value) => (value ? sessionStorage.setItem(PLACE, value) : sessionStorage.removeItem(PLACE));
export const needsKey = () => document.documentElement.dataset.key === "needed";
// One opened the gateway, so there is one: from now on nobody is served without.
export const demandKey = () => (document.documentElement.dataset.key = "needed");
export const mayCall = () => !needsKey() || key() !== "";

// `problem` is the key of the words for it, `values` fill them.
export class Problem extends Error {
  constructor(problem, values = {}) {
    super(problem);
    this.problem = problem;
    this.values = values;
  }
}

// A request as fetch makes it, with the key. Throws a Problem where nobody answers.
export async function send(path, { method = "GET", body, type, signal } = {}) {
  const headers = {};
  if (key()) headers.Authorization = `Bearer ${key()}`;
  if (body !== undefined) headers["Content-Type"] = type ?? "application/json";
  try {
    return await fetch(path, { method, headers, body, signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    // A key with letters that no header can carry is none.
    throw new Problem(error instanceof TypeError && !isSendable(key()) ? "error.key" : "error.network");
  }
}

// The JSON of an answer. Throws a Problem for every status that is no success.
export async function ask(path, options) {
  const response = await send(path, options);
  if (!response.ok) throw await problemOf(response);
  return response.json();
}

export async function problemOf(response) {
  const error = await errorIn(response);
  const seconds = response.headers.get("Retry-After") ?? error.retry_after ?? "60";
  switch (response.status) {
    case 401:
      return new Problem(KEYS[error.code] ?? (key() ? "error.key" : "key.needed"));
    case 403:
      return new Problem("error.scope", { message: error.message ?? "" });
    case 413:
      return new Problem("error.large");
    case 429:
      if (error.code === "budget_spent") return new Problem("error.budget", { when: moment(seconds) });
      return new Problem(error.code?.startsWith("queue_") ? "error.busy" : "error.limit", { seconds });
    case 503:
      return new Problem(error.code === "claude_login_failed" ? "error.login" : "error.unavailable");
    case 504:
      return new Problem("error.timeout");
    default:
      return new Problem("error.other", { status: response.status, message: error.message ?? response.statusText });
  }
}

const KEYS = { api_key_not_configured: "error.no_key_here", expired_api_key: "error.expired" };

// When it is so many seconds later, by the reader's clock.
const moment = (seconds) => time(new Date(Date.now() + seconds * 1000), { dateStyle: "medium", timeStyle: "short" });

// What an event of a stream that has begun says of its end.
export const problemInStream = (error) =>
  error.code === "upstream_cut" ? new Problem("error.broken") : new Problem("error.other", { status: "502", message: error.message ?? "" });

export function sayProblem(element, error) {
  element.classList.add("bad");
  return error instanceof Problem ? say(element, error.problem, error.values) : say(element, "error.broken");
}

async function errorIn(response) {
  try {
    return (await response.json()).error ?? {};
  } catch {
    return {};
  }
}

const isSendable = (text) => /^[\x20-\x7e]*$/.test(text);

// Requests to this gateway with the reader's API key, and errors as texts.
import { formatTime, setText } from "./strings.js";

const STORAGE_KEY = "claude-gateway-key";

// The key stays in this tab: it is never in a URL, a cookie or storage on disk.
export const key = () => sessionStorage.getItem(STORAGE_KEY) ?? "";
export const saveKey = (value) => (value ? sessionStorage.setItem(STORAGE_KEY, value) : sessionStorage.removeItem(STORAGE_KEY));
export const isKeyRequired = () => document.documentElement.dataset.key === "needed";
// The gateway accepted a key, so keys exist and every later request needs one.
export const requireKey = () => (document.documentElement.dataset.key = "needed");
export const canCall = () => !isKeyRequired() || key() !== "";

// An error to show: `textKey` is the key of its text, `values` are the placeholders of the text.
export class Problem extends Error {
  constructor(textKey, values = {}) {
    super(textKey);
    this.textKey = textKey;
    this.values = values;
  }
}

// Send a request with the key. Throws a Problem if the gateway is unreachable.
export async function send(path, { method = "GET", body, type, signal } = {}) {
  const headers = {};
  if (key()) headers.Authorization = `Bearer ${key()}`;
  if (body !== undefined) headers["Content-Type"] = type ?? "application/json";
  try {
    return await fetch(path, { method, headers, body, signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    // A key with characters that no header can carry is not valid.
    throw new Problem(error instanceof TypeError && !isSendable(key()) ? "error.invalid_key" : "error.network");
  }
}

// Return the JSON of a response. Throws a Problem if the status is an error.
export async function fetchJson(path, options) {
  const response = await send(path, options);
  if (!response.ok) throw await problemFromResponse(response);
  return response.json();
}

export async function problemFromResponse(response) {
  const error = await readError(response);
  const seconds = response.headers.get("Retry-After") ?? error.retry_after ?? "60";
  switch (response.status) {
    case 401:
      return new Problem(KEY_PROBLEMS[error.code] ?? (key() ? "error.invalid_key" : "key.required"));
    case 403:
      return new Problem("error.scope", { message: error.message ?? "" });
    case 413:
      return new Problem("error.too_large");
    case 429:
      if (error.code === "budget_exceeded") return new Problem("error.budget_exceeded", { when: timeAfter(seconds) });
      return new Problem(error.code?.startsWith("queue_") ? "error.busy" : "error.rate_limited", { seconds });
    case 503:
      return new Problem(error.code === "claude_login_failed" ? "error.login" : "error.unavailable");
    case 504:
      return new Problem("error.timeout");
    default:
      return new Problem("error.other", { status: response.status, message: error.message ?? response.statusText });
  }
}

const KEY_PROBLEMS = { api_key_not_configured: "error.no_key_configured", expired_api_key: "error.expired_key" };

// Return the time after so many seconds, in the reader's time zone.
const timeAfter = (seconds) => formatTime(new Date(Date.now() + seconds * 1000), { dateStyle: "medium", timeStyle: "short" });

// Return the Problem for an error event in a stream.
export const problemFromEvent = (error) =>
  error.code === "upstream_disconnected" ? new Problem("error.interrupted") : new Problem("error.other", { status: "502", message: error.message ?? "" });

export function showProblem(element, error) {
  element.classList.add("bad");
  return error instanceof Problem ? setText(element, error.textKey, error.values) : setText(element, "error.interrupted");
}

async function readError(response) {
  try {
    return (await response.json()).error ?? {};
  } catch {
    return {};
  }
}

const isSendable = (text) => /^[\x20-\x7e]*$/.test(text);

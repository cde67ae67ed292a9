// The keys of the gateway: made, shown once, revoked.
import { ask, Problem, problemOf, sayProblem, send } from "./api.js";
import { card, code, table } from "./card.js";
import { make } from "./dom.js";
import { call, say, time, words } from "./strings.js";

const PATH = "/v1/admin/keys";
const SCOPES = ["chat", "tools", "mcp", "admin"];
const COLUMNS = ["keys.name", "keys.id", "keys.status", "keys.scopes", "keys.bounds", "keys.expires", "keys.change"];

export function keysCard() {
  const list = make("div");
  const fresh = make("div", { role: "status" });
  const note = make("p", { class: "note", role: "status" });
  let seen = [];

  async function look() {
    try {
      seen = (await ask(PATH)).keys;
      list.replaceChildren(table(COLUMNS, seen.map(row), "keys.none"));
    } catch (error) {
      fail(error);
    }
  }

  const fail = (error) => sayProblem(note, error);

  function row(key) {
    const revoke = key.status === "revoked" ? null : button("keys.revoke", () => revokeIt(key));
    return [
      make("bdi", {}, key.name),
      code(key.id),
      say(make("span"), `key_status.${key.status}`),
      key.scopes.join(", "),
      bounds(key),
      key.expires_at ? time(new Date(key.expires_at * 1000), { dateStyle: "medium" }) : say(make("span", { class: "note" }), "keys.never"),
      revoke ?? "",
    ];
  }

  async function revokeIt(key) {
    if (!confirm(words("keys.sure", { name: key.name }))) return;
    const response = await send(`${PATH}/${encodeURIComponent(key.id)}`, { method: "DELETE" }).catch(fail);
    if (response && !response.ok) fail(await problemOf(response));
    else look();
  }

  async function create(wanted) {
    note.replaceChildren();
    note.className = "note";
    try {
      const response = await send(PATH, { method: "POST", body: JSON.stringify(wanted) });
      if (!response.ok) throw response.status === 422 || response.status === 400 ? new Problem("keys.refused") : await problemOf(response);
      const made = await response.json();
      fresh.replaceChildren(
        make("div", { class: "new-key" }, say(make("p"), "keys.once"), code(made.key), say(make("button", { class: "copy", type: "button" }), "copy.copy")),
      );
      await look();
      return true;
    } catch (error) {
      fail(error);
      return false;
    }
  }

  look();
  return { element: card("keys.title", list, form(create), note, fresh), show() {}, translate: () => list.replaceChildren(table(COLUMNS, seen.map(row), "keys.none")) };
}

function bounds({ budget, concurrent, models }) {
  const parts = [];
  if (budget.usd_per_day) parts.push(words("keys.usd_day", { usd: budget.usd_per_day }));
  if (budget.tokens_per_day) parts.push(words("keys.tokens_day", { tokens: budget.tokens_per_day }));
  if (concurrent) parts.push(words("keys.at_once", { count: concurrent }));
  const shown = [...parts, ...models.map(code)];
  return make("span", {}, shown.length ? shown.flatMap((one, index) => (index ? [" · ", one] : [one])) : "–");
}

const button = (key, onclick) => say(make("button", { class: "small danger", type: "button", onclick }), key);

function form(create) {
  const name = make("input", { required: true, maxlength: 100, dir: "auto" });
  const days = make("input", { type: "number", min: 1, max: 36500, dir: "ltr" });
  const usd = make("input", { type: "number", min: 0.01, step: 0.01, dir: "ltr" });
  const scopes = SCOPES.map((scope) => make("input", { type: "checkbox", value: scope, checked: scope === "chat" }));
  const whole = make(
    "form",
    {},
    make("div", { class: "fields" }, labelled("keys.name", name), labelled("keys.days", days), labelled("keys.usd", usd)),
    make("fieldset", { class: "choices" }, say(make("legend"), "keys.may"), scopes.map((box) => make("label", {}, box, code(box.value)))),
    make("div", {}, say(make("button", { class: "strong", type: "submit" }), "keys.create")),
  );
  whole.addEventListener("submit", async (event) => {
    event.preventDefault();
    const wanted = {
      name: name.value.trim(),
      scopes: scopes.filter((box) => box.checked).map((box) => box.value),
      ...(days.value && { expires_in_days: Number(days.value) }),
      ...(usd.value && { budget: { usd_per_day: Number(usd.value) } }),
    };
    if (await create(wanted)) whole.reset();
  });
  return call(whole, "keys.create");
}

const labelled = (key, input) => make("label", {}, say(make("span"), key), input);

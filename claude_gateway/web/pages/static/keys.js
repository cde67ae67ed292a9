// The card of the API keys, to create and revoke them.
import { Problem, fetchJson, problemFromResponse, send, showProblem } from "./api.js";
import { card, code, table } from "./card.js";
import { make } from "./dom.js";
import { formatTime, setLabel, setText, translate } from "./strings.js";

const PATH = "/v1/admin/keys";
const SCOPES = ["chat", "tools", "mcp", "admin"];
const GROUP_PATTERN = "[A-Za-z0-9._\\-]{1,64}";
const COLUMNS = ["keys.name", "keys.id", "keys.status", "keys.scopes", "keys.group", "keys.login", "keys.limits", "keys.expires", "keys.action"];

export function keysCard() {
  const list = make("div");
  const newKey = make("div", { role: "status" });
  const note = make("p", { class: "note", role: "status" });
  const loginMenu = make("select");
  let keys = [];
  let loginNames = null;

  async function refresh() {
    try {
      keys = (await fetchJson(PATH)).keys;
      list.replaceChildren(table(COLUMNS, keys.map(toCells), "keys.none"));
    } catch (error) {
      showError(error);
    }
  }

  const showError = (error) => showProblem(note, error);

  function toCells(key) {
    const revokeButton = key.status === "revoked" ? null : button("keys.revoke", () => revokeKey(key));
    return [
      make("bdi", {}, key.name),
      code(key.id),
      setText(make("span"), `key_status.${key.status}`),
      key.scopes.join(", "),
      key.group ? code(key.group) : "–",
      key.login ? code(key.login) : "–",
      describeLimits(key),
      key.expires_at ? formatTime(new Date(key.expires_at * 1000), { dateStyle: "medium" }) : setText(make("span", { class: "note" }), "keys.never"),
      revokeButton ?? "",
    ];
  }

  async function revokeKey(key) {
    if (!confirm(translate("keys.confirm_revoke", { name: key.name }))) return;
    const response = await send(`${PATH}/${encodeURIComponent(key.id)}`, { method: "DELETE" }).catch(showError);
    if (response && !response.ok) showError(await problemFromResponse(response));
    else refresh();
  }

  async function create(settings) {
    note.replaceChildren();
    note.className = "note";
    try {
      const response = await send(PATH, { method: "POST", body: JSON.stringify(settings) });
      if (!response.ok) throw response.status === 422 || response.status === 400 ? new Problem("keys.invalid") : await problemFromResponse(response);
      const created = await response.json();
      newKey.replaceChildren(
        make("div", { class: "new-key" }, setText(make("p"), "keys.shown_once"), code(created.key), setText(make("button", { class: "copy", type: "button" }), "copy.copy")),
      );
      await refresh();
      return true;
    } catch (error) {
      showError(error);
      return false;
    }
  }

  // The menu changes only if the logins change, so that it keeps what the reader has selected.
  function showLogins({ logins }) {
    const names = logins.map(({ name }) => name);
    if (names.join("\n") === loginNames?.join("\n")) return;
    loginNames = names;
    loginMenu.replaceChildren(setText(make("option", { value: "" }), "keys.any_login"), ...names.map((name) => make("option", { value: name }, name)));
  }

  showLogins({ logins: [] });
  refresh();
  return {
    element: card("keys.title", list, createForm(create, loginMenu), note, newKey),
    show: showLogins,
    onLanguageChange: () => list.replaceChildren(table(COLUMNS, keys.map(toCells), "keys.none")),
  };
}

function describeLimits({ budget, max_concurrent_jobs: concurrent, models }) {
  const limits = [];
  if (budget.usd_per_day) limits.push(translate("keys.usd_per_day", { usd: budget.usd_per_day }));
  if (budget.tokens_per_day) limits.push(translate("keys.tokens_per_day", { tokens: budget.tokens_per_day }));
  if (concurrent) limits.push(translate("keys.concurrent_jobs", { count: concurrent }));
  const items = [...limits, ...models.map(code)];
  return make("span", {}, items.length ? items.flatMap((item, index) => (index ? [" · ", item] : [item])) : "–");
}

const button = (key, onclick) => setText(make("button", { class: "small danger", type: "button", onclick }), key);

function createForm(create, login) {
  const name = make("input", { required: true, maxlength: 100, dir: "auto" });
  const days = make("input", { type: "number", min: 1, max: 36500, dir: "ltr" });
  const usd = make("input", { type: "number", min: 0.01, step: 0.01, dir: "ltr" });
  const group = make("input", { maxlength: 64, pattern: GROUP_PATTERN, dir: "ltr" });
  const scopes = SCOPES.map((scope) => make("input", { type: "checkbox", value: scope, checked: scope === "chat" }));
  const form = make(
    "form",
    {},
    make("div", { class: "fields" }, withLabel("keys.name", name), withLabel("keys.expires_in_days", days), withLabel("keys.usd_per_day_field", usd), withLabel("keys.group_field", group), withLabel("keys.login_field", login)),
    make("fieldset", { class: "choices" }, setText(make("legend"), "keys.select_scopes"), scopes.map((checkbox) => make("label", {}, checkbox, code(checkbox.value)))),
    make("div", {}, setText(make("button", { class: "strong", type: "submit" }), "keys.create")),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const settings = {
      name: name.value.trim(),
      scopes: scopes.filter((checkbox) => checkbox.checked).map((checkbox) => checkbox.value),
      ...(days.value && { expires_in_days: Number(days.value) }),
      ...(group.value && { group: group.value }),
      ...(login.value && { login: login.value }),
      ...(usd.value && { budget: { usd_per_day: Number(usd.value) } }),
    };
    if (await create(settings)) form.reset();
  });
  return setLabel(form, "keys.create");
}

const withLabel = (key, input) => make("label", {}, setText(make("span"), key), input);

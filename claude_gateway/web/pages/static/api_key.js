// The form for the reader's API key. The page checks the key at once, and keeps the key in this tab.
import { canCall, fetchJson, isKeyRequired, key, requireKey, saveKey, showProblem } from "./api.js";
import { byId } from "./dom.js";
import { setText } from "./strings.js";

// Publish the login status and the permissions of the key; null while the gateway accepts no key.
function publishAccount(account) {
  document.dispatchEvent(new CustomEvent("account", { detail: account }));
}

export function startKey() {
  byId("first-key").hidden = isKeyRequired();
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    saveKey(byId("key").value.trim());
    checkKey();
  });
  byId("key-forget").addEventListener("click", () => {
    saveKey("");
    byId("key").value = "";
    byId("key").focus();
    note("key.storage_note");
    checkKey();
  });
  byId("key").value = key();
  checkKey();
}

async function checkKey() {
  byId("key-forget").hidden = key() === "";
  if (!canCall()) return publishAccount(null);
  if (isKeyRequired()) note("key.checking");
  try {
    const account = await fetchJson("/v1/auth/status");
    if (key()) {
      note("key.accepted", "good");
      requireKey();
      byId("first-key").hidden = true;
    }
    publishAccount(account);
  } catch (error) {
    note("key.storage_note");
    showProblem(byId("key-note"), error);
    publishAccount(null);
  }
}

function note(textKey, kind = "") {
  byId("key-note").className = `note ${kind}`;
  setText(byId("key-note"), textKey);
}

// The reader's key: typed once, tried at once, kept in this tab.
import { ask, demandKey, keepKey, key, mayCall, needsKey, sayProblem } from "./api.js";
import { byId } from "./dom.js";
import { say } from "./strings.js";

// What the gateway says of the login and of this key, for whoever shows it; null while no key opens it.
function tell(account) {
  document.dispatchEvent(new CustomEvent("account", { detail: account }));
}

export function startKey() {
  byId("first-key").hidden = needsKey();
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    keepKey(byId("key").value.trim());
    tryKey();
  });
  byId("key-forget").addEventListener("click", () => {
    keepKey("");
    byId("key").value = "";
    byId("key").focus();
    note("key.kept");
    tryKey();
  });
  byId("key").value = key();
  tryKey();
}

async function tryKey() {
  byId("key-forget").hidden = key() === "";
  if (!mayCall()) return tell(null);
  if (needsKey()) note("key.checking");
  try {
    const account = await ask("/v1/auth/status");
    if (key()) {
      note("key.good", "good");
      demandKey();
      byId("first-key").hidden = true;
    }
    tell(account);
  } catch (error) {
    note("key.kept");
    sayProblem(byId("key-note"), error);
    tell(null);
  }
}

function note(words, kind = "") {
  byId("key-note").className = `note ${kind}`;
  say(byId("key-note"), words);
}

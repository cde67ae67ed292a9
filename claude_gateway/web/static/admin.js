// The control room, for a key with the scope `admin`: what goes on, as the gateway tells it.
import { problemOf, send } from "./api.js";
import { byId } from "./dom.js";
import { eventsOf } from "./events.js";
import { keepersCard } from "./keepers.js";
import { keysCard } from "./keys.js";
import { queueCard } from "./queue.js";
import { serversCard } from "./servers.js";
import { say } from "./strings.js";
import { usageCard } from "./usage.js";
import { workersCard } from "./workers.js";

const AGAIN_MS = 3000;

let cards = [];
let connection = null;
let last = null;

export function startAdmin() {
  document.addEventListener("account", ({ detail }) => {
    const scopes = detail?.caller.scopes ?? [];
    const isAdmin = scopes.includes("admin");
    for (const element of document.querySelectorAll("[data-admin]")) element.hidden = !isAdmin;
    if (isAdmin) open(scopes);
    else close();
  });
  // Nobody looks: nothing is asked.
  document.addEventListener("visibilitychange", () => {
    if (cards.length) document.hidden ? leave() : watch();
  });
  document.addEventListener("languagechange", () => {
    for (const { translate } of cards) translate?.();
    if (last) show(last);
  });
}

function open(scopes) {
  close();
  cards = [workersCard(), queueCard(), usageCard(), keysCard(), ...(scopes.includes("mcp") ? [serversCard()] : []), keepersCard()];
  byId("admin-cards").replaceChildren(...cards.map(({ element }) => element));
  watch();
}

function close() {
  leave();
  cards = [];
  last = null;
  byId("admin-cards").replaceChildren();
}

function leave() {
  connection?.abort();
  connection = null;
}

async function watch() {
  leave();
  const mine = (connection = new AbortController());
  while (connection === mine) {
    try {
      const response = await send("/v1/admin/live", { signal: mine.signal });
      if (!response.ok) throw await problemOf(response);
      say(byId("live-note"), "admin.live");
      for await (const data of eventsOf(response)) show(JSON.parse(data));
    } catch (error) {
      if (error.name === "AbortError") return;
    }
    if (connection !== mine) return;
    say(byId("live-note"), "admin.lost");
    await new Promise((done) => setTimeout(done, AGAIN_MS));
  }
}

function show(snapshot) {
  last = snapshot;
  for (const { show: into } of cards) into(snapshot);
}

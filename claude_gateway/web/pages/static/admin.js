// The administration section: live state of the gateway, for a key with the scope `admin`.
import { problemFromResponse, send } from "./api.js";
import { byId } from "./dom.js";
import { readEvents } from "./events.js";
import { keysCard } from "./keys.js";
import { loginsCard } from "./logins.js";
import { queueCard } from "./queue.js";
import { serversCard } from "./servers.js";
import { sessionsCard } from "./sessions.js";
import { setText } from "./strings.js";
import { usageCard } from "./usage.js";
import { workersCard } from "./workers.js";

const RECONNECT_DELAY_MS = 3000;

let cards = [];
let connection = null;
let lastSnapshot = null;

export function startAdmin() {
  document.addEventListener("account", ({ detail }) => {
    const scopes = detail?.current_key.scopes ?? [];
    const isAdmin = scopes.includes("admin");
    for (const element of document.querySelectorAll("[data-admin]")) element.hidden = !isAdmin;
    if (isAdmin) open(scopes);
    else close();
  });
  // A hidden page closes its connection.
  document.addEventListener("visibilitychange", () => {
    if (cards.length) document.hidden ? disconnect() : connect();
  });
  document.addEventListener("languagechange", () => {
    for (const { onLanguageChange } of cards) onLanguageChange?.();
    if (lastSnapshot) show(lastSnapshot);
  });
}

function open(scopes) {
  close();
  cards = [workersCard(), queueCard(), loginsCard(), usageCard(), keysCard(), ...(scopes.includes("mcp") ? [serversCard()] : []), sessionsCard()];
  byId("admin-cards").replaceChildren(...cards.map(({ element }) => element));
  connect();
}

function close() {
  disconnect();
  cards = [];
  lastSnapshot = null;
  byId("admin-cards").replaceChildren();
}

function disconnect() {
  connection?.abort();
  connection = null;
}

async function connect() {
  disconnect();
  const controller = (connection = new AbortController());
  while (connection === controller) {
    try {
      const response = await send("/v1/admin/live", { signal: controller.signal });
      if (!response.ok) throw await problemFromResponse(response);
      setText(byId("live-note"), "admin.live");
      for await (const data of readEvents(response)) show(JSON.parse(data));
    } catch (error) {
      if (error.name === "AbortError") return;
    }
    if (connection !== controller) return;
    setText(byId("live-note"), "admin.reconnecting");
    await new Promise((done) => setTimeout(done, RECONNECT_DELAY_MS));
  }
}

function show(snapshot) {
  lastSnapshot = snapshot;
  for (const card of cards) card.show(snapshot);
}

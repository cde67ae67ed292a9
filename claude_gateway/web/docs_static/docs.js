// Swagger UI shows an answer once it is whole. A stream is shown beside it as it comes.
"use strict";

const live = document.getElementById("live");
const said = document.getElementById("said");

document.getElementById("close").addEventListener("click", () => {
  live.hidden = true;
});

async function show(stream) {
  said.textContent = "";
  live.hidden = false;
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      said.append(piece.value);
      live.scrollTop = live.scrollHeight;
    }
  } catch (error) {
    said.append(`\n${error.message}`);
  }
}

async function fetchLive(url, request) {
  const response = await fetch(url, request);
  if (!response.body || !(response.headers.get("content-type") || "").startsWith("text/event-stream")) return response;
  const [seen, whole] = response.body.tee();
  show(seen);
  return new Response(whole, response);
}

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  // Kept for as long as the page is open: a key does not stay behind in a browser.
  persistAuthorization: false,
  validatorUrl: null,
  requestInterceptor: (request) => ({ ...request, userFetch: fetchLive }),
});

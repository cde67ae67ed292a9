// Swagger UI shows a response only when it is complete. This script shows a stream in a panel while it arrives.
"use strict";

const panel = document.getElementById("live");
const streamText = document.getElementById("stream-text");

document.getElementById("close").addEventListener("click", () => {
  panel.hidden = true;
});

async function showStream(stream) {
  streamText.textContent = "";
  panel.hidden = false;
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      streamText.append(chunk.value);
      panel.scrollTop = panel.scrollHeight;
    }
  } catch (error) {
    streamText.append(`\n${error.message}`);
  }
}

async function fetchAndShow(url, request) {
  const response = await fetch(url, request);
  if (!response.body || !(response.headers.get("content-type") || "").startsWith("text/event-stream")) return response;
  const [shown, returned] = response.body.tee();
  showStream(shown);
  return new Response(returned, response);
}

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  // The browser keeps the key only while the page is open.
  persistAuthorization: false,
  validatorUrl: null,
  requestInterceptor: (request) => ({ ...request, userFetch: fetchAndShow }),
});

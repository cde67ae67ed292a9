// What can be tried: group, method, path, and a body where one is sent. `open` needs no key.
const chat = (model) => ({ model, messages: [{ role: "user", content: "Say hello in three languages." }], stream: true });
const words = (model) => ({ model, max_tokens: 256, messages: [{ role: "user", content: "Say hello." }] });
const contents = () => ({ contents: [{ role: "user", parts: [{ text: "Say hello." }] }] });

const OPERATIONS = [
  ["Chat", "POST", "/v1/chat/completions", chat],
  ["Chat", "POST", "/v1/responses", (model) => ({ model, input: "Say hello." })],
  ["Chat", "GET", "/v1/responses/{id}"],
  ["Chat", "DELETE", "/v1/responses/{id}"],
  ["Chat", "POST", "/v1/responses/{id}/cancel"],
  ["Chat", "GET", "/v1/responses/{id}/input_items"],
  ["Chat", "POST", "/v1/messages", words],
  ["Chat", "POST", "/v1/messages/count_tokens", words],
  ["Chat", "POST", "/v1beta/models/{model}:generateContent", contents],
  ["Chat", "POST", "/v1beta/models/{model}:streamGenerateContent", contents],
  ["Chat", "POST", "/v1beta/models/{model}:countTokens", contents],
  ["Models", "GET", "/v1/models"],
  ["Models", "GET", "/v1/models/{id}"],
  ["Sessions", "GET", "/v1/sessions"],
  ["Sessions", "GET", "/v1/sessions/stats"],
  ["Sessions", "GET", "/v1/sessions/{id}"],
  ["Sessions", "DELETE", "/v1/sessions/{id}"],
  ["Sessions", "GET", "/v1/sessions/{id}/files"],
  ["Tools", "GET", "/v1/tools"],
  ["Tools", "GET", "/v1/tools/config"],
  ["Tools", "POST", "/v1/tools/config", () => ({ allowed_tools: ["Read", "Glob", "Grep", "Bash", "Write", "Edit"] })],
  ["Tools", "GET", "/v1/tools/stats"],
  ["Health", "GET", "/health"],
  ["Health", "GET", "/health/live"],
  ["Health", "GET", "/health/ready"],
  ["Health", "GET", "/version"],
  ["Health", "GET", "/v1/auth/status"],
];

export async function operations(model) {
  return OPERATIONS.map(([group, method, path, body]) => ({
    group,
    method,
    path,
    open: !path.startsWith("/v1"),
    body: body ? JSON.stringify(body(model), null, 2) : null,
  }));
}

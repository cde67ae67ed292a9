// The @anthropic-ai/sdk package.
import Anthropic from "@anthropic-ai/sdk";
import { CITY, KEY, MODEL, URL, run, weather } from "./common.mjs";

const client = new Anthropic({ baseURL: URL, apiKey: KEY, maxRetries: 0 });
const tools = [{ name: "weather", description: "The weather", input_schema: CITY }];
const body = (messages, more) => ({ model: MODEL, max_tokens: 1000, messages, ...more });
const user = (content) => ({ role: "user", content });
const text = (message) =>
  message.content.map((block) => (block.type === "text" ? block.text : "")).join("");

await run({
  async chat(prompt) {
    return text(await client.messages.create(body([user(prompt)])));
  },
  async *stream(prompt) {
    const events = client.messages.stream(body([user(prompt)]));
    for await (const event of events) if (event.type === "content_block_delta") yield event.delta.text;
    await events.finalMessage();
  },
  async tools(prompt) {
    const messages = [user(prompt)];
    const first = await client.messages.create(body(messages, { tools }));
    const results = first.content
      .filter((block) => block.type === "tool_use")
      .map((block) => ({ type: "tool_result", tool_use_id: block.id, content: weather(block.input) }));
    messages.push({ role: "assistant", content: first.content }, user(results));
    return text(await client.messages.create(body(messages, { tools })));
  },
});

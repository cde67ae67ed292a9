// The openai package, with Responses.
import OpenAI from "openai";
import { CITY, KEY, MODEL, URL, run, weather } from "./common.mjs";

const client = new OpenAI({ baseURL: `${URL}/v1`, apiKey: KEY, maxRetries: 0 });
const tools = [{ type: "function", name: "weather", description: "The weather", parameters: CITY, strict: false }];

await run({
  async chat(prompt) {
    return (await client.responses.create({ model: MODEL, input: prompt })).output_text;
  },
  async *stream(prompt) {
    const events = client.responses.stream({ model: MODEL, input: prompt });
    for await (const event of events) if (event.type === "response.output_text.delta") yield event.delta;
    await events.finalResponse();
  },
  async tools(prompt) {
    const first = await client.responses.create({ model: MODEL, input: prompt, tools });
    const outputs = first.output
      .filter((item) => item.type === "function_call")
      .map((item) => ({
        type: "function_call_output",
        call_id: item.call_id,
        output: weather(JSON.parse(item.arguments)),
      }));
    const input = [{ role: "user", content: prompt }, ...first.output, ...outputs];
    return (await client.responses.create({ model: MODEL, input, tools, store: false })).output_text;
  },
});

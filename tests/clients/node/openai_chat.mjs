// The openai package, with Chat Completions; the package calls the tool by itself.
import OpenAI from "openai";
import { CITY, KEY, MODEL, URL, run, weather } from "./common.mjs";

const client = new OpenAI({ baseURL: `${URL}/v1`, apiKey: KEY, maxRetries: 0 });
const user = (content) => [{ role: "user", content }];

await run({
  async chat(prompt) {
    const completion = await client.chat.completions.create({ model: MODEL, messages: user(prompt) });
    return completion.choices[0].message.content;
  },
  async *stream(prompt) {
    const events = client.chat.completions.stream({ model: MODEL, messages: user(prompt) });
    for await (const chunk of events) yield chunk.choices[0]?.delta.content;
    await events.finalChatCompletion();
  },
  async tools(prompt) {
    const runner = client.chat.completions.runTools({
      model: MODEL,
      messages: user(prompt),
      tools: [
        {
          type: "function",
          function: { name: "weather", description: "The weather", parameters: CITY, parse: JSON.parse, function: weather },
        },
      ],
    });
    return await runner.finalContent();
  },
});

// The @google/genai package.
import { GoogleGenAI } from "@google/genai";
import { CITY, KEY, MODEL, URL, run, weather } from "./common.mjs";

const { models } = new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: URL } });
const tools = [{ functionDeclarations: [{ name: "weather", description: "The weather", parametersJsonSchema: CITY }] }];

await run({
  async chat(prompt) {
    return (await models.generateContent({ model: MODEL, contents: prompt })).text;
  },
  async *stream(prompt) {
    for await (const chunk of await models.generateContentStream({ model: MODEL, contents: prompt })) yield chunk.text;
  },
  async tools(prompt) {
    const contents = [{ role: "user", parts: [{ text: prompt }] }];
    const first = await models.generateContent({ model: MODEL, contents, config: { tools } });
    const responses = first.functionCalls.map(({ id, name, args }) => ({
      functionResponse: { id, name, response: { output: weather(args) } },
    }));
    contents.push(first.candidates[0].content, { role: "user", parts: responses });
    return (await models.generateContent({ model: MODEL, contents, config: { tools } })).text;
  },
});

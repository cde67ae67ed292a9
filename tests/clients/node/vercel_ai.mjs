// The Vercel AI SDK over four of its providers: `vercel_ai.mjs PROVIDER SCENARIO PROMPT`.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { KEY, MODEL, URL, run, weather } from "./common.mjs";

const [provider, ...scenarioArguments] = process.argv.slice(2);
const options = { apiKey: KEY, baseURL: `${URL}/v1` };
const model = {
  responses: () => createOpenAI(options)(MODEL),
  chat: () => createOpenAI(options).chat(MODEL),
  compatible: () => createOpenAICompatible({ ...options, name: "gateway", includeUsage: true })(MODEL),
  messages: () => createAnthropic(options)(MODEL),
  gemini: () => createGoogleGenerativeAI({ ...options, baseURL: `${URL}/v1beta` })(MODEL),
}[provider]();
const inputSchema = z.object({ city: z.string() });

await run(
  {
    async chat(prompt) {
      return (await generateText({ model, prompt, maxRetries: 0 })).text;
    },
    async *stream(prompt) {
      // Without this the SDK prints an error and ends the stream as if it were complete.
      const onError = ({ error }) => {
        throw error;
      };
      yield* streamText({ model, prompt, maxRetries: 0, onError }).textStream;
    },
    async tools(prompt) {
      const tools = { weather: tool({ description: "The weather", inputSchema, execute: weather }) };
      return (await generateText({ model, prompt, tools, stopWhen: stepCountIs(3), maxRetries: 0 })).text;
    },
  },
  scenarioArguments,
);

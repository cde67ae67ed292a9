// Complete short programs for the address of this gateway.
export const SAMPLES = [
  {
    name: "curl",
    needs: "",
    language: "bash",
    text: ({ origin, model }) => `curl ${origin}/v1/chat/completions \\
  -H "Authorization: Bearer your-api-key" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "${model}",
    "messages": [{"role": "user", "content": "Hello!"}]
  }'`,
  },
  {
    name: "Python",
    needs: "pip install openai",
    language: "python",
    text: ({ origin, model }) => `from openai import OpenAI

client = OpenAI(base_url="${origin}/v1", api_key="your-api-key")

stream = client.chat.completions.create(
    model="${model}",
    messages=[{"role": "user", "content": "Hello!"}],
    stream=True,
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="", flush=True)`,
  },
  {
    name: "JavaScript",
    needs: "npm install openai",
    language: "javascript",
    text: ({ origin, model }) => `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${origin}/v1", apiKey: "your-api-key" });

const stream = await client.chat.completions.create({
  model: "${model}",
  messages: [{ role: "user", content: "Hello!" }],
  stream: true,
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
}`,
  },
  {
    name: "Anthropic",
    needs: "pip install anthropic",
    language: "python",
    text: ({ origin, model }) => `import anthropic

client = anthropic.Anthropic(base_url="${origin}", api_key="your-api-key")

with client.messages.stream(
    model="${model}",
    max_tokens=1024,
    messages=[{"role": "user", "content": "Hello!"}],
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)`,
  },
  {
    name: "Gemini",
    needs: "pip install google-genai",
    language: "python",
    text: ({ origin, model }) => `from google import genai
from google.genai import types

client = genai.Client(
    api_key="your-api-key",
    http_options=types.HttpOptions(base_url="${origin}"),
)
for chunk in client.models.generate_content_stream(model="${model}", contents="Hello!"):
    print(chunk.text or "", end="", flush=True)`,
  },
];

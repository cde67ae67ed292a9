// Code that all scripts share: the address of the gateway, a tool, and the choice of a scenario by its name.

export const { GATEWAY_URL: URL, GATEWAY_KEY: KEY, GATEWAY_MODEL: MODEL } = process.env;

export const CITY = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

// The fake Anthropic API replies with the text of the tool result, so the last reply shows whether that reached the model.
export const weather = ({ city }) => `{{say it rains in ${city}}}`;

// `script SCENARIO PROMPT` prints the reply as a JSON array of one text or of the streamed pieces.
export async function run(scenarios, [scenario, prompt] = process.argv.slice(2)) {
  const pieces = [];
  if (scenario === "stream") {
    for await (const piece of scenarios.stream(prompt)) if (piece) pieces.push(piece);
  } else {
    pieces.push(await scenarios[scenario](prompt));
  }
  console.log(JSON.stringify(pieces));
}

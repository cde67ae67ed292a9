// What every script here shares: where the gateway is, and one verb run by its name.

export const { GATEWAY_URL: URL, GATEWAY_KEY: KEY, GATEWAY_MODEL: MODEL } = process.env;

export const CITY = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

// What it returns is what the stand-in will say, so the last answer tells whether the result reached the model.
export const weather = ({ city }) => `{{say it rains in ${city}}}`;

// `script VERB PROMPT` prints the answer as a JSON array: of one text, or of the pieces in which it came.
export async function run(verbs, [verb, prompt] = process.argv.slice(2)) {
  const pieces = [];
  if (verb === "stream") {
    for await (const piece of verbs.stream(prompt)) if (piece) pieces.push(piece);
  } else {
    pieces.push(await verbs[verb](prompt));
  }
  console.log(JSON.stringify(pieces));
}

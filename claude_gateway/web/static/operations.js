// What can be tried, as the gateway's own OpenAPI document has it.
const METHODS = ["get", "post", "put", "delete"];

export async function operations(model) {
  const { paths } = await (await fetch("/openapi.json")).json();
  return Object.entries(paths).flatMap(([path, members]) =>
    METHODS.filter((method) => method in members).map((method) => read(path, method, members[method], model)),
  );
}

// `bodies` are examples of what is sent by the name of each, `type` is what it is; `open` needs no key.
function read(path, method, { tags, summary, security, parameters = [], requestBody }, model) {
  const [[type, content] = []] = Object.entries(requestBody?.content ?? {});
  return {
    group: tags[0],
    method: method.toUpperCase(),
    path,
    summary,
    open: !security,
    inPath: parameters.filter((one) => one.in === "path").map(({ name, example }) => ({ name, example: name === "model" ? model : example })),
    inQuery: parameters.filter((one) => one.in === "query").map(({ name }) => name),
    type: type ?? null,
    bodies: Object.entries(content?.examples ?? (type ? { "": { value: "" } } : {})).map(([name, { value }]) => [
      name,
      typeof value === "string" ? value : JSON.stringify(value, null, 2),
    ]),
  };
}

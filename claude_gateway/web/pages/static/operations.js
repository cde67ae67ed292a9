// The operations of the gateway, from its OpenAPI document.
const METHODS = ["get", "post", "put", "delete"];

export async function loadOperations(model) {
  const { paths } = await (await fetch("/openapi.json")).json();
  return Object.entries(paths).flatMap(([path, members]) =>
    METHODS.filter((method) => method in members).map((method) => toOperation(path, method, members[method], model)),
  );
}

// `bodies` are pairs of a name and an example body, `type` is their content type; a public operation needs no key.
function toOperation(path, method, { tags, summary, security, parameters = [], requestBody }, model) {
  const [[type, content] = []] = Object.entries(requestBody?.content ?? {});
  return {
    group: tags[0],
    method: method.toUpperCase(),
    path,
    summary,
    isPublic: !security,
    pathParameters: parameters.filter((parameter) => parameter.in === "path").map(({ name, example }) => ({ name, example: name === "model" ? model : example })),
    queryParameters: parameters.filter((parameter) => parameter.in === "query").map(({ name }) => name),
    type: type ?? null,
    bodies: Object.entries(content?.examples ?? (type ? { "": { value: "" } } : {})).map(([name, { value }]) => [
      name,
      typeof value === "string" ? value : JSON.stringify(value, null, 2),
    ]),
  };
}

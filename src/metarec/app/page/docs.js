// The HTTP interface in words, from the service's own description of itself; nothing comes from elsewhere.

import { byId, el } from "./dom.js";

const METHODS = ["get", "post", "put", "delete"];

/** A schema, followed to where it is written. */
const followed = (whole, schema) => (schema && schema.$ref ? followed(whole, whole.components.schemas[schema.$ref.split("/").pop()]) : schema || {});

/** What kind of value it is, in a few words. */
function kind(whole, schema) {
  if (schema.anyOf) return schema.anyOf.map((one) => kind(whole, one)).filter((one) => one !== "null").join(" or ");
  const found = followed(whole, schema);
  if (found.type === "array") return `list of ${kind(whole, found.items || {})}`;
  if (found.enum) return found.enum.map((one) => JSON.stringify(one)).join(", ");
  return found.type || "any value";
}

const told = (whole, name, schema, needed, description) => [
  el("dt", {}, el("code", {}, name), ` ${kind(whole, schema)}${needed ? ", needed" : ""}`),
  el("dd", {}, description || followed(whole, schema).description || "")];

function route(whole, path, method, one) {
  const body = one.requestBody && followed(whole, one.requestBody.content["application/json"].schema);
  const example = body && [body.example, ...(body.examples || [])].find((found) => found !== undefined);
  const sent = example === undefined ? "" : ` \\\n  -H 'content-type: application/json' \\\n  -d '${JSON.stringify(example, null, 2).replaceAll("'", "'\\''")}'`;
  const here = new URL(".", window.location.href).origin;
  const taken = [...(one.parameters || []).map((given) => told(whole, given.name, given.schema, given.required, given.description)),
    ...Object.entries((body && body.properties) || {}).map(([name, schema]) =>
      told(whole, name, schema, (body.required || []).includes(name), schema.description))];
  return el("details", { class: "route" },
    el("summary", {}, el("span", { class: `method ${method}` }, method.toUpperCase()), el("code", {}, path), el("span", {}, one.summary || "")),
    el("div", { class: "about" },
      one.description && el("p", {}, one.description),
      el("pre", {}, `curl -s ${method === "get" ? "" : `-X ${method.toUpperCase()} `}'${here}${path}'${sent}`),
      taken.length ? [el("h3", {}, "It takes"), el("dl", {}, taken)] : null,
      el("h3", {}, "It answers"),
      el("dl", {}, Object.entries(one.responses).map(([code, answer]) => [el("dt", {}, el("code", {}, code)), el("dd", {}, answer.description)]))));
}

async function draw() {
  const answer = await fetch("openapi.json");
  if (!answer.ok) throw new Error(`openapi.json was answered with ${answer.status}`);
  const whole = await answer.json();
  const rooms = new Map();
  for (const [path, methods] of Object.entries(whole.paths)) {
    for (const method of METHODS.filter((name) => methods[name])) {
      const room = (methods[method].tags || ["more"])[0];
      rooms.set(room, [...(rooms.get(room) || []), route(whole, path, method, methods[method])]);
    }
  }
  byId("main").replaceChildren(
    el("h1", {}, "HTTP interface"),
    el("p", {}, whole.info.description || "", " For machines: ", el("a", { href: "openapi.json" }, "openapi.json"), "."),
    ...[...rooms].flatMap(([room, routes]) => [el("h2", {}, room), ...routes]));
}

draw().catch((error) => byId("main").replaceChildren(el("p", { class: "notice" }, `The description could not be read: ${error.message}.`)));

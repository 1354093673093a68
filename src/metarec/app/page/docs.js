// The HTTP interface in words, from the service's own description of itself; nothing comes from
// elsewhere.

import { ask } from "./common/api.js";
import { byId, el } from "./common/dom.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const EXAMPLES = 3;

/** A schema, followed to where it is written. */
const followed = (whole, schema) =>
  schema && schema.$ref
    ? followed(whole, whole.components.schemas[schema.$ref.split("/").pop()])
    : schema || {};

/** What kind of value it is, in a few words. */
function kind(whole, schema) {
  if (schema.anyOf)
    return schema.anyOf
      .map((one) => kind(whole, one))
      .filter((one) => one !== "null")
      .join(" or ");
  const found = followed(whole, schema);
  if (found.type === "array") return `list of ${kind(whole, found.items || {})}`;
  if (found.enum) return found.enum.map((one) => JSON.stringify(one)).join(", ");
  return found.type || "any value";
}

const told = (whole, name, schema, needed, description) => [
  el("dt", {}, el("code", {}, name), ` ${kind(whole, schema)}${needed ? ", needed" : ""}`),
  el("dd", {}, description || followed(whole, schema).description || ""),
];

const fields = (whole, schema, needed = schema.required || []) =>
  Object.entries(schema.properties || {}).map(([name, one]) =>
    told(whole, name, one, needed.includes(name), one.description),
  );

/** Ids of the examples become ids of the catalog that is served, in their order. */
function served(example, ids) {
  const taken = new Map();
  const known = (id) =>
    (taken.has(id) ? taken : taken.set(id, ids[taken.size % ids.length] || id)).get(id);
  const walk = (value, name) => {
    if (Array.isArray(value)) return value.map((one) => walk(one, name));
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, walk(one, key)]));
    return name === "item_id" && ids.length ? known(value) : value;
  };
  return walk(example, "");
}

/** The same call by curl, by the Python client and by the JavaScript client. */
function samples(method, path, example) {
  const here = new URL(".", window.location.href).href.replace(/\/$/, "");
  const sent = example === undefined ? null : JSON.stringify(example, null, 2);
  const curl =
    `curl -s ${method === "get" ? "" : `-X ${method.toUpperCase()} `}'${here}${path}'` +
    (sent
      ? ` \\\n  -H 'content-type: application/json' \\\n  -d '${sent.replaceAll("'", "'\\''")}'`
      : "");
  const python = (sent || "")
    .replace(/\btrue\b/g, "True")
    .replace(/\bfalse\b/g, "False")
    .replace(/\bnull\b/g, "None");
  return [
    ["curl", curl],
    [
      "Python",
      `from metarec.client import Client\n\nClient("${here}").request("${method.toUpperCase()}", "${path}"${sent ? `, ${python}` : ""})`,
    ],
    [
      "JavaScript",
      `import { Metarec } from "${here}/client.js";\n\nawait new Metarec("${here}/").ask("${method.toUpperCase()}", "${path.slice(1)}"${sent ? `, ${sent}` : ""});`,
    ],
  ];
}

/** Send the call from this page and show the answer. */
function tryIt(method, path, example) {
  const address = el("input", { value: path, "aria-label": "Address", spellcheck: "false" });
  const body =
    example === undefined
      ? null
      : el(
          "textarea",
          { rows: "8", "aria-label": "Body as JSON", spellcheck: "false" },
          JSON.stringify(example, null, 2),
        );
  const answer = el("pre", { "aria-live": "polite" });
  const send = el("button", { type: "button" }, "Send");
  send.addEventListener("click", async () => {
    answer.textContent = "…";
    try {
      const got = await ask(
        method.toUpperCase(),
        address.value.replace(/^\//, ""),
        body ? JSON.parse(body.value) : undefined,
      );
      answer.textContent = JSON.stringify(got, null, 2);
    } catch (error) {
      answer.textContent = `${error.status || ""} ${error.message}`.trim();
    }
  });
  return el("details", { class: "try" }, el("summary", {}, "Try it"), address, body, send, answer);
}

const answered = (answer) => ((answer.content && answer.content["application/json"]) || {}).schema;

function route(whole, path, method, one, ids) {
  const body =
    one.requestBody && followed(whole, (one.requestBody.content["application/json"] || {}).schema);
  const written =
    body && [body.example, ...(body.examples || [])].find((found) => found !== undefined);
  const example = written === undefined ? undefined : served(written, ids);
  const shown = path.replace("{item_id}", encodeURIComponent(ids[0] || "{item_id}"));
  const taken = [
    ...(one.parameters || []).map((given) =>
      told(whole, given.name, given.schema, given.required, given.description),
    ),
    ...(body ? fields(whole, body) : []),
  ];
  const good = Object.entries(one.responses).find(
    ([code, answer]) => code.startsWith("2") && answered(answer),
  );
  return el(
    "details",
    { class: "route" },
    el(
      "summary",
      {},
      el("span", { class: `method ${method}` }, method.toUpperCase()),
      el("code", {}, path),
      el("span", {}, one.summary || ""),
    ),
    el(
      "div",
      { class: "about" },
      one.description && el("p", {}, one.description),
      samples(method, shown, example).map(([name, code]) =>
        el(
          "details",
          name === "curl" ? { open: "" } : {},
          el("summary", {}, name),
          el("pre", {}, code),
        ),
      ),
      ["get", "post"].includes(method) && !path.endsWith("/promote")
        ? tryIt(method, shown, example)
        : null,
      taken.length ? [el("h3", {}, "It takes"), el("dl", {}, taken)] : null,
      el("h3", {}, "It answers"),
      el(
        "dl",
        {},
        Object.entries(one.responses).map(([code, answer]) => [
          el("dt", {}, el("code", {}, code)),
          el("dd", {}, answer.description),
        ]),
      ),
      good
        ? el("dl", { class: "answer" }, fields(whole, followed(whole, answered(good[1])), []))
        : null,
    ),
  );
}

async function draw() {
  const whole = await ask("GET", "openapi.json");
  // Without a key the catalog is not told: then the examples keep the ids they are written with.
  const items = await ask("GET", `v1/items?k=${EXAMPLES}`).then(
    (found) => found.items,
    () => [],
  );
  const ids = items.map((item) => item.item_id);
  const rooms = new Map();
  for (const [path, methods] of Object.entries(whole.paths)) {
    for (const method of METHODS.filter((name) => methods[name])) {
      const room = (methods[method].tags || ["more"])[0];
      rooms.set(room, [
        ...(rooms.get(room) || []),
        route(whole, path, method, methods[method], ids),
      ]);
    }
  }
  byId("main").replaceChildren(
    el("h1", {}, "HTTP interface"),
    el(
      "p",
      {},
      whole.info.description || "",
      " For machines: ",
      el("a", { href: "openapi.json" }, "openapi.json"),
      ".",
    ),
    el(
      "p",
      {},
      "Where the service wants a key, send it as ",
      el("code", {}, "x-api-key"),
      " or ",
      el("code", {}, "Authorization: Bearer"),
      "; this page uses the one given on the first page. Over the rate limit the answer is 429 with ",
      el("code", {}, "Retry-After"),
      ". Every error is ",
      el("code", {}, '{"error": "one sentence"}'),
      ".",
    ),
    ...[...rooms].flatMap(([room, routes]) => [el("h2", {}, room), ...routes]),
  );
}

draw().catch((error) =>
  byId("main").replaceChildren(
    el("p", { class: "notice" }, `The description could not be read: ${error.message}.`),
  ),
);

// Talking to the service that serves this page, by the client that other pages use too.

import { ApiError, Metarec, randomName } from "../client.js";
import { language } from "./language.js";

export { ApiError, randomName };

const KEY = "metarec.key";

export const hasKey = () => Boolean(sessionStorage.getItem(KEY));
export const setKey = (key) =>
  key ? sessionStorage.setItem(KEY, key) : sessionStorage.removeItem(KEY);

const service = new Metarec(document.baseURI, { key: () => sessionStorage.getItem(KEY), language });

export const ask = (method, path, body) => service.ask(method, path, body);
/** The same, and the milliseconds that the service itself took. */
export async function timed(method, path, body) {
  const answer = await service.call(method, path, body);
  return [
    await answer.json(),
    Number(/dur=([\d.]+)/.exec(answer.headers.get("server-timing"))?.[1]),
  ];
}
export const text = async (path) => (await service.call("GET", path)).text();

const known = new Map();

/** An item's title and attributes, asked for once. */
export function item(itemId) {
  if (!known.has(itemId)) {
    const coming = ask("GET", `v1/items/${encodeURIComponent(itemId)}`);
    coming.catch(() => known.delete(itemId));
    known.set(itemId, coming);
  }
  return known.get(itemId);
}

export const remember = (found) =>
  found.forEach((one) => known.set(one.item_id, Promise.resolve(one)));

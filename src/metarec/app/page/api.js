// Talking to the service. Every failure becomes an `ApiError` with one sentence a person can read.

const KEY = "metarec.key";

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const hasKey = () => Boolean(sessionStorage.getItem(KEY));
export const setKey = (key) => (key ? sessionStorage.setItem(KEY, key) : sessionStorage.removeItem(KEY));

async function send(method, path, body) {
  const headers = {};
  const key = sessionStorage.getItem(KEY);
  if (key) headers["x-api-key"] = key;
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(new URL(path, document.baseURI), { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new ApiError(0, "The service does not answer. Is it running?");
  }
  if (answer.ok) return answer;
  let sentence = `The service answered ${answer.status}.`;
  try {
    sentence = (await answer.json()).error || sentence;
  } catch { /* not one of ours: the number must do */ }
  throw new ApiError(answer.status, sentence);
}

export const ask = async (method, path, body) => (await send(method, path, body)).json();
export const text = async (path) => (await send("GET", path)).text();

/** A random name of 128 bits; also where the page is not served securely and `randomUUID` is missing. */
export function randomName() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

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

export const remember = (found) => found.forEach((one) => known.set(one.item_id, Promise.resolve(one)));

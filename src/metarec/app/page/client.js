// A small client of the service, used by this page and by yours: copy it, or import it from a
// running service.
//
//   import { Metarec } from "ADDRESS/client.js";
//   const service = new Metarec("ADDRESS", { key: "..." });
//   await service.send([{ user_id: "u1", item_id: "tent-1", kind: "purchase" }]);
//   const slate = await service.recommend({ user_id: "u1", k: 5 });
//
// A page that anybody may open should hold a key of the role `read` or `write` only. Failures
// are an `ApiError` with one sentence to show.

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * A random name of 128 bits; also where the page is not served securely and `randomUUID` is
 * missing.
 */
export function randomName() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("");
}

const part = (id) => encodeURIComponent(id);

export class Metarec {
  /**
   * `address` of the service; `key`, or a function that gives it, where the service wants
   * one; `language` of reasons, notes and errors.
   */
  constructor(address, { key = null, language = null } = {}) {
    this.address = new URL("./", address);
    this.language = language;
    this.key = typeof key === "function" ? key : () => key;
  }

  /** A slate; the fields are those of POST /v1/recommendations. */
  recommend(request) {
    return this.ask("POST", "v1/recommendations", request);
  }

  /**
   * Store events. Each gets an `event_id` here where it has none, so that a call made twice
   * stores it once.
   */
  send(events) {
    return this.ask("POST", "v1/events", {
      events: events.map((event) => ({ event_id: randomName(), ...event })),
    });
  }

  /** Explain the rank of an item; the fields are those of POST /v1/explanations. */
  explain(request) {
    return this.ask("POST", "v1/explanations", request);
  }

  similar(itemId, k = 10) {
    return this.ask("GET", `v1/items/${part(itemId)}/similar?k=${k}`);
  }

  user(userId) {
    return this.ask("GET", `v1/users/${part(userId)}`);
  }

  /** Delete what is kept of a user; the answer is the receipt. */
  forget(userId) {
    return this.ask("DELETE", `v1/users/${part(userId)}`);
  }

  async ask(method, path, body) {
    return (await this.call(method, path, body)).json();
  }

  /** Any call; the answer as `fetch` gives it. */
  async call(method, path, body) {
    const headers = {};
    const key = this.key();
    if (key) headers["x-api-key"] = key;
    if (this.language) headers["accept-language"] = this.language;
    if (body !== undefined) headers["content-type"] = "application/json";
    let answer;
    try {
      answer = await fetch(new URL(path, this.address), {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
      });
    } catch {
      throw new ApiError(0, "The service does not answer. Is it running?");
    }
    if (answer.ok) return answer;
    let sentence = `The service answered ${answer.status}.`;
    try {
      sentence = (await answer.json()).error || sentence;
    } catch {
      /* not one of ours: the number must do */
    }
    throw new ApiError(answer.status, sentence);
  }
}

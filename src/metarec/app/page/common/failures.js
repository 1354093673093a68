// What is said of a failure, and what is offered: another key where the service refuses this
// one, else to try again.

import { ApiError, setKey } from "./api.js";
import { askIn, el, toast } from "./dom.js";
import { t } from "./language.js";

/** True where no repetition helps, only a key that may do more. */
export const wantsKey = (error) =>
  error instanceof ApiError && (error.status === 401 || error.status === 403);

/** Ask for a key; with one given, `again` is done with it. */
export async function askKey(why, again) {
  const input = el("input", { id: "key", type: "password", autocomplete: "off" });
  const body = el(
    "div",
    { class: "field" },
    why ? el("p", {}, why) : null,
    el("label", { for: "key" }, t`API key`),
    input,
  );
  const buttons = [
    { text: t`Cancel`, means: false },
    { text: t`Use it`, means: true, kind: "primary" },
  ];
  if (!(await askIn(t`This service wants a key`, body, buttons)) || !input.value.trim()) return;
  setKey(input.value.trim());
  again();
}

/**
 * Tell of something that failed; `about` names what it was about, `again` does it once more and
 * may be missing, and `topic` is what it can be taken back by.
 */
export function tellFailure(error, { about = "", again = null, topic = "bad" } = {}) {
  if (!(error instanceof ApiError)) throw error;
  const said = error.status === 0 ? t`The service does not answer. Is it running?` : error.message;
  const sentence = about ? `${about}: ${said}` : said;
  if (!again) toast(sentence, { kind: "bad", topic });
  else if (wantsKey(error))
    toast(sentence, {
      kind: "bad",
      topic,
      offer: t`Enter another key`,
      then: () => askKey(sentence, again),
    });
  else toast(sentence, { kind: "bad", topic, offer: t`Try again`, then: again });
}

// Users on the operator's view: what is kept of one, what they would see and why, merge, forget.

import { ask } from "../common/api.js";
import { askIn, byId, count, el, toast, when } from "../common/dom.js";
import { tellFailure } from "../common/failures.js";
import { t } from "../common/language.js";

const SHOWN = 100;
let listed = "";

/** The latest users; one is looked up by a click or by id. */
export async function drawUsers() {
  if (!byId("user-list")) lay();
  const { users } = await ask("GET", "v1/users?k=12").catch((error) =>
    error.status === 403 ? { users: null } : Promise.reject(error),
  );
  const now = JSON.stringify(users?.map((one) => one.user_id));
  if (now === listed) return;
  listed = now;
  byId("user-list").replaceChildren(
    ...(users === null
      ? [el("p", { class: "quiet" }, t`This key may look up users, not list them.`)]
      : users.map((one) =>
          el(
            "li",
            {},
            el(
              "button",
              {
                type: "button",
                title: t`${count(one.events, "event")}, the last ${when(one.last)}`,
                onclick: () => look(one.user_id),
              },
              one.user_id,
            ),
          ),
        )),
  );
}

function lay() {
  const id = el("input", {
    id: "user-of-interest",
    type: "text",
    maxlength: "256",
    autocomplete: "off",
    spellcheck: "false",
  });
  const find = el(
    "form",
    {
      onsubmit: (event) => {
        event.preventDefault();
        if (id.value.trim()) look(id.value.trim());
      },
    },
    el("label", { for: "user-of-interest" }, t`User id`),
    el(
      "div",
      { class: "joined" },
      id,
      el("button", { type: "submit", class: "primary" }, t`Look up`),
    ),
  );
  byId("users").replaceChildren(
    find,
    el("ul", { class: "recent", id: "user-list", "aria-label": t`Latest users` }),
    el("div", { id: "user-found" }),
  );
}

const address = (userId, rest = "") => `v1/users/${encodeURIComponent(userId)}${rest}`;

async function look(userId) {
  const place = byId("user-found");
  try {
    const kept = await ask("GET", address(userId, `?last=${SHOWN}`));
    place.replaceChildren(...card(kept));
  } catch (error) {
    if (error.status === 404)
      place.replaceChildren(el("p", { class: "notice" }, t`Nothing is kept of ${userId}.`));
    else tellFailure(error, { again: () => look(userId) });
  }
}

function card(kept) {
  const seen = el("div", {});
  const facts = [
    [t`Events kept`, kept.events.length === SHOWN ? t`${SHOWN} or more` : kept.events.length],
    [t`Slates kept`, kept.slates],
    [t`Friends`, kept.friends],
    ...Object.entries(kept.experiments).map(([name, arm]) => [t`Arm in ${name}`, arm]),
    ...Object.entries(kept.profile),
  ];
  return [
    el("h3", {}, el("code", {}, kept.user_id)),
    el(
      "dl",
      { class: "all-facts" },
      facts.map(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))]),
    ),
    el(
      "p",
      {},
      el(
        "button",
        { type: "button", class: "primary", onclick: () => seeAs(kept, seen) },
        t`See as this user`,
      ),
      " ",
      el("button", { type: "button", onclick: () => merge(kept) }, t`Merge into…`),
      " ",
      el("button", { type: "button", class: "danger", onclick: () => forget(kept) }, t`Forget…`),
    ),
    seen,
    el(
      "details",
      {},
      el("summary", {}, t`History (${kept.events.length})`),
      el(
        "div",
        { class: "scroll user-history", tabindex: "0", role: "region", "aria-label": t`History` },
        el(
          "table",
          { class: "plain" },
          el(
            "tbody",
            {},
            [...kept.events]
              .reverse()
              .map((one) =>
                el(
                  "tr",
                  {},
                  el("td", {}, when(one.timestamp)),
                  el("td", {}, one.kind),
                  el("td", {}, one.query ? `“${one.query}”` : one.title || one.item_id),
                  el("td", { class: "number" }, one.value === null ? "" : String(one.value)),
                ),
              ),
          ),
        ),
      ),
    ),
  ];
}

/**
 * What they would be shown now. Asked for by what is kept, without their id, so that it is not
 * kept as shown to them.
 */
async function seeAs(kept, place) {
  const history = kept.events
    .filter((one) => one.item_id)
    .map(({ item_id, kind, value, timestamp }) => ({ item_id, kind, value, timestamp }));
  const body = { history, profile: kept.profile, k: 10, explore: 0, cold_share: 0 };
  try {
    const { items, notes } = await ask("POST", "v1/recommendations", body);
    place.replaceChildren(
      el(
        "ol",
        { class: "lines", "aria-label": t`Slate of ${kept.user_id}` },
        items.map((one) =>
          el(
            "li",
            {},
            `${one.title || one.item_id} `,
            el(
              "button",
              {
                type: "button",
                class: "link",
                "aria-label": t`Why ${one.title || one.item_id}?`,
                onclick: () => explain(kept, one),
              },
              t`why?`,
            ),
          ),
        ),
      ),
      ...notes.map((note) => el("p", { class: "quiet" }, note)),
    );
  } catch (error) {
    tellFailure(error, { again: () => seeAs(kept, place) });
  }
}

async function explain(kept, one) {
  try {
    const why = await ask("POST", "v1/explanations", {
      user_id: kept.user_id,
      item_id: one.item_id,
      k: 3,
    });
    const reasons = why.reasons.length
      ? why.reasons
      : [t`Nothing about this user moves it: its rank is the same for everyone.`];
    await askIn(
      one.title || one.item_id,
      el(
        "ul",
        { class: "reasons" },
        reasons.map((reason) => el("li", {}, reason)),
      ),
      [{ text: t`Close`, means: true, kind: "primary" }],
    );
  } catch (error) {
    tellFailure(error, { again: () => explain(kept, one) });
  }
}

async function merge(kept) {
  const into = el("input", { id: "merge-into", type: "text", maxlength: "256" });
  const body = el(
    "div",
    { class: "field" },
    el(
      "p",
      {},
      t`Everything kept of ${kept.user_id} goes to another user, and what still comes under this id, too.`,
    ),
    el("label", { for: "merge-into" }, t`Whose it becomes`),
    into,
  );
  if (
    !(await askIn(t`Merge ${kept.user_id}?`, body, [
      { text: t`Cancel`, means: false },
      { text: t`Merge`, means: true, kind: "primary" },
    ])) ||
    !into.value.trim()
  )
    return;
  try {
    const done = await ask("POST", address(kept.user_id, "/merge"), { into: into.value.trim() });
    toast(
      t`${count(done.events, "event")} and ${count(done.slates, "slate")} are ${done.user_id}'s now.`,
    );
    await look(done.user_id);
  } catch (error) {
    tellFailure(error, { again: () => merge(kept) });
  }
}

async function forget(kept) {
  const words = el(
    "p",
    {},
    t`Everything kept of them is deleted, and the next retraining leaves it out. This cannot be undone.`,
  );
  if (
    !(await askIn(t`Forget ${kept.user_id}?`, words, [
      { text: t`Keep`, means: false },
      { text: t`Forget`, means: true, kind: "danger" },
    ]))
  )
    return;
  try {
    const receipt = await ask("DELETE", address(kept.user_id));
    byId("user-found").replaceChildren(
      el("p", {}, t`Forgotten. Receipt `, el("code", {}, receipt.receipt_id), "."),
      el(
        "ul",
        { class: "lines" },
        receipt.places
          .filter((one) => one.still_holds)
          .map((one) => el("li", {}, `${one.place}: ${one.still_holds}`)),
      ),
    );
  } catch (error) {
    tellFailure(error, { again: () => forget(kept) });
  }
}

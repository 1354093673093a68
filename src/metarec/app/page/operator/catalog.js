// Items on the operator's view: found by words, what is in stock, new, shown and taken; one
// looked at, taken out of stock, removed.

import { ask } from "../common/api.js";
import { askIn, byId, count, el, plainTable, toast, when } from "../common/dom.js";
import { tellFailure } from "../common/failures.js";
import { allFacts } from "../common/items.js";
import { SPACE, t } from "../common/language.js";

const AT_ONCE = 12;
const asked = { q: "", only: "all", order: "shown", k: AT_ONCE };
let drawn = "";

const ONLY = () => [
  ["all", t`All items`],
  ["cold", t`New: few events`],
  ["unshown", t`Never shown`],
  ["unavailable", t`Out of stock`],
  ["filtered", t`Left out by the filter`],
];
const ORDER = () => [
  ["shown", t`Most shown`],
  ["conversions", t`Most taken`],
  ["events", t`Most training events`],
  ["newest", t`Newest`],
];

/** The list as it was asked for last, and how much of the catalog is shown at all. */
export async function drawItems() {
  if (!byId("item-table")) lay();
  const found = await ask("GET", `v1/item-statistics?${new URLSearchParams(asked)}`);
  const now = JSON.stringify(found);
  if (now === drawn) return; // what is being read or pressed must not be replaced
  drawn = now;
  byId("items-summary").textContent = summary(found);
  byId("item-table").replaceChildren(
    found.items.length ? table(found.items) : el("p", { class: "quiet" }, t`No item is like that.`),
    found.matching > found.items.length && asked.k < 100
      ? el(
          "button",
          {
            type: "button",
            class: "link",
            onclick: () => again({ k: Math.min(100, asked.k + 24) }),
          },
          t`More: ${found.items.length.toLocaleString("en")} of ${found.matching.toLocaleString("en")} are here`,
        )
      : "",
  );
}

function summary(found) {
  const stock = t`${count(found.catalog, "item")}, ${found.unavailable.toLocaleString("en")} out of stock, ${found.cold.toLocaleString("en")} new.`;
  if (!found.slates) return stock + SPACE + t`No slate has been shown yet.`;
  const share = ((100 * found.items_shown) / Math.max(1, found.catalog)).toFixed(0);
  return (
    stock +
    SPACE +
    t`${count(found.slates, "slate")} since ${when(found.since)} showed ${share}% of the catalog; new items held ${(100 * found.cold_exposure).toFixed(1)}% of the places.`
  );
}

function lay() {
  const words = el("input", {
    id: "items-words",
    type: "search",
    maxlength: "200",
    autocomplete: "off",
    spellcheck: "false",
  });
  const select = (id, name, label, options) =>
    el(
      "div",
      { class: "field" },
      el("label", { for: id }, label),
      el(
        "select",
        { id, onchange: (event) => again({ [name]: event.target.value }) },
        options.map(([value, said]) => el("option", { value }, said)),
      ),
    );
  byId("items").replaceChildren(
    el(
      "form",
      {
        class: "item-search",
        onsubmit: (event) => {
          event.preventDefault();
          again({ q: words.value.trim() });
        },
      },
      el(
        "div",
        { class: "field" },
        el("label", { for: "items-words" }, t`Words of the title, or the id`),
        el(
          "div",
          { class: "joined" },
          words,
          el("button", { type: "submit", class: "primary" }, t`Find`),
        ),
      ),
      select("items-only", "only", t`Which`, ONLY()),
      select("items-order", "order", t`Order`, ORDER()),
    ),
    el("p", { class: "quiet", id: "items-summary", role: "status" }),
    el("div", { id: "item-found" }),
    el("div", { id: "item-table" }),
  );
}

async function again(changes) {
  Object.assign(asked, { k: AT_ONCE }, changes);
  await drawItems().catch((error) => tellFailure(error, { again: () => again(changes) }));
}

const table = (items) =>
  plainTable(
    t`Items`,
    [t`Item`, t`Training events`, t`Shown`, t`Taken`].map((name, at) =>
      el("th", { scope: "col", class: at ? "number" : "" }, name),
    ),
    items.map((one) =>
      el(
        "tr",
        {},
        el(
          "th",
          { scope: "row", class: "item-name" },
          el(
            "button",
            { type: "button", class: "link", onclick: () => look(one) },
            one.title || one.item_id,
          ),
          badges(one),
        ),
        el("td", { class: "number" }, one.training_events.toLocaleString("en")),
        el("td", { class: "number" }, one.shown.toLocaleString("en")),
        el(
          "td",
          { class: "number" },
          one.shown
            ? `${one.conversions.toLocaleString("en")} (${((100 * one.conversions) / one.shown).toFixed(0)}%)`
            : "–",
        ),
      ),
    ),
  );

const badges = (one) => [
  one.is_cold ? el("span", { class: "badge new" }, t`new`) : null,
  one.is_available ? null : el("span", { class: "badge" }, t`out of stock`),
  one.is_filtered ? el("span", { class: "badge" }, t`left out by the filter`) : null,
];

/** One item: what is known of it, what is like it, and what may be done. */
async function look(one) {
  const place = byId("item-found");
  try {
    const [item, near] = await Promise.all([
      ask("GET", address(one.item_id)),
      ask("GET", `${address(one.item_id)}/similar?k=5`),
    ]);
    place.replaceChildren(
      el(
        "div",
        { class: "item-card" },
        el("h3", {}, item.title || item.item_id, badges(one)),
        el("p", { class: "quiet" }, el("code", {}, item.item_id)),
        allFacts(item.attributes),
        near.items.length
          ? el(
              "p",
              {},
              el("strong", {}, t`Most like it: `),
              near.items.map((other) => other.title || other.item_id).join(" · "),
            )
          : null,
        el(
          "p",
          { class: "buttons-left" },
          el(
            "button",
            { type: "button", onclick: () => stock(one) },
            one.is_available ? t`Take out of stock` : t`Back in stock`,
          ),
          " ",
          el("button", { type: "button", class: "danger", onclick: () => remove(one) }, t`Remove…`),
          " ",
          el(
            "button",
            { type: "button", class: "link", onclick: () => place.replaceChildren() },
            t`Close`,
          ),
        ),
      ),
    );
  } catch (error) {
    tellFailure(error, { about: one.title, again: () => look(one) });
  }
}

const address = (itemId) => `v1/items/${encodeURIComponent(itemId)}`;

async function stock(one) {
  const available = !one.is_available;
  try {
    await ask("PATCH", address(one.item_id), { attributes: { available } });
    toast(
      available
        ? t`${one.title} may be shown again.`
        : t`${one.title} is shown to nobody until it is back.`,
    );
    await again({});
    await look({ ...one, is_available: available });
  } catch (error) {
    tellFailure(error, { about: one.title, again: () => stock(one) });
  }
}

async function remove(one) {
  const words = el(
    "p",
    {},
    t`It is shown to nobody any more. What users did with it still teaches, and putting it again brings it back.`,
  );
  if (
    !(await askIn(t`Remove ${one.title}?`, words, [
      { text: t`Keep`, means: false },
      { text: t`Remove`, means: true, kind: "danger" },
    ]))
  )
    return;
  try {
    await ask("DELETE", address(one.item_id));
    byId("item-found").replaceChildren(el("p", {}, t`${one.title} was removed.`));
    await again({});
  } catch (error) {
    tellFailure(error, { about: one.title, again: () => remove(one) });
  }
}

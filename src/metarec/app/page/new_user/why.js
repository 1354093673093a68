// Why an item is on the list: sentences first, then the components of its score, and what each event
// did.

import { ask, item } from "../common/api.js";
import { byId, count, el, icon } from "../common/dom.js";
import {
  allFacts,
  factLine,
  forecastWords,
  plainValue,
  rateButtons,
  tile,
} from "../common/items.js";
import { askKey, wantsKey } from "../common/failures.js";
import { asking } from "./user.js";
import { SPACE, listed, t } from "../common/language.js";

const PARTS = {
  popularity: t`Many users like it`,
  item_statistics: t`How everyone rates it`,
  profile: t`Users like you`,
  item_knn: t`Users who chose what you chose`,
  ease: t`Goes with what you chose`,
  als: t`Your taste`,
  markov: t`What comes next`,
  support_ridge: t`Learned from other new users`,
  deep_set: t`What a network makes of it`,
  r2d2: t`What you did so far`,
  content: t`What it is about`,
  wish: t`Your wish`,
  user_text: t`Users described like you`,
  friends: t`What users you know, or users like them, took`,
  location: t`How near it is`,
  local_knn: t`Users who go where you go`,
  local_mixture: t`Users likely to go to all your places`,
  context: t`What is chosen in these circumstances`,
  search: t`What others took who searched for this`,
  repeat: t`What you took before`,
  acceptance: t`Whether it is kept`,
  refused: t`What you refused`,
  trend: t`What is chosen lately`,
  predicted_rating: t`How you would rate it`,
  cold_items: t`New here, and like you`,
};

/**
 * `range` is that of the ratings, null where values are no ratings; `sure` says in words how sure
 * we are, empty where nothing tells.
 */
export async function showWhy(one, k, range, sure, rate) {
  const drawer = byId("why");
  const body = el(
    "div",
    { class: "drawer-body", "aria-busy": "true" },
    one.reasons?.length
      ? el(
          "ul",
          { class: "reasons" },
          one.reasons.map((reason) => el("li", {}, sentence(reason))),
        )
      : null,
    el("p", { class: "quiet working" }, t`Leaving out each thing you told us, to see what it did…`),
  );
  const line = el("span", { class: "facts" });
  const close = () => drawer.close();
  drawer.replaceChildren(
    el(
      "header",
      {},
      tile(one),
      el("div", { class: "words" }, el("h2", { id: "why-title" }, one.title), line),
      el(
        "button",
        { type: "button", class: "quiet-button", "aria-label": t`Close`, onclick: close },
        icon("close"),
      ),
    ),
    body,
    el(
      "footer",
      {},
      rateButtons(one.title, null, (kind) => {
        close();
        rate(kind);
      }),
    ),
  );
  drawer.onclick = (event) => {
    if (event.target === drawer) close();
  };
  if (!drawer.open) drawer.showModal();
  drawer.dataset.item = one.item_id;
  try {
    const [about, why] = await Promise.all([
      item(one.item_id),
      ask("POST", "v1/explanations", { ...asking(), item_id: one.item_id, k }),
    ]);
    if (drawer.dataset.item !== one.item_id) return;
    line.replaceWith(factLine(one.title, about.attributes));
    body.replaceChildren(...explained(why, one, range, sure, about.attributes).filter(Boolean));
  } catch (error) {
    const again = () => showWhy(one, k, range, sure, rate);
    body
      .querySelector(".working")
      .replaceWith(
        el(
          "p",
          { class: "notice" },
          error.message,
          " ",
          wantsKey(error)
            ? el(
                "button",
                { type: "button", class: "link", onclick: () => askKey(error.message, again) },
                t`Enter another key`,
              )
            : null,
        ),
      );
  } finally {
    body.removeAttribute("aria-busy");
  }
}

const sentence = (words) =>
  words.charAt(0).toUpperCase() + words.slice(1) + (/[.。]$/.test(words) ? "" : t`.`);

function explained(why, one, range, sure, attributes) {
  return [
    el(
      "p",
      { class: "place-line" },
      why.rank
        ? t`Rank ${why.rank} among everything you may be shown.`
        : t`It may not be shown to you.`,
      SPACE,
      forecastWords(one, range) || (sure ? t`How sure we are: ${sure}.` : ""),
    ),
    why.reasons.length
      ? el(
          "ul",
          { class: "reasons" },
          why.reasons.map((reason) => el("li", {}, sentence(reason))),
        )
      : el("p", {}, t`Nothing about you moves it: its rank is the same for everyone.`),
    counterfactual(why),
    bars(
      t`What its score is made of`,
      t`Score component`,
      Object.entries(why.components)
        .filter(([, effect]) => signed(effect) !== ZERO)
        .map(([name, effect]) => [PARTS[name] || name.replaceAll("_", " "), effect]),
      t`Against the average of what a new user is shown. Together ${signed(why.relative_score)}.`,
    ),
    why.events.length
      ? bars(
          t`What each thing you told us did`,
          t`Event`,
          why.events.map((event, row) => [event.title, why.shares[row]]),
          t`Each event's fair share of the change (Shapley value); they add up to what you changed.`,
        )
      : null,
    why.features.some(visible)
      ? bars(
          t`What about it, and about you`,
          t`Feature`,
          why.features
            .filter(visible)
            .slice(0, 6)
            .map((f) => [
              f.value ? t`${called(f)}: ${plainValue(f.value)}` : called(f),
              f.effect,
            ]),
          t`What it would lose without each.`,
        )
      : null,
    why.nearest.length
      ? el(
          "section",
          {},
          el("h3", {}, t`Most like it, of what you know`),
          el(
            "ul",
            { class: "near" },
            why.nearest.map(([, title, closeness]) =>
              el("li", {}, title, el("small", {}, ` ${Math.round(100 * closeness)}%`)),
            ),
          ),
        )
      : null,
    allFacts(attributes)
      ? el("section", {}, el("h3", {}, t`About it`), allFacts(attributes))
      : null,
    why.notes.length
      ? el(
          "ul",
          { class: "notes" },
          why.notes.map((note) => el("li", {}, note)),
        )
      : null,
    el("p", { class: "quiet" }, t`Model `, el("code", {}, why.model_version)),
  ];
}

const called = (feature) => feature.name.replaceAll("_", " ");
const visible = (feature) => feature.about !== "circumstances" && Math.abs(feature.effect) > 1e-4;

function counterfactual({ counterfactual: found, events }) {
  if (!found) return null;
  if (found.removed === null)
    return el(
      "p",
      { class: "callout" },
      t`It would be among the first ${found.k} even if you had told us nothing.`,
    );
  const times = new Map();
  for (const row of found.removed)
    times.set(events[row].title, (times.get(events[row].title) ?? 0) + 1);
  const names = [...times].map(([title, n]) => (n === 1 ? title : `${title} (${count(n, "event")})`));
  return el(
    "p",
    { class: "callout" },
    t`Without ${listed(names)} it would leave the first ${found.k}.`,
  );
}

const ZERO = "0.00";

function signed(number) {
  const digits = Math.abs(number).toFixed(2);
  return digits === ZERO ? ZERO : `${number < 0 ? "−" : "+"}${digits}`;
}

/** Effects as bars to both sides of zero; a table, so that it can be heard as well as seen. */
function bars(title, what, rows, note) {
  const most = Math.max(...rows.map(([, effect]) => Math.abs(effect)), 1e-9);
  const sorted = [...rows].sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  return el(
    "section",
    {},
    el("h3", {}, title),
    el("p", { class: "quiet" }, note),
    el(
      "table",
      { class: "bars" },
      el(
        "thead",
        { class: "visually-hidden" },
        el("tr", {}, el("th", {}, what), el("th", {}, t`Effect`)),
      ),
      el(
        "tbody",
        {},
        sorted.map(([name, effect]) =>
          el(
            "tr",
            {},
            el("th", { scope: "row" }, name),
            el(
              "td",
              { class: "bar-cell" },
              el("span", {
                class: `bar ${effect < 0 ? "against" : "for"}`,
                vars: { size: `${(50 * Math.abs(effect)) / most}%` },
              }),
            ),
            el("td", { class: "number" }, signed(effect)),
          ),
        ),
      ),
    ),
  );
}

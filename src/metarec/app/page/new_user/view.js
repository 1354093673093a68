// The new user's view: tell something, see the list move, ask why.

import { ask, item, remember, timed } from "../common/api.js";
import { drawUncertainty, drawMoves } from "./adaptation.js";
import { meetCircumstances } from "./circumstances.js";
import { LIST, byId, count, el, icon, say, toast, withdraw } from "../common/dom.js";
import { tellFailure } from "../common/failures.js";
import { factLine, forecastWords, rateButtons, sureWords, tile } from "../common/items.js";
import {
  asking,
  keep,
  newEvent,
  opinionOf,
  opinions,
  user,
  saveProfile,
  searched,
  store,
  takesBack,
  takingBack,
} from "./user.js";
import { showWhy } from "./why.js";
import { t } from "../common/language.js";

const K = 10;
const ASK_AT_ONCE = 4;
const PERSONAL_AFTER = 5;
const REPLAYED = 8;
const STEP_MS = 1200;

/** What is on the screen. `anonymous` is the list of somebody nobody knows anything about. */
const shown = {
  slate: null,
  before: null,
  anonymous: null,
  trail: [],
  against: "anonymous",
  range: null,
  model: null,
};
let ticket = 0;
let playing = 0;
let shownTo = user.userId;

/** `anew`: another tab has changed what is known or asked. */
export async function showNewUser({ anew = false } = {}) {
  if (shownTo !== user.userId)
    Object.assign(shown, { slate: null, before: null, anonymous: null, trail: [] });
  if (anew || shownTo !== user.userId) fillFields();
  shownTo = user.userId;
  drawTold();
  if (!shown.slate)
    byId("slate").replaceChildren(
      ...Array.from({ length: 6 }, () => el("li", { class: "row waiting" })),
    );
  if (!shown.model) await meetModel();
  const { policy } = await meetCircumstances(refresh);
  drawProfile(policy, shown.model?.facts?.profile_inputs?.categories || {});
  if (!shown.anonymous) shown.anonymous = await ask("POST", "v1/recommendations", { k: K });
  await sayExamples(shown.anonymous.items.map((one) => one.item_id));
  if (!shown.trail.length) shown.trail.push(mark(shown.anonymous, 0));
  await Promise.all([refresh(), drawQuestions()]);
}

/** Examples of what may be asked are words of the catalog that is served. */
async function sayExamples(itemIds) {
  const facts = (await Promise.all(itemIds.slice(0, 4).map(item))).map(
    (one) => one.attributes || {},
  );
  const [first, second] = shortest(facts.flatMap((one) => words(one.categories)));
  byId("wish").placeholder = first
    ? `${first.toLowerCase()}${second ? t`, no ${second.toLowerCase()}` : ""}`
    : t`in your own words`;
  byId("filter").placeholder = first ? `categories = "${first}"` : "";
}

const words = (value) =>
  (Array.isArray(value) ? value : value ? String(value).split("|") : []).map(String);

/** Two short categories that have no word in common. */
function shortest(names) {
  const [first, ...others] = [...new Set(names)].sort((a, b) => a.length - b.length);
  const taken = new Set(first?.split(" "));
  return [first, others.find((name) => !name.split(" ").some((word) => taken.has(word)))];
}

function fillFields() {
  byId("wish").value = user.wish;
  byId("filter").value = user.filter;
  byId("diversity").value = user.diversity;
  byId("diversity-value").textContent = varietyWord(user.diversity);
}

async function meetModel() {
  const { models, value_range: range } = await ask("GET", "v1/models");
  shown.model = models.find((model) => model.is_current) || models[0];
  shown.range = range;
}

// ---------------------------------------------------------------- the list

async function refresh() {
  const mine = ++ticket;
  playing += 1; // a replay under way shows a list that is no longer so
  byId("slate").setAttribute("aria-busy", "true");
  let slate, ms;
  try {
    [slate, ms] = await timed("POST", "v1/recommendations", {
      ...asking(),
      k: K,
      explain: true,
      diversity: user.diversity,
      filter: user.filter || null,
      within_km: user.location ? user.withinKm : null,
    });
  } finally {
    if (mine === ticket) byId("slate").removeAttribute("aria-busy");
  }
  if (mine !== ticket) return; // a later click has asked again
  withdraw(LIST);
  const known = opinions().length;
  // of a new user nothing has changed yet: two slates of theirs differ by what is explored
  if (!shown.slate && !known && !user.wish && !user.filter) shown.anonymous = slate;
  shown.before = shown.slate || (shown.anonymous === slate ? null : shown.anonymous);
  shown.slate = { ...slate, ms };
  // what was taken back is no longer a step
  shown.trail = shown.trail.filter((one) => one.known === 0 || one.known < known);
  if (known > 0) shown.trail.push(mark(slate, known));
  drawHero();
  drawSlate();
  drawMoved();
  drawUncertainty(byId("uncertainty"), shown.trail);
  drawTold();
}

const mark = (slate, known) => ({
  known,
  uncertainty: mean(
    slate.items.map((one) => one.uncertainty).filter((uncertainty) => uncertainty !== null),
  ),
});
const mean = (numbers) =>
  numbers.length ? numbers.reduce((sum, x) => sum + x, 0) / numbers.length : null;
const places = (slate) => new Map((slate?.items || []).map((one, place) => [one.item_id, place]));

function drawHero() {
  const known = opinions().length; // things, not acts: one rated twice is one
  byId("headline").textContent =
    known === 0
      ? t`Tell us one thing you like.`
      : known < PERSONAL_AFTER
        ? t`We are getting to know you.`
        : t`This is your list now.`;
  byId("lead").textContent =
    known === 0
      ? t`The list below changes with every click. No account, no form.`
      : t`Made from ${count(known, "thing")} you told us. Every further click moves it.`;
  const wish = byId("active-wish");
  wish.hidden = !user.wish;
  wish.replaceChildren(
    t`In the mood for `,
    el("q", {}, user.wish),
    " ",
    el("button", { type: "button", class: "link", onclick: () => makeWish("") }, t`Clear`),
  );
}

function drawSlate() {
  const list = byId("slate");
  const { slate, before } = shown;
  const old = new Map(
    [...list.querySelectorAll("li[data-item]")].map((row) => [
      row.dataset.item,
      row.getBoundingClientRect().top,
    ]),
  );
  const focused = document.activeElement?.closest?.("#slate li");
  const focusedAt = focused ? [...list.children].indexOf(focused) : -1;
  const was = places(before);
  const rows = slate.items.map((one, place) =>
    row(one, place, was.has(one.item_id) ? was.get(one.item_id) - place : null),
  );
  list.replaceChildren(...rows);
  if (!rows.length)
    list.append(
      el("li", { class: "empty" }, t`Nothing fits. Loosen the filter or clear the wish.`),
    );
  if (focusedAt >= 0)
    (
      rows.find((r) => r.dataset.item === focused.dataset.item) ||
      rows[Math.min(focusedAt, rows.length - 1)]
    )?.focus();
  glide(rows, old);
  byId("notes").replaceChildren(...slate.notes.map((note) => el("li", {}, note)));
  const known = opinions().length;
  byId("slate-note").textContent =
    t`${whatIsKnown(known)} · ranked in ${slate.ms < 10 ? slate.ms.toFixed(1) : Math.round(slate.ms)} ms `;
  if (known)
    byId("slate-note").append(
      el(
        "button",
        {
          type: "button",
          class: "link to-changes",
          onclick: () => byId("moved-title").scrollIntoView({ behavior: "smooth" }),
        },
        t`What changed?`,
      ),
    );
  if (before && before !== slate) say(movedSentence(slate, was));
}

/** What the list is made from: a wish or a place makes it another than a new user's. */
function whatIsKnown(known) {
  if (known) return t`${count(known, "event")} known`;
  const { wish, filter, context, location, friends, profile, diversity } = user;
  const isAsked = [wish, filter, location, friends.length, diversity, searched().length].some(Boolean);
  return isAsked || Object.keys({ ...context, ...profile }).length
    ? t`No events known`
    : t`What a new user is shown`;
}

function movedSentence(slate, was) {
  if (slate.items.every((one, place) => was.get(one.item_id) === place))
    return t`The same list so far.`;
  const entered = slate.items.filter((one) => !was.has(one.item_id)).length;
  const first = slate.items[0] ? t` First is now ${slate.items[0].title}.` : "";
  return t`Your list has changed: ${count(entered, "new item")}.${first}`;
}

function row(one, place, moved) {
  const rate = (kind) => act(one.item_id, one.title, kind, shown.slate.slate_id);
  const line = el("span", { class: "facts" });
  item(one.item_id).then(
    ({ attributes }) => line.replaceWith(factLine(one.title, attributes)),
    () => {},
  );
  return el(
    "li",
    {
      class: "row",
      "data-item": one.item_id,
      tabindex: place === 0 ? "0" : "-1",
      "aria-label": `${place + 1}: ${one.title}`,
    },
    el("span", { class: "place" }, String(place + 1), movedBadge(moved)),
    tile(one),
    el(
      "div",
      { class: "words" },
      el("h3", {}, one.title),
      line,
      one.reasons?.length ? el("p", { class: "reason" }, inFavor(one.reasons)) : null,
    ),
    shown.range && one.interval ? forecast(one) : uncertaintyMeter(one.uncertainty),
    el(
      "div",
      { class: "acts" },
      rateButtons(one.title, opinionOf(one.item_id)?.kind, rate),
      el(
        "button",
        {
          type: "button",
          class: "why-button",
          "aria-haspopup": "dialog",
          "aria-label": t`Why ${one.title}?`,
          onclick: () => openWhy(one),
        },
        icon("why"),
        el("span", {}, t`Why?`),
      ),
    ),
  );
}

/** The strongest reason for an item; what speaks against it is told under "Why?". */
const inFavor = (reasons) =>
  reasons.find((reason) => !/^(although|尽管)/.test(reason)) || reasons[0];

function movedBadge(moved) {
  if (!shown.slate?.n_known && !user.wish) return null;
  if (moved === null) return el("span", { class: "badge new" }, t`new`);
  if (moved === 0) return null;
  return el(
    "span",
    {
      class: `badge ${moved > 0 ? "up" : "down"}`,
      role: "img",
      "aria-label": moved > 0 ? t`up ${moved}` : t`down ${-moved}`,
    },
    `${moved > 0 ? "▲" : "▼"}${Math.abs(moved)}`,
  );
}

/**
 * What we think this user would rate it: a point on the scale, and where the truth should lie
 * in 9 of 10 cases.
 */
function forecast(one) {
  const { predicted, interval } = one;
  const [low, high] = shown.range;
  const at = (value) => `${(100 * (value - low)) / (high - low || 1)}%`;
  const words = forecastWords(one, shown.range);
  return el(
    "span",
    { class: "uncertainty forecast", role: "img", "aria-label": words, title: words },
    el("strong", {}, predicted.toFixed(1), el("small", {}, t` of ${high}`)),
    el(
      "span",
      { class: "scale", vars: { from: at(interval[0]), to: at(interval[1]), at: at(predicted) } },
      el("span", { class: "whisker" }),
      el("span", { class: "dot" }),
    ),
    el("span", {}, interval.map((end) => end.toFixed(1)).join(" – ")),
  );
}

/**
 * How unsure we are of this item, as a share of the most unsure item an anonymous user is
 * shown.
 */
function uncertaintyMeter(uncertainty) {
  if (uncertainty === null) return el("span", { class: "uncertainty" });
  const share = uncertaintyShare(uncertainty);
  const words = sureWords(share);
  return el(
    "span",
    { class: "uncertainty", role: "img", "aria-label": words, title: words },
    el("span", { class: "uncertainty-bar", vars: { share: `${Math.round(100 * share)}%` } }),
    el("span", {}, words),
  );
}

function uncertaintyShare(uncertainty) {
  const items = [...(shown.anonymous?.items || []), ...shown.slate.items];
  return uncertainty / (Math.max(...items.map((one) => one.uncertainty || 0)) || 1);
}

/** Let rows travel from where they were to where they are. */
function glide(rows, old) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const one of rows) {
    const from = old.get(one.dataset.item);
    const way = from === undefined ? null : from - one.getBoundingClientRect().top;
    if (way === 0) continue;
    const start =
      way === null
        ? { opacity: 0, transform: "translateX(12px)" }
        : { transform: `translateY(${way}px)` };
    one.animate([start, { opacity: 1, transform: "none" }], {
      duration: 420,
      easing: "cubic-bezier(.2,.8,.2,1)",
    });
  }
}

function drawMoved() {
  const base = shown.against === "anonymous" ? shown.anonymous : shown.before;
  drawMoves(
    byId("moved"),
    base,
    shown.slate,
    shown.against === "anonymous" ? t`A new user` : t`Before`,
  );
}

/**
 * Play the adaptation: the list before and after each of the last opinions, one after the
 * other.
 */
async function replay() {
  const said = opinions().reverse();
  if (!said.length) {
    toast(t`Like something first: then there is something to replay.`);
    return;
  }
  const mine = ++playing;
  const history = said.map(({ item_id, kind, value }) => ({ item_id, kind, value }));
  const first = Math.max(0, said.length - REPLAYED);
  const slates = await Promise.all(
    Array.from({ length: said.length - first + 1 }, (_, step) =>
      ask("POST", "v1/recommendations", {
        history: history.slice(0, first + step),
        profile: user.profile,
        wish: user.wish || null,
        k: K,
      }),
    ),
  );
  for (let step = 1; step < slates.length; step += 1) {
    if (mine !== playing) return;
    const known = first + step;
    const { title, item_id, kind } = said[known - 1];
    drawMoves(
      byId("moved"),
      slates[step - 1],
      slates[step],
      known === 1 ? t`Before any event` : t`After ${count(known - 1, "event")}`,
      t`${kind === "dislike" ? t`Not for you` : t`You liked`}: ${title || item_id}`,
    );
    arrive(byId("moved"));
    await new Promise((done) => setTimeout(done, STEP_MS));
  }
  if (mine === playing) drawMoved();
}

const playBack = () => replay().catch((error) => tellFailure(error, { again: playBack }));

function arrive(place) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const one of place.querySelectorAll(".entered, path"))
    one.animate([{ opacity: 0 }, { opacity: 1 }], { duration: 420 });
}

function openWhy(one) {
  const sure = one.uncertainty === null ? "" : sureWords(uncertaintyShare(one.uncertainty));
  showWhy(one, K, shown.range, sure, (kind) =>
    act(one.item_id, one.title, kind, shown.slate.slate_id),
  );
}

// ---------------------------------------------------------------- saying something

// items an opinion on which is on its way: a second click of a double click says nothing new
const telling = new Set();

/** Say what is thought of an item; the same again takes it back. */
async function act(itemId, title, kind, slateId) {
  const before = opinionOf(itemId);
  if (telling.has(itemId)) return;
  await tell(
    before?.kind === kind ? takingBack(itemId, title) : newEvent(itemId, title, kind, slateId),
    before,
  );
}

/**
 * Store one act, then ask for the list again; a failure can be tried again without storing it
 * twice.
 */
async function tell(event, before) {
  const { item_id: itemId, title } = event;
  telling.add(itemId);
  press(itemId, takesBack(event) ? null : event.kind);
  try {
    await store(event);
    toast(
      t`${takesBack(event) ? t`Taken back` : event.kind === "like" ? t`Liked` : t`Not for you`}: ${title}.`,
      { kind: "said", seconds: 10, offer: t`Undo`, then: () => undo(event, before) },
    );
    await Promise.all([refresh(), drawQuestions()]);
  } catch (error) {
    press(itemId, opinionOf(itemId)?.kind);
    tellFailure(error, { about: title, again: () => tell(event, before) });
  } finally {
    telling.delete(itemId);
  }
}

/** Back to what was said of the item before this act, or to nothing. */
function undo({ item_id: itemId, title }, before) {
  const now = opinionOf(itemId);
  return tell(before ? newEvent(itemId, title, before.kind, null) : takingBack(itemId, title), now);
}

function press(itemId, kind) {
  for (const button of document.querySelectorAll(`[data-item="${CSS.escape(itemId)}"] .rate`)) {
    button.setAttribute("aria-pressed", String(button.classList.contains(kind)));
  }
}

async function makeWish(wish) {
  const before = user.wish;
  keep({ wish: wish.trim() });
  byId("wish").value = user.wish;
  try {
    await refresh();
  } catch (error) {
    keep({ wish: before });
    tellFailure(error, { again: () => makeWish(wish), topic: LIST });
  }
}

async function tune() {
  const before = { filter: user.filter, diversity: user.diversity };
  keep({ filter: byId("filter").value.trim(), diversity: Number(byId("diversity").value) });
  const fields = [...byId("about-you").querySelectorAll("select, input")];
  const answers = fields.map((field) => [field.name, field.value.trim()]);
  try {
    const profile = { ...user.profile, ...Object.fromEntries(answers) };
    for (const [name, value] of answers) if (!value) delete profile[name];
    if (JSON.stringify(profile) !== JSON.stringify(user.profile)) await saveProfile(profile);
    await refresh();
    byId("tune").open = false;
  } catch (error) {
    keep(before);
    tellFailure(error, { again: tune, topic: LIST });
  }
}

const varietyWord = (share) =>
  Number(share) === 0
    ? t`as ranked`
    : Number(share) < 0.5
      ? t`some`
      : Number(share) < 0.9
        ? t`much`
        : t`most`;

const bare = (name) => name.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, "");

/**
 * What the policy asks for may be told in words, several with commas between; of the rest,
 * attributes with few values, such as gender or occupation: finer ones are nobody's business here.
 */
function drawProfile(asked, categories) {
  const names = new Set(asked.map((one) => bare(one.name)));
  const few = Object.entries(categories)
    .filter(([name]) => !names.has(bare(name)))
    .filter(([, values]) => values.length > 1 && values.length <= 30)
    .slice(0, 4);
  byId("about-you").replaceChildren(
    ...asked.map(({ name, values }) => told(name, written(name, values))),
    ...few.map(([name, values]) => told(name, chosen(name, values))),
  );
}

const told = (name, field) =>
  el(
    "div",
    { class: "field" },
    el("label", { for: `profile-${name}` }, t`Your ${name.replaceAll("_", " ")} (if you like)`),
    field,
  );

const chosen = (name, values) =>
  el(
    "select",
    { id: `profile-${name}`, name },
    el("option", { value: "" }, t`not told`),
    values.map((value) =>
      el("option", { value, selected: String(user.profile[name]) === String(value) }, String(value)),
    ),
  );

const written = (name, values) =>
  el("input", {
    id: `profile-${name}`,
    name,
    type: "text",
    maxlength: "500",
    autocomplete: "off",
    value: String(user.profile[name] ?? ""),
    placeholder: values.slice(0, 3).join(", "),
  });

// ---------------------------------------------------------------- questions for a new user

async function drawQuestions() {
  drawProgress();
  const query = new URLSearchParams([
    ["user_id", user.userId],
    ["k", ASK_AT_ONCE],
    ...user.skipped.map((id) => ["skip", id]),
  ]);
  const { items } = await ask("GET", `v1/onboarding?${query}`);
  remember(items);
  const hadFocus = byId("questions").contains(document.activeElement);
  byId("questions").replaceChildren(...items.map(question));
  byId("onboarding").hidden = !items.length;
  if (hadFocus) byId("questions").querySelector("button")?.focus();
}

function question(one) {
  return el(
    "article",
    { class: "card", "data-item": one.item_id, "aria-label": one.title },
    tile(one),
    el("div", { class: "words" }, el("h3", {}, one.title), factLine(one.title, one.attributes)),
    el(
      "div",
      { class: "acts" },
      rateButtons(one.title, null, (kind) => act(one.item_id, one.title, kind, null)),
      el(
        "button",
        { type: "button", class: "quiet-button", onclick: () => skip(one) },
        t`Don't know it`,
      ),
    ),
  );
}

async function skip(one) {
  keep({ skipped: [...user.skipped, one.item_id] });
  await moreQuestions();
}

const moreQuestions = () =>
  drawQuestions().catch((error) => tellFailure(error, { again: moreQuestions }));

function drawProgress() {
  const done = Math.min(opinions().length, PERSONAL_AFTER);
  const words =
    done < PERSONAL_AFTER
      ? t`${done} of ${PERSONAL_AFTER} answers`
      : `${count(opinions().length, "answer")}`;
  byId("progress").setAttribute("aria-label", words);
  byId("progress").replaceChildren(
    el(
      "span",
      { class: "dots", "aria-hidden": "true" },
      Array.from({ length: PERSONAL_AFTER }, (_, n) => el("i", { class: n < done ? "on" : "" })),
    ),
    el("span", { class: "quiet" }, words),
  );
}

// ---------------------------------------------------------------- what was told

function drawTold() {
  const told = opinions();
  byId("told").replaceChildren(
    ...(told.length
      ? told.map((one) =>
          el(
            "li",
            { "data-item": one.item_id },
            el("span", { class: "told-title" }, one.title || one.item_id),
            el(
              "span",
              { class: "acts" },
              rateButtons(one.title || one.item_id, one.kind, (kind) =>
                act(one.item_id, one.title, kind, null),
              ),
            ),
          ),
        )
      : [
          el("li", { class: "quiet" }, t`Nothing yet. Three likes are enough to see a difference.`),
        ]),
  );
}

// ---------------------------------------------------------------- search

let typed = 0;

async function search() {
  const words = byId("search").value.trim();
  const mine = ++typed;
  if (!words) {
    closeSearch();
    return;
  }
  await new Promise((resolve) => setTimeout(resolve, 150));
  if (mine !== typed) return;
  try {
    const { items } = await ask("GET", `v1/items?${new URLSearchParams({ q: words, k: 8 })}`);
    if (mine !== typed) return;
    remember(items);
    drawFound(items, words);
  } catch (error) {
    tellFailure(error, { again: search });
  }
}

function drawFound(items, words) {
  const now = new Map(opinions().map((one) => [one.item_id, one.kind]));
  byId("found").hidden = false;
  byId("found-count").textContent = items.length
    ? t`${count(items.length, "item")} found; arrow down to reach them.`
    : t`Nothing found.`;
  byId("found").replaceChildren(
    ...(items.length
      ? items.map((one) =>
          el(
            "div",
            {
              class: "hit",
              "data-item": one.item_id,
              tabindex: "-1",
              role: "group",
              "aria-label": one.title,
            },
            tile(one),
            el(
              "div",
              { class: "words" },
              el("strong", {}, one.title),
              factLine(one.title, one.attributes),
            ),
            el(
              "div",
              { class: "acts" },
              rateButtons(one.title, now.get(one.item_id), async (kind) => {
                await act(one.item_id, one.title, kind, null);
                byId("search").value = "";
                closeSearch();
                byId("search").focus();
              }),
            ),
          ),
        )
      : [el("p", { class: "quiet" }, t`No title holds `, el("q", {}, words), t`.`)]),
  );
}

function closeSearch() {
  typed += 1;
  byId("found").hidden = true;
  byId("found-count").textContent = "";
}

function step(list, selector, by) {
  const rows = [...list.querySelectorAll(selector)];
  const at = rows.indexOf(document.activeElement?.closest(selector));
  const next = rows[Math.max(0, Math.min(rows.length - 1, at + by))];
  next?.focus();
  return next;
}

/** One key pressed outside of any field. */
export function onKey(event) {
  const row = document.activeElement?.closest?.("[data-item]");
  const moves = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 };
  if (event.key === "/") {
    event.preventDefault();
    byId("search").focus();
  } else if (event.key in moves && (event.key.length === 1 || row)) {
    event.preventDefault();
    if (row?.classList.contains("hit")) {
      if (row === byId("found").firstElementChild && moves[event.key] < 0) byId("search").focus();
      else step(byId("found"), ".hit", moves[event.key]);
    } else step(byId("slate"), "li.row", moves[event.key]);
  } else if (row && "ld".includes(event.key))
    row.querySelector(event.key === "l" ? ".rate.like" : ".rate.dislike")?.click();
  else if (row && event.key === "w") row.querySelector(".why-button")?.click();
  else if (event.key === "Escape") closeSearch();
}

/** Fields listen from the start: whoever types while the first list is still coming is heard. */
function wire() {
  fillFields();
  byId("search").addEventListener("input", search);
  byId("search").addEventListener("focus", search);
  byId("search").addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" && !byId("found").hidden) {
      event.preventDefault();
      byId("found").querySelector(".hit")?.focus();
    } else if (event.key === "Escape") closeSearch();
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest(".search") && event.target.isConnected) closeSearch();
  });
  byId("wish-form").addEventListener("submit", (event) => {
    event.preventDefault();
    makeWish(byId("wish").value);
  });
  byId("tune-form").addEventListener("submit", (event) => {
    event.preventDefault();
    tune();
  });
  byId("diversity").addEventListener("input", () => {
    byId("diversity-value").textContent = varietyWord(byId("diversity").value);
  });
  byId("replay").addEventListener("click", playBack);
  for (const radio of document.querySelectorAll("input[name=against]")) {
    radio.addEventListener("change", () => {
      shown.against = radio.value;
      playing += 1;
      drawMoved();
    });
  }
}

wire();

// How one item looks: its tile, its facts, and the two buttons to rate it by.

import { el, icon } from "./dom.js";
import { t } from "./language.js";

const TITLE_KEYS = new Set(["title", "name", "item_id"]);
const LITTLE = new Set([
  "a",
  "an",
  "and",
  "at",
  "for",
  "in",
  "of",
  "on",
  "or",
  "the",
  "to",
  "with",
]);
const TAG_KEYS = ["categories", "genres", "genre", "tags", "category"];

/**
 * An item's own color, the same wherever it is shown; ids as near as 50 and 51 lie anywhere on
 * the wheel (FNV-1a, mixed).
 */
function hue(itemId) {
  let hash = 2166136261;
  for (const letter of itemId) hash = Math.imul(hash ^ letter.codePointAt(0), 16777619);
  hash = Math.imul(hash ^ (hash >>> 15), 668265263);
  return ((hash ^ (hash >>> 13)) >>> 0) % 360;
}

/** First letters of the first two words, little words passed over where there are others. */
function initials(title) {
  const words = title.match(/[\p{L}\p{N}]+/gu) || [title];
  const large = words.filter((word) => !LITTLE.has(word.toLowerCase()));
  return (large.length ? large : words)
    .slice(0, 2)
    .map((word) => [...word][0].toUpperCase())
    .join("");
}

/** A tile in place of a picture. */
export const tile = (one) =>
  el(
    "span",
    { class: "tile", "aria-hidden": "true", vars: { hue: hue(one.item_id) } },
    initials(one.title),
  );

/**
 * Tags as a list: a list as it is, a text at its separators; without any, one text of several
 * words stays one tag.
 */
function tagsOf(attributes) {
  const key = TAG_KEYS.find((name) => attributes[name]);
  if (!key) return [];
  return tagsIn(attributes[key]);
}

const tagsIn = (value) =>
  (Array.isArray(value) ? value : String(value).split(/[|,;]/))
    .map((tag) => String(tag).trim())
    .filter(Boolean);

const valueWords = (value) =>
  Array.isArray(value) ? value.map(plainValue).join(t`, `) : plainValue(value);

/** The year if it is not in the title already, then the tags. */
export function facts(title, attributes) {
  const year =
    attributes.year && !title.includes(String(attributes.year)) ? [String(attributes.year)] : [];
  return [...year, ...tagsOf(attributes).slice(0, 3)];
}

/**
 * Facts in one line; the space after each dot is where it breaks when it is too long for its
 * place.
 */
export const factLine = (title, attributes) =>
  el(
    "span",
    { class: "facts" },
    facts(title, attributes).map((fact, at) => [at ? "\u00a0· " : null, el("span", {}, fact)]),
  );

/** A value to read: no more digits than tell places apart (0.0001 degrees are some 10 meters). */
export const plainValue = (value) =>
  /^-?\d+\.\d{5,}$/.test(String(value)) ? String(Number(Number(value).toFixed(4))) : String(value);

/** Everything else known of an item, as a list of names and values. */
export function allFacts(attributes) {
  const rows = Object.entries(attributes).filter(
    ([name, value]) => !TITLE_KEYS.has(name) && value !== "" && value !== null,
  );
  if (!rows.length) return null;
  return el(
    "dl",
    { class: "all-facts" },
    rows.map(([name, value]) => [
      el("dt", {}, name.replaceAll("_", " ")),
      el("dd", {}, TAG_KEYS.includes(name) ? tagsIn(value).join(t`, `) : valueWords(value)),
    ]),
  );
}

/** What we think this user would rate it, in a sentence; empty where values are no ratings. */
export const forecastWords = ({ predicted, interval }, range) =>
  range && interval
    ? t`We guess you would rate it ${predicted.toFixed(1)} of ${range[1]}; usually between ${interval.map((end) => end.toFixed(1)).join(t` and `)}.`
    : "";

/**
 * How sure we are, in words; `share` is the uncertainty beside that of what a new user is
 * shown.
 */
export const sureWords = (share) =>
  share > 0.85 ? t`a guess` : share > 0.55 ? t`some idea` : share > 0.3 ? t`fairly sure` : t`sure`;

/**
 * Until the pointer moves again nothing that slides under it looks pointed at: nobody chose it.
 * A browser tells of moves of the page below a pointer too, by which it did not move.
 */
function restPointer() {
  const { classList } = document.body;
  const wake = ({ movementX, movementY }) => {
    if (movementX || movementY) {
      classList.remove("at-rest");
      document.removeEventListener("pointermove", wake);
    }
  };
  classList.add("at-rest");
  document.addEventListener("pointermove", wake);
}

/**
 * Like and dislike. `now` says what was said before; `rate(kind)` is called with what is
 * pressed, the same again to take it back.
 */
export function rateButtons(title, now, rate) {
  return ["like", "dislike"].map((kind) =>
    el(
      "button",
      {
        type: "button",
        class: `rate ${kind}`,
        "aria-pressed": String(now === kind),
        "aria-label": kind === "like" ? t`Like ${title}` : t`Not for me: ${title}`,
        title: now === kind ? t`Take it back` : kind === "like" ? t`Like` : t`Not for me`,
        onclick: () => {
          restPointer();
          rate(kind);
        },
      },
      icon(kind),
    ),
  );
}

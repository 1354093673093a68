// How one item looks: its tile, its facts, and the two buttons to judge it by.

import { el, icon } from "./dom.js";

const TITLE_KEYS = new Set(["title", "name", "item_id"]);
const LITTLE = new Set(["a", "an", "and", "at", "for", "in", "of", "on", "or", "the", "to", "with"]);
const TAG_KEYS = ["categories", "genres", "genre", "tags", "category"];

/** A colour that is the same for the same words, so that kinds of items look alike. */
function hue(words) {
  let sum = 0;
  for (const letter of words) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return sum;
}

/** First letters of the first two words, little words passed over where there are others. */
function initials(title) {
  const words = title.match(/[\p{L}\p{N}]+/gu) || [title];
  const large = words.filter((word) => !LITTLE.has(word.toLowerCase()));
  return (large.length ? large : words).slice(0, 2).map((word) => [...word][0].toUpperCase()).join("");
}

/** A tile in place of a picture; its colour comes from the first tag where there is one. */
export function tile(title, attributes) {
  const box = el("span", { class: "tile", "aria-hidden": "true" }, initials(title));
  return paint(box, attributes && tagsOf(attributes)[0] ? tagsOf(attributes)[0] : title);
}

export function paint(box, words) {
  box.style.setProperty("--hue", String(hue(words)));
  return box;
}

/** Tags as a list: a list as it is, a text at its separators; without any, one text of several words stays one tag. */
export function tagsOf(attributes) {
  const key = TAG_KEYS.find((name) => attributes[name]);
  if (!key) return [];
  const value = attributes[key];
  return (Array.isArray(value) ? value : String(value).split(/[|,;]/)).map((tag) => String(tag).trim()).filter(Boolean);
}

/** The year if it is not in the title already, then the tags. */
export function facts(title, attributes) {
  const year = attributes.year && !title.includes(String(attributes.year)) ? [String(attributes.year)] : [];
  return [...year, ...tagsOf(attributes).slice(0, 3)];
}

/** Facts in one line; the space after each dot is where it breaks when it is too long for its place. */
export const factLine = (title, attributes) => el("span", { class: "facts" },
  facts(title, attributes).map((fact, at) => [at ? "\u00a0· " : null, el("span", {}, fact)]));

/** Everything else known of an item, as a list of names and values. */
export function allFacts(attributes) {
  const rows = Object.entries(attributes).filter(([name, value]) => !TITLE_KEYS.has(name) && value !== "" && value !== null);
  if (!rows.length) return null;
  return el("dl", { class: "all-facts" }, rows.map(([name, value]) =>
    [el("dt", {}, name.replaceAll("_", " ")), el("dd", {}, Array.isArray(value) ? value.join(", ") : String(value))]));
}

/** What we think this person would rate it, in a sentence; empty where values are no ratings. */
export const forecastWords = ({ predicted, interval }, range) => (range && interval
  ? `We guess you would rate it ${predicted.toFixed(1)} of ${range[1]}; in 9 of 10 cases ${interval.map((end) => end.toFixed(1)).join(" to ")}.` : "");

/** Like and dislike. `now` says what was said before; `judge(kind)` is called with what is pressed, the same again to take it back. */
export function judgeButtons(title, now, judge) {
  return ["like", "dislike"].map((kind) => el("button", {
    type: "button", class: `judge ${kind}`, "aria-pressed": String(now === kind),
    "aria-label": kind === "like" ? `Like ${title}` : `Not for me: ${title}`, title: now === kind ? "Take it back" : kind === "like" ? "Like" : "Not for me",
    onclick: () => judge(kind),
  }, icon(kind)));
}

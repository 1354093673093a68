// The page in the language of the reader. Code says English sentences with t`...`; a table says
// them in another, what it lacks stays English.

import { chinese } from "./zh.js";

const PLACE = "metarec.language";
const LANGUAGES = ["en", "zh"];

function chosen() {
  const names = [
    new URLSearchParams(location.search).get("lang"),
    kept(),
    ...navigator.languages,
    "en",
  ];
  return names
    .map((name) => String(name).toLowerCase().split(/[-_]/)[0])
    .find((name) => LANGUAGES.includes(name));
}

function kept() {
  try {
    return localStorage.getItem(PLACE);
  } catch {
    return null; // a browser that keeps nothing
  }
}

export const language = chosen();
export const otherLanguage = LANGUAGES.find((name) => name !== language);

/** Speak another language from now on; the page is read anew. */
export function speak(name) {
  try {
    localStorage.setItem(PLACE, name);
  } catch {
    /* then only until the next visit, by the address */
  }
  const address = new URL(location.href);
  address.searchParams.set("lang", name);
  location.replace(address);
}

const table = language === "zh" ? chinese : {};

/**
 * A sentence, t`like ${this}`: in the table with {1} where something is filled in, which is
 * filled in as it is.
 */
export function t(strings, ...values) {
  const said = table[strings.join("{}")];
  if (said === undefined) return String.raw({ raw: strings }, ...values);
  return said.replaceAll(/\{(\d+)\}/g, (_, number) => String(values[number - 1]));
}

/** What stands between two sentences. */
export const SPACE = language === "zh" ? "" : " ";

/** Names in a row: a, b and c. */
export const listed = (names) =>
  names.length < 2
    ? names.join("")
    : names.slice(0, -1).join(t`, `) + t` and ` + names.at(-1);

/** The same of a sentence without anything filled in; undefined where the table lacks it. */
export const phrase = (sentence) => table[sentence.trim()];

/** Say what stands in the page's own markup; done once, before any data is in it. */
export function sayMarkup() {
  document.documentElement.lang = language;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const said = phrase(texts.currentNode.data);
    if (said) texts.currentNode.data = said;
  }
  for (const name of ["aria-label", "placeholder"]) {
    for (const node of document.querySelectorAll(`[${name}]`))
      node.setAttribute(name, phrase(node.getAttribute(name)) || node.getAttribute(name));
  }
}

// Building the page out of data. Text only ever enters as text nodes, so data can never become
// markup.

import { language, phrase, t } from "./language.js";
const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "vars")
      for (const [key, v] of Object.entries(value)) node.style.setProperty(`--${key}`, v);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(
    ...children
      .flat(Infinity)
      .filter((child) => child !== null && child !== undefined && child !== false),
  );
  return node;
}

export const el = (tag, attributes, ...children) =>
  fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);
export const byId = (id) => document.getElementById(id);

/** A table that scrolls within itself; `heads` are cells of its first line, `rows` its others. */
export const plainTable = (label, heads, rows) =>
  el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    el("table", { class: "plain" }, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, rows)),
  );

const ICONS = {
  like: "M7 11v9H4v-9zm0 0 4-8c1.7 0 2.6 1 2.4 2.6L13 9h5.4c1.4 0 2.3 1.2 2 2.5l-1.5 6.4c-.3 1.2-1.2 2.1-2.5 2.1H7",
  dislike:
    "M17 13V4h3v9zm0 0-4 8c-1.7 0-2.6-1-2.4-2.6L11 15H5.6c-1.4 0-2.3-1.2-2-2.5l1.5-6.4C5.4 4.9 6.3 4 7.6 4H17",
  close: "M6 6l12 12M18 6 6 18",
  why: "M9.5 9.3a2.6 2.6 0 1 1 3.7 2.6c-.8.4-1.2 1-1.2 1.9v.4M12 17.4v.1M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0z",
};

export const icon = (name) =>
  svg(
    "svg",
    { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" },
    svg("path", { d: ICONS[name] }),
  );

/** Say something to users who do not see the page change. */
export function say(sentence) {
  byId("said").textContent = sentence;
}

/** Topic of failures to get a list: the next list that comes settles them. */
export const LIST = "list";

/** Take back messages on a topic that no longer hold. */
export function withdraw(topic) {
  for (const note of document.querySelectorAll(`.toast[data-topic="${topic}"]`)) note.remove();
}

/**
 * A short message in the corner. It may offer something to do: `then` is done when `offer` is
 * pressed; a failure waits for that.
 */
export function toast(
  sentence,
  { offer = null, then = null, seconds = 6, kind = "plain", topic = kind } = {},
) {
  if (topic === "said" || topic === LIST) withdraw(topic);
  const note = el("div", { class: `toast ${kind}`, "data-topic": topic }, el("span", {}, sentence));
  if (offer)
    note.append(
      el(
        "button",
        {
          type: "button",
          onclick: () => {
            note.remove();
            then();
          },
        },
        offer,
      ),
    );
  note.append(
    el(
      "button",
      {
        type: "button",
        class: "quiet-button",
        "aria-label": t`Close the message`,
        onclick: () => note.remove(),
      },
      icon("close"),
    ),
  );
  byId("toasts").append(note);
  if (!offer || kind !== "bad") setTimeout(() => note.remove(), seconds * 1000);
}

/** Ask in a dialog; resolves to what the chosen button means, or null when it was closed. */
export function askIn(title, body, buttons) {
  const box = byId("ask");
  return new Promise((resolve) => {
    let chosen = null;
    box.replaceChildren(
      el(
        "form",
        { method: "dialog" },
        el("h2", { id: "ask-title" }, title),
        body,
        el(
          "div",
          { class: "buttons" },
          buttons.map(({ text, means, kind }) =>
            el(
              "button",
              {
                class: kind || "",
                onclick: () => {
                  chosen = means;
                },
              },
              text,
            ),
          ),
        ),
      ),
    );
    box.onclose = () => resolve(chosen);
    box.showModal();
  });
}

/** A moment, given as seconds since 1970. */
export const when = (seconds) =>
  new Date(seconds * 1000).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });

/** What to call a number of things: 1 event, 2 events. */
export function count(n, one, many = `${one}s`) {
  const [number, said] = [n.toLocaleString("en"), phrase(`{} ${one}`)];
  return said ? said.replace("{1}", number) : `${number} ${n === 1 ? one : many}`;
}

/** Ask whether, and why; the reason, or null. `words` say what comes of it. */
export async function askWhy(title, words, button) {
  const reason = el("input", {
    id: "reason",
    type: "text",
    maxlength: "500",
    value: t`asked on the page`,
  });
  const body = el(
    "div",
    { class: "field" },
    [words].flat().map((part) => (typeof part === "string" ? el("p", {}, part) : part)),
    el("label", { for: "reason" }, t`Why`),
    reason,
  );
  const yes = await askIn(title, body, [
    { text: t`Cancel`, means: false },
    { text: button, means: true, kind: "primary" },
  ]);
  return yes ? reason.value || t`asked on the page` : null;
}

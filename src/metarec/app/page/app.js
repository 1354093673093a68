// Which view is shown, the user's menu, and the key where the service wants one.

import { hasKey } from "./common/api.js";
import { askIn, byId, count, el } from "./common/dom.js";
import { askKey, tellFailure, wantsKey } from "./common/failures.js";
import { hideOperator, showOperator } from "./operator/view.js";
import { forget, load, loadKept, onOtherTabs, user, startOver } from "./new_user/user.js";
import { onKey, showNewUser } from "./new_user/view.js";
import { otherLanguage, sayMarkup, speak, t } from "./common/language.js";

const VIEWS = { you: showNewUser, operator: showOperator };

let current = "you";

async function show(how) {
  const name = location.hash.slice(1) || "you"; // where the visit began, for the way back
  if (Object.hasOwn(VIEWS, name)) current = name; // other names are places within a view
  await showView(current, how);
}

async function showView(name, how) {
  for (const view of Object.keys(VIEWS)) byId(`view-${view}`).hidden = view !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = name === "you" ? t`metarec: for you` : t`metarec: operator`;
  if (name !== "operator") hideOperator();
  try {
    await VIEWS[name](how);
  } catch (error) {
    await failed(error, show);
  }
}

/** A whole view is missing: a key that would help is asked for at once. */
async function failed(error, again) {
  if (wantsKey(error)) await askKey(error.message, again);
  else tellFailure(error, { again });
}

async function becomeNew() {
  startOver();
  whoAmI();
  await show();
}

async function forgetMe() {
  const body = el(
    "p",
    {},
    t`Everything kept under your id is deleted, and the next retraining leaves it out. This cannot be undone.`,
  );
  if (
    !(await askIn(t`Forget me?`, body, [
      { text: t`Keep it`, means: false },
      { text: t`Forget me`, means: true, kind: "danger" },
    ]))
  )
    return;
  try {
    const receipt = await forget();
    const rows = Object.entries(receipt.rows_deleted)
      .filter(([, n]) => n)
      .map(([table, n]) => el("li", {}, deleted(table, n)));
    await askIn(
      t`Forgotten`,
      el(
        "div",
        {},
        rows.length ? [el("p", {}, t`Deleted:`), el("ul", {}, rows)] : null,
        el("p", {}, t`In the models: `, receipt.in_model, t`.`),
        el("p", { class: "quiet" }, t`Receipt `, el("code", {}, receipt.receipt_id)),
      ),
      [{ text: t`Close`, means: true, kind: "primary" }],
    );
    await becomeNew();
  } catch (error) {
    await failed(error, forgetMe);
  }
}

/** What was deleted of one table of the store; of tables without words here, rows. */
function deleted(table, n) {
  const kinds = {
    events: () => count(n, "event"),
    slates: () => count(n, "slate"),
    users: () => count(n, "profile"),
    friends: () => count(n, "friend"),
    exposures: () => count(n, "exposure"),
  };
  return Object.hasOwn(kinds, table) ? kinds[table]() : `${n.toLocaleString("en")} × ${table}`;
}

function whoAmI() {
  byId("user-id").textContent = user.userId;
  byId("avatar").style.setProperty("--hue", String(parseInt(user.userId.slice(-4), 16) % 360));
}

const KEYS = [
  ["/", t`find something`],
  [t`↓ ↑ or j k`, t`next, previous item`],
  ["l", t`like it`],
  ["d", t`not for me`],
  ["w", t`why is it here?`],
  ["Esc", t`close`],
  ["?", t`this list`],
];

const showKeys = () =>
  askIn(
    t`Keyboard shortcuts`,
    el(
      "dl",
      { class: "keys" },
      KEYS.map(([key, what]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, what)]),
    ),
    [{ text: t`Close`, means: true, kind: "primary" }],
  );

function closeMenus(event) {
  for (const menu of document.querySelectorAll("details.menu[open]"))
    if (!menu.contains(event.target)) menu.open = false;
}

document.addEventListener("click", closeMenus);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  }
  const typing =
    event.target.closest("input, textarea, select, dialog") ||
    event.ctrlKey ||
    event.metaKey ||
    event.altKey;
  if (typing) return;
  if (event.key === "?") showKeys();
  else if (current === "you") onKey(event);
});
byId("start-over").addEventListener("click", () => {
  byId("menu").open = false;
  becomeNew();
});
byId("forget").addEventListener("click", () => {
  byId("menu").open = false;
  forgetMe();
});
byId("change-key").addEventListener("click", () => {
  byId("menu").open = false;
  askKey("", begin);
});
byId("menu").addEventListener("toggle", () => {
  byId("change-key").hidden = !hasKey();
});
byId("speak").textContent = otherLanguage === "zh" ? "中文" : "English";
byId("speak").lang = otherLanguage;
byId("speak").addEventListener("click", () => speak(otherLanguage));
byId("show-keys").addEventListener("click", () => {
  byId("menu").open = false;
  showKeys();
});
addEventListener("hashchange", () => {
  if (Object.hasOwn(VIEWS, location.hash.slice(1) || "you")) show();
});
// An address that ends in #main would open no view when it is loaded again.
document.querySelector(".skip-link").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
onOtherTabs(async () => {
  whoAmI();
  try {
    await loadKept();
    await show({ anew: true });
  } catch (error) {
    await failed(error, show);
  }
});

async function begin() {
  whoAmI();
  try {
    await load();
  } catch (error) {
    await failed(error, begin);
    return;
  }
  await show();
}

sayMarkup();
begin();

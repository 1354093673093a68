// The operator's view: is it well, is it used, does it work, may the next model serve?

import { ask, text } from "../common/api.js";
import { drawItems } from "./catalog.js";
import { columns, spark } from "./charts.js";
import { askWhy, byId, count, el, toast, when } from "../common/dom.js";
import { drawExperiments } from "./experiments.js";
import { askKey, tellFailure, wantsKey } from "../common/failures.js";
import { drawJobs } from "./jobs.js";
import { failures, parse, quantile, total } from "./metrics.js";
import { drawUsers } from "./users.js";
import { drawReport, placeOf } from "./reports.js";
import { t } from "../common/language.js";

const EVERY = 2000;
const KEPT = 90;
const ENOUGH = 300; // events; below, drift is noise
const OWN = new Set([
  "/v1/status",
  "/metrics",
  "/v1/models",
  "/v1/experiments",
  "/v1/experiments/{experiment}",
  "/v1/users",
  "/v1/jobs",
  "/v1/item-statistics",
  "/v1/settings",
  "none",
]);

let timer = null;
let history = [];
let modelsDrawn = "";
let reportsDrawn = "";

export async function showOperator() {
  if (!byId("live")) lay();
  await look();
  clearInterval(timer);
  timer = setInterval(() => {
    if (!document.hidden) look().catch(lost);
  }, EVERY);
}

export function hideOperator() {
  clearInterval(timer);
}

function lay() {
  byId("view-operator").replaceChildren(
    el(
      "div",
      { class: "operator-head" },
      el("h1", {}, t`Service`),
      el("p", { class: "health", id: "health", role: "status" }),
    ),
    el("div", { id: "alerts", role: "status" }),
    el("div", { class: "tiles", id: "live" }),
    el(
      "div",
      { class: "columns even" },
      el(
        "section",
        { class: "panel", "aria-labelledby": "hour-title" },
        el("h2", { id: "hour-title" }, t`Events, last hour`),
        el("div", { id: "hour" }),
      ),
      el(
        "section",
        { class: "panel", "aria-labelledby": "days-title" },
        el("h2", { id: "days-title" }, t`Slates, last 14 days`),
        el("div", { id: "days" }),
      ),
    ),
    el(
      "div",
      { class: "columns even" },
      el(
        "section",
        { class: "panel", "aria-labelledby": "users-title" },
        el("h2", { id: "users-title" }, t`Users`),
        el("div", { id: "users" }),
      ),
      el(
        "section",
        { class: "panel", "aria-labelledby": "drift-title" },
        el("h2", { id: "drift-title" }, t`Drift`),
        el("div", { id: "drift" }),
      ),
    ),
    el(
      "section",
      { class: "panel", "aria-labelledby": "items-title" },
      el("h2", { id: "items-title" }, t`Items`),
      el("div", { id: "items" }),
    ),
    el(
      "section",
      { class: "panel", "aria-labelledby": "experiments-title" },
      el("h2", { id: "experiments-title" }, t`A/B experiments`),
      el("div", { id: "experiments" }),
    ),
    el(
      "section",
      { class: "panel", "aria-labelledby": "jobs-title" },
      el("h2", { id: "jobs-title" }, t`Jobs`),
      el("div", { id: "jobs" }),
    ),
    el(
      "section",
      { class: "panel", "aria-labelledby": "models-title" },
      el("h2", { id: "models-title" }, t`Models and promotions`),
      el("div", { id: "models" }),
    ),
    el(
      "section",
      { class: "panel", "aria-labelledby": "settings-title" },
      el("h2", { id: "settings-title" }, t`Settings in effect`),
      el("div", { id: "settings" }),
    ),
    el("div", { id: "reports" }),
  );
  drawSettings().catch(() => {
    /* told by what asks every two seconds */
  });
}

function lost(error) {
  byId("health").className = "health bad";
  const tryKey = () => askKey(error.message, () => look().catch(lost));
  byId("health").replaceChildren(
    error.message,
    wantsKey(error)
      ? el("button", { type: "button", class: "link", onclick: tryKey }, t`Enter another key`)
      : "",
  );
}

async function look() {
  const [status, page] = await Promise.all([ask("GET", "v1/status"), text("metrics")]);
  const samples = parse(page);
  const now = performance.now() / 1000;
  history.push({
    at: now,
    events: total(samples, "metarec_events_total", (l) => l.outcome === "accepted"),
    asks: total(samples, "metarec_requests_total", (l) => !OWN.has(l.route)),
  });
  history = history.slice(-KEPT);
  byId("health").className = "health good";
  byId("health").textContent =
    t`Serving ${status.model_version} · ${count(status.items, "item")} · this worker up ${span(Date.now() / 1000 - status.started)}`;
  drawAlerts(status.alerts);
  drawTiles(status, samples);
  drawHour(status);
  drawDays(status.days);
  drawDrift(status);
  await Promise.all([
    drawModels(status),
    drawExperiments(),
    drawUsers(),
    drawItems(),
    drawJobs(),
    drawReports(status),
  ]);
}

function drawAlerts(alerts) {
  const now = JSON.stringify(alerts.map((one) => [one.name, one.sentence]));
  // said once by screen readers, not every two seconds
  if (byId("alerts").dataset.shown === now) return;
  byId("alerts").dataset.shown = now;
  byId("alerts").replaceChildren(
    ...(alerts.length
      ? [
          el(
            "div",
            { class: "notice" },
            el("strong", {}, t`Alerts`),
            el(
              "ul",
              { class: "lines" },
              alerts.map((one) =>
                el(
                  "li",
                  {},
                  one.sentence,
                  " ",
                  el("span", { class: "alert-since" }, t`since ${when(one.since)}`),
                ),
              ),
            ),
          ),
        ]
      : []),
  );
}

/** Growth a second between looks; a counter that fell back was started anew. */
const rates = (name) =>
  history
    .slice(1)
    .map(
      (one, at) =>
        Math.max(0, one[name] - history[at][name]) / Math.max(0.1, one.at - history[at].at),
    );

function drawTiles(status, samples) {
  const events = rates("events");
  const asks = rates("asks");
  const failed = failures(samples);
  const slowest = quantile(samples, "/v1/recommendations", 0.99);
  const outcomes = status.outcomes;
  const share = (name) =>
    outcomes[name] === undefined ? "–" : `${(100 * outcomes[name]).toFixed(1)}%`;
  byId("live").replaceChildren(
    stat(
      t`Events a second`,
      rate(events),
      t`${count(status.events_last_minute, "event")} in the last minute`,
      spark(events, t`Events a second since this view was opened`),
    ),
    stat(
      t`Requests a second`,
      rate(asks),
      failed ? t`${count(failed, "answer")} failed here` : t`none failed`,
      spark(asks, t`Requests a second since this view was opened`),
    ),
    stat(
      t`Time for a slate`,
      ms(quantile(samples, "/v1/recommendations", 0.5)),
      slowest === null
        ? t`none made since the service started`
        : t`half are faster; 99 in 100 within ${ms(slowest)}`,
    ),
    stat(
      t`Slates, last day`,
      (outcomes.slates ?? 0).toLocaleString("en"),
      !outcomes.slates
        ? t`none shown yet`
        : t`${share("liked_share")} converted; of those to new users, ${share("liked_share_of_new_users")}`,
    ),
    stat(
      t`Kept`,
      count(status.rows.events ?? 0, "event"),
      t`${count(status.rows.users ?? 0, "profile")}, ${count(status.rows.items ?? 0, "item")} added, ${status.rows_waiting} waiting to be written`,
    ),
  );
}

const stat = (name, value, note, chart = null) =>
  el(
    "article",
    { class: "tile-stat" },
    el("h2", {}, name),
    el("p", { class: "big-number" }, value),
    el("p", { class: "quiet" }, note),
    chart,
  );
const rate = (all) =>
  (all.length ? all.slice(-3).reduce((sum, x) => sum + x, 0) / all.slice(-3).length : 0).toFixed(1);
const ms = (seconds) =>
  seconds === null
    ? "–"
    : seconds < 1
      ? t`${(1000 * seconds).toFixed(seconds < 0.01 ? 1 : 0)} ms`
      : t`${seconds.toFixed(1)} s`;

function span(seconds) {
  const [days, hours, minutes] = [
    Math.floor(seconds / 86400),
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60,
  ];
  return days
    ? t`${days} d ${hours} h`
    : hours
      ? t`${hours} h ${minutes} min`
      : minutes
        ? t`${minutes} min`
        : t`${Math.max(0, Math.floor(seconds))} s`;
}

function drawHour(status) {
  const all = status.events_by_minute;
  byId("hour").replaceChildren(
    columns(
      all,
      t`Events of each of the last ${all.length} minutes; the busiest had ${Math.max(...all)}`,
    ),
    el(
      "p",
      { class: "axis quiet" },
      el("span", {}, t`${all.length} min ago`),
      el(
        "span",
        {},
        t`${count(
          all.reduce((sum, x) => sum + x, 0),
          "event",
        )} in all`,
      ),
      el("span", {}, t`now`),
    ),
  );
}

function drawDays(days) {
  const total = (name) => days.reduce((sum, day) => sum + day[name], 0);
  const share = (name) => days.map((day) => (day.slates ? (100 * day[name]) / day.slates : 0));
  const chart = (name, words) => [
    el(
      "p",
      { class: "quiet" },
      t`${words}: ${total("slates") ? ((100 * total(name)) / total("slates")).toFixed(1) : "–"}% of ${count(total("slates"), "slate")}`,
    ),
    columns(
      share(name),
      t`${words}, % of the slates of each day: ${share(name)
        .map((x) => x.toFixed(0))
        .join(", ")}`,
    ),
  ];
  byId("days").replaceChildren(
    ...chart("clicked", t`Clicked`),
    ...chart("converted", t`Converted`),
    el(
      "p",
      { class: "axis quiet" },
      el("span", {}, t`${days.length} days ago`),
      el("span", {}, t`today`),
    ),
  );
}

// Signal, words, the value at the end of its bar, and the events it is measured on.
const SIGNALS = [
  ["popularity_psi", t`What is popular has moved`, 1, "unprompted"],
  ["value_shift", t`Values have shifted`, 2, "unprompted"],
  ["cold_item_share", t`Events on items new to the model`, 1, "events"],
  ["cold_user_share", t`Events by users new to it`, 1, "events"],
];

function drawDrift(status) {
  const { drift, drift_marks: marks, retraining_advised: advised } = status;
  byId("drift").replaceChildren(
    drift === null
      ? el(
          "p",
          { class: "quiet" },
          t`Nothing to compare yet: no events since the model was trained.`,
        )
      : el(
          "dl",
          { class: "signals" },
          SIGNALS.map(([name, words, full, of]) => [
            el("dt", {}, words),
            el(
              "dd",
              {},
              el(
                "span",
                {
                  class: `meter ${marks[name] && drift[of] >= ENOUGH && Math.abs(drift[name]) > marks[name] ? "high" : ""}`,
                  vars: { share: `${Math.min(100, (100 * Math.abs(drift[name])) / full)}%` },
                },
                marks[name]
                  ? el("i", {
                      class: "mark",
                      vars: { at: `${Math.min(100, (100 * marks[name]) / full)}%` },
                    })
                  : null,
              ),
              el("span", { class: "number" }, drift[name].toFixed(2)),
              el("span", { class: "quiet" }, marks[name] ? t`mark ${marks[name]}` : ""),
            ),
          ]),
        ),
    drift === null
      ? ""
      : el(
          "p",
          { class: "quiet" },
          t`From ${count(drift.events, "event")}${drift.events < ENOUGH ? t`: too few to mean much` : ""}; the first two from the ${drift.unprompted} that answered no slate.`,
        ),
    advised.length
      ? el(
          "div",
          { class: "callout" },
          el("strong", {}, t`Retraining is advised:`),
          el(
            "ul",
            { class: "lines" },
            advised.map((reason) => el("li", {}, reason)),
          ),
          el("p", {}, el("code", {}, "metarec retrain MODEL")),
        )
      : el("p", { class: "quiet" }, t`No reason to retrain.`),
  );
}

// ---------------------------------------------------------------- settings

/**
 * Asked for once: they hold as long as the service runs. What was set comes first, defaults are
 * folded away.
 */
async function drawSettings() {
  const { settings } = await ask("GET", "v1/settings").catch((error) =>
    error.status === 403 ? { settings: null } : Promise.reject(error),
  );
  if (settings === null) {
    byId("settings").replaceChildren(
      el("p", { class: "quiet" }, t`This key may not look at settings.`),
    );
    return;
  }
  const rows = (some) =>
    el(
      "dl",
      { class: "all-facts wide" },
      some.map((one) => [el("dt", {}, el("code", {}, one.name)), el("dd", {}, worded(one.value))]),
    );
  const [own, plain] = [
    settings.filter((one) => !one.is_default),
    settings.filter((one) => one.is_default),
  ];
  byId("settings").replaceChildren(
    own.length ? rows(own) : el("p", { class: "quiet" }, t`All as they come.`),
    el("details", {}, el("summary", {}, t`As they come (${plain.length})`), rows(plain)),
  );
}

const worded = (value) =>
  value === "" || value === null || (typeof value === "object" && !Object.keys(value).length)
    ? "–"
    : typeof value === "object"
      ? JSON.stringify(value)
      : String(value);

// ---------------------------------------------------------------- models

async function drawModels(status) {
  const { models, promotions } = await ask("GET", "v1/models");
  const now = JSON.stringify([models, promotions, status.model_version]);
  if (now === modelsDrawn) return; // what is being read or pressed must not be replaced
  modelsDrawn = now;
  byId("models").replaceChildren(
    el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": t`Models` },
      el(
        "table",
        { class: "plain models" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            [t`Version`, t`Trained on`, t`Preset`, t`Decision`, ""].map((name) =>
              el("th", { scope: "col" }, name),
            ),
          ),
        ),
        el(
          "tbody",
          {},
          [...models].reverse().map((model) => modelRow(model)),
        ),
      ),
    ),
    el("h3", {}, t`Promotions`),
    promotions.length
      ? el(
          "ol",
          { class: "timeline" },
          [...promotions]
            .reverse()
            .map((one) =>
              el(
                "li",
                {},
                el(
                  "time",
                  { datetime: new Date(one.timestamp * 1000).toISOString() },
                  when(one.timestamp),
                ),
                " ",
                el("code", {}, one.from),
                " → ",
                el("code", {}, one.to),
                el("p", { class: "quiet" }, one.reason),
              ),
            ),
        )
      : el(
          "p",
          { class: "quiet" },
          t`None yet: the first model serves. `,
          el("code", {}, "metarec retrain MODEL"),
          t` trains a challenger and lets it serve only if it is not worse.`,
        ),
  );
}

function modelRow(model) {
  const { facts, decision } = model;
  const evaluated = decision && decision.table;
  return el(
    "tr",
    { class: model.is_current ? "current" : "" },
    el(
      "th",
      { scope: "row" },
      el("code", {}, model.version),
      model.is_current ? el("span", { class: "badge up" }, t`serving`) : null,
    ),
    el("td", {}, facts.data?.name || "–"),
    el("td", {}, facts.settings?.preset || "–"),
    el(
      "td",
      {},
      model.problem
        ? el("span", { class: "bad-text" }, model.problem)
        : evaluated
          ? el(
              "details",
              {},
              el("summary", {}, decision.promote ? t`not worse` : t`refused`),
              decisionTable(decision),
            )
          : t`the first model`,
    ),
    el(
      "td",
      { class: "acts" },
      model.is_current || model.problem
        ? null
        : el("button", { type: "button", onclick: () => promote(model) }, t`Let it serve`),
    ),
  );
}

function decisionTable(decision) {
  return el(
    "div",
    {},
    el("p", {}, decision.reason),
    el(
      "ul",
      { class: "checks" },
      decision.table.map((row) =>
        el("li", { class: row.passed ? "passed" : "not-passed" }, row.sentence),
      ),
    ),
  );
}

async function promote(model) {
  const refused = model.decision && model.decision.promote === false;
  const words = [
    refused ? el("p", { class: "callout" }, t`It was refused: ${model.decision.reason}`) : null,
    t`Every worker takes it up within seconds; no request is dropped. The model that serves now stays, so that there is a way back.`,
  ];
  const reason = await askWhy(t`Let ${model.version} serve?`, words, t`Let it serve`);
  if (!reason) return;
  try {
    const done = await ask("POST", `v1/models/${encodeURIComponent(model.version)}/promote`, {
      reason,
    });
    toast(t`${done.current} serves now.`);
    await look();
  } catch (error) {
    tellFailure(error, { about: model.version, again: () => promote(model) });
  }
}

// ---------------------------------------------------------------- reports

async function drawReports(status) {
  const now = [status.model_version, ...status.reports].join("\n");
  if (byId("reports").childElementCount && now === reportsDrawn) return;
  reportsDrawn = now;
  if (!status.reports.length) {
    byId("reports").replaceChildren(
      el(
        "section",
        { class: "panel" },
        el("h2", {}, t`Reports`),
        el(
          "p",
          { class: "quiet" },
          t`None are kept with this model. JSON files in its folder `,
          el("code", {}, "reports/"),
          t` are shown here: the learning curve (`,
          el("code", {}, "metarec evaluate DATA --model MODEL"),
          t`), for whom it works (`,
          el("code", {}, "metarec audit MODEL DATA"),
          t`), and what cleaning took out.`,
        ),
      ),
    );
    return;
  }
  const all = await Promise.all(
    status.reports.map(async (name) => {
      try {
        const report = await ask("GET", `v1/reports/${encodeURIComponent(name)}`);
        return { at: placeOf(report), panel: drawReport(name, report) };
      } catch (error) {
        return {
          at: -1,
          panel: el(
            "section",
            { class: "panel" },
            el("h2", {}, name),
            el("p", { class: "notice" }, t`This report cannot be shown: ${error.message}`),
          ),
        };
      }
    }),
  );
  byId("reports").replaceChildren(...all.sort((a, b) => a.at - b.at).map((one) => one.panel));
}

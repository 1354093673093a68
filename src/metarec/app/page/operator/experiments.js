// A/B experiments on the operator's view: who gets what, how arms differ and how surely, start,
// stop, promote, roll back.

import { ask } from "../common/api.js";
import { bandOverTime, intervals } from "./charts.js";
import { askIn, askWhy, byId, count, el, toast, when } from "../common/dom.js";
import { tellFailure } from "../common/failures.js";
import { t } from "../common/language.js";

const MEASURES = {
  clicks: t`Users who clicked`,
  conversions: t`Users who converted`,
  reward: t`Items taken of a slate`,
  refusals: t`Users who hid, disliked or returned`,
};
const GROUPS = { all: t`All users`, new: t`New users`, known: t`Known users` };

let drawn = "";
let measure = null; // chosen by hand

export async function drawExperiments() {
  const { experiments, settings } = await ask("GET", "v1/experiments");
  const running = experiments.find((one) => one.status === "running");
  const told = running ? await ask("GET", `v1/experiments/${running.name}`) : null;
  const now = JSON.stringify([experiments, told?.results, settings]);
  if (now === drawn) return; // what is being read or pressed must not be replaced
  drawn = now;
  const ended = experiments.filter((one) => one.status !== "running");
  byId("experiments").replaceChildren(
    told
      ? runningOne(told)
      : el(
          "p",
          {},
          t`None runs: everybody gets the serving model. `,
          el(
            "button",
            { type: "button", class: "primary", onclick: () => startOne() },
            t`Start an experiment…`,
          ),
        ),
    inEffect(settings, experiments),
    ended.length ? el("h3", {}, t`Ended`) : "",
    ended.length ? el("ol", { class: "timeline" }, ended.slice(0, 20).map(endedOne)) : "",
  );
}

function inEffect(settings, experiments) {
  const promoted = experiments.find((one) => one.status === "promoted");
  if (!promoted) return "";
  return el(
    "p",
    { class: "quiet" },
    t`Settings of `,
    el("code", {}, `${promoted.name}, ${promoted.winner}`),
    t` hold for everybody: ${settingsIn(settings) || t`as the service's own`}. `,
    el(
      "button",
      { type: "button", class: "link", onclick: () => rollBack(promoted) },
      t`Roll back…`,
    ),
  );
}

const settingsIn = (settings) =>
  Object.entries(settings)
    .filter(([, value]) => value !== null && value !== "")
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");

function endedOne(one) {
  return el(
    "li",
    {},
    el("time", { datetime: new Date(one.ended_at * 1000).toISOString() }, when(one.ended_at)),
    " ",
    el("code", {}, one.name),
    " ",
    one.winner ? `${one.status}: ${one.winner}` : one.status,
    el("p", { class: "quiet" }, one.reason),
    el(
      "button",
      { type: "button", class: "link", onclick: () => showEnded(one) },
      t`What it showed`,
    ),
  );
}

async function showEnded(one) {
  try {
    const { experiment, results } = await ask("GET", `v1/experiments/${one.name}`);
    await askIn(
      one.name,
      el("div", {}, armsTable(experiment, results, false), comparison(experiment, results)),
      [{ text: t`Close`, means: true, kind: "primary" }],
    );
  } catch (error) {
    tellFailure(error, { about: one.name, again: () => showEnded(one) });
  }
}

// ---------------------------------------------------------------- the one that runs

function runningOne({ experiment, results }) {
  return el(
    "div",
    {},
    el(
      "p",
      {},
      el("strong", {}, experiment.name),
      t` runs since ${when(experiment.started_at)}, compared by: ${MEASURES[experiment.measure].toLowerCase()}. `,
      el("button", { type: "button", onclick: () => stop(experiment) }, t`Stop it…`),
    ),
    results.warnings.map((warning) => el("p", { class: "notice" }, warning)),
    armsTable(experiment, results, true),
    comparison(experiment, results),
    el(
      "p",
      { class: "quiet" },
      t`Outside: ${count(results.anonymous, "slate")} without a user id, ${count(results.crossed, "user")} who saw two arms. A user counts once, ${experiment.window_hours} h after their first slate.`,
    ),
  );
}

const percent = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)}%` : "–");

function armsTable(experiment, results, canAct) {
  const heads = [
    t`Arm`,
    t`Users`,
    t`Counted`,
    t`Slates`,
    t`Clicked`,
    t`Converted`,
    t`Refused`,
    t`Failed`,
    t`99 in 100 within`,
    t`Items, to control`,
    "",
  ];
  return el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": t`Arms` },
    el(
      "table",
      { class: "plain arms" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          heads.map((name) => el("th", { scope: "col" }, name)),
        ),
      ),
      el(
        "tbody",
        {},
        results.arms.map((arm, at) => armRow(experiment, experiment.arms[at], arm, at, canAct)),
      ),
    ),
  );
}

function armRow(experiment, plan, arm, at, canAct) {
  const why = experiment.stopped[arm.name];
  const cells = [arm.users, arm.users_closed, arm.slates].map((n) => n.toLocaleString("en"));
  const shares = [
    percent(arm.clicks, arm.slates),
    percent(arm.conversions, arm.slates),
    percent(arm.refusals, arm.slates),
    percent(arm.error_share, 1),
  ];
  return el(
    "tr",
    { class: arm.name === experiment.winner ? "current" : "" },
    el(
      "th",
      { scope: "row" },
      el("code", {}, arm.name),
      el("small", {}, ` ${Math.round(100 * plan.share)}%${at ? "" : t`, control`}`),
      el(
        "p",
        { class: "quiet" },
        [plan.model, settingsIn(plan.settings)].filter(Boolean).join(", "),
      ),
      why ? el("p", { class: "bad-text" }, t`Stopped: ${why}`) : null,
    ),
    [
      ...cells,
      ...shares,
      arm.p99_ms === null ? "–" : t`${arm.p99_ms.toFixed(1)} ms`,
      arm.coverage_ratio === null ? "–" : percent(arm.coverage_ratio, 1),
    ].map((text) => el("td", { class: "number" }, String(text))),
    el(
      "td",
      { class: "acts" },
      canAct && !why
        ? [
            el(
              "button",
              { type: "button", onclick: () => promote(experiment, arm.name) },
              t`Promote…`,
            ),
            " ",
            at
              ? el(
                  "button",
                  { type: "button", onclick: () => stop(experiment, arm.name) },
                  t`Stop…`,
                )
              : null,
          ]
        : null,
    ),
  );
}

/** How each arm differs from the control in one measure, now and over time. */
function comparison(experiment, results) {
  const place = el("div", {});
  const draw = () => {
    const chosen = measure ?? experiment.measure;
    const own = results.comparisons.filter((one) => one.measure === chosen);
    place.replaceChildren(
      ...experiment.arms.slice(1).map((arm) =>
        differences(
          experiment,
          arm.name,
          own.filter((one) => one.arm === arm.name),
        ),
      ),
      el("h4", {}, t`${MEASURES[experiment.measure]}, over time`),
      bandOverTime(
        results.history,
        t`Difference to ${experiment.arms[0].name} in: ${MEASURES[experiment.measure].toLowerCase()}`,
      ),
    );
  };
  const select = el(
    "select",
    {
      id: "ab-measure",
      onchange: () => {
        measure = select.value;
        draw();
      },
    },
    Object.entries(MEASURES).map(([name, words]) =>
      el("option", { value: name, selected: name === (measure ?? experiment.measure) }, words),
    ),
  );
  draw();
  return el(
    "div",
    {},
    el(
      "p",
      { class: "chooser" },
      el("label", { for: "ab-measure" }, t`Difference to the control in`),
      select,
    ),
    place,
  );
}

function differences(experiment, arm, rows) {
  const known = rows.filter((one) => one.low !== null);
  const all = rows.find((one) => one.group === "all");
  return el(
    "div",
    { class: "differences" },
    el("p", { class: "callout" }, `${arm}: ${verdict(all)}`),
    known.length
      ? intervals(
          known.map((one) => ({
            group: GROUPS[one.group],
            users: one.users,
            value: one.difference,
            low: one.low,
            high: one.high,
            is_small: false,
          })),
        )
      : null,
  );
}

function verdict(one) {
  const means = t`${one.arm_mean.toFixed(3)} to the control's ${one.control_mean.toFixed(3)}`;
  if (one.low === null)
    return t`too few users to say (${one.users.toLocaleString("en")} counted; 100 of each arm are needed).`;
  if (one.low > 0)
    return t`more, ${means}: surely ${one.low.toFixed(3)} or more above it. You may stop here.`;
  if (one.high < 0)
    return t`less, ${means}: surely ${(-one.high).toFixed(3)} or more below it. You may stop here.`;
  return t`no difference shown yet, ${means} (${one.low.toFixed(3)} to ${one.high.toFixed(3)}).`;
}

// ---------------------------------------------------------------- what the operator does

async function done(path, body, sentence, again) {
  try {
    await ask("POST", path, body);
    toast(sentence);
    await drawExperiments();
  } catch (error) {
    tellFailure(error, { again });
  }
}

async function stop(experiment, arm = null) {
  const reason = await askWhy(
    t`Stop ${arm ?? experiment.name}?`,
    t`Its users get what everybody gets, at once. It cannot be started again under this name.`,
    t`Stop it`,
  );
  if (reason)
    await done(
      `v1/experiments/${experiment.name}/stop`,
      { reason, arm },
      t`${arm ?? experiment.name} is stopped.`,
      () => stop(experiment, arm),
    );
}

async function promote(experiment, arm) {
  const reason = await askWhy(
    t`Promote ${arm}?`,
    t`Everybody gets its model and settings within seconds, and the experiment ends. It can be rolled back.`,
    t`Promote`,
  );
  if (reason)
    await done(
      `v1/experiments/${experiment.name}/promote`,
      { reason, arm },
      t`${arm} serves everybody now.`,
      () => promote(experiment, arm),
    );
}

async function rollBack(experiment) {
  const reason = await askWhy(
    t`Roll ${experiment.name} back?`,
    t`Everybody gets the model and settings of before within seconds.`,
    t`Roll back`,
  );
  if (reason)
    await done(
      `v1/experiments/${experiment.name}/roll-back`,
      { reason },
      t`What served before serves again.`,
      () => rollBack(experiment),
    );
}

const NUMBERS = [
  ["explore", 0, 10],
  ["diversity", 0, 1],
  ["cold_share", 0, 0.5],
];

function armFields(models, at) {
  const field = (name, words, input) => el("label", {}, words, Object.assign(input, { name }));
  const version = el(
    "select",
    {},
    el("option", { value: "" }, t`the serving model`),
    models.map((one) => el("option", { value: one.version }, one.version)),
  );
  return el(
    "fieldset",
    { class: "arm" },
    el("legend", {}, at ? t`Arm ${at + 1}` : t`Control`),
    field(
      "name",
      t`Name`,
      el("input", { type: "text", maxlength: "60", value: at ? `arm-${at + 1}` : "control" }),
    ),
    field(
      "share",
      t`Share of users, %`,
      el("input", { type: "number", min: "1", max: "100", value: "50" }),
    ),
    field("model", t`Model`, version),
    NUMBERS.map(([name, low, high]) =>
      field(
        name,
        name.replace("_", " "),
        el("input", {
          type: "number",
          min: low,
          max: high,
          step: "0.05",
          placeholder: t`as served`,
        }),
      ),
    ),
    field(
      "filter",
      t`Only items where`,
      el("input", { type: "text", maxlength: "2000", placeholder: t`as served` }),
    ),
  );
}

function armOf(fields) {
  const said = Object.fromEntries(
    [...fields.querySelectorAll("input, select")].map((one) => [one.name, one.value.trim()]),
  );
  const numbers = Object.fromEntries(
    NUMBERS.map(([name]) => [name, said[name] === "" ? null : Number(said[name])]),
  );
  return {
    name: said.name,
    share: Number(said.share) / 100,
    model: said.model,
    settings: { ...numbers, filter: said.filter || null },
  };
}

async function startOne(kept = null) {
  const { models } = await ask("GET", "v1/models");
  const usable = models.filter((one) => !one.problem);
  const arms =
    kept?.arms ?? el("div", { class: "arm-list" }, armFields(usable, 0), armFields(usable, 1));
  const name =
    kept?.name ??
    el("input", { id: "ab-name", type: "text", maxlength: "60", placeholder: "new-model" });
  const by =
    kept?.by ??
    el(
      "select",
      { id: "ab-by" },
      ["conversions", "clicks", "reward"].map((one) => el("option", { value: one }, MEASURES[one])),
    );
  const hours =
    kept?.hours ??
    el("input", { id: "ab-hours", type: "number", min: "0.001", step: "any", value: "24" });
  const body = el(
    "div",
    { class: "field experiment-form" },
    el("label", { for: "ab-name" }, t`Name (it decides who is in which arm)`),
    name,
    el("label", { for: "ab-by" }, t`Compare by`),
    by,
    el("label", { for: "ab-hours" }, t`Hours that count after a user's first slate`),
    hours,
    arms,
    el(
      "button",
      {
        type: "button",
        class: "link",
        onclick: () => arms.append(armFields(usable, arms.childElementCount)),
      },
      t`Another arm`,
    ),
  );
  if (
    !(await askIn(t`Start an experiment`, body, [
      { text: t`Cancel`, means: false },
      { text: t`Start`, means: true, kind: "primary" },
    ]))
  )
    return;
  const plan = {
    name: name.value.trim(),
    measure: by.value,
    window_hours: Number(hours.value),
    arms: [...arms.children].map(armOf),
  };
  await done("v1/experiments", plan, t`${plan.name} runs.`, () =>
    startOne({ arms, name, by, hours }),
  );
}

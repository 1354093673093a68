// Reports kept with the model: the learning curve, for whom it works, what cleaning took out.
// Known by what they hold.

import { curve, intervals } from "./charts.js";
import { count, el, plainTable, when } from "../common/dom.js";
import { phrase, t } from "../common/language.js";

/**
 * Where a report stands on the page: the curve first, then for whom it works, then the data,
 * then whatever else.
 */
export const placeOf = (report) =>
  [report.curves, report.gaps, report.findings, true].findIndex(Boolean);

export function drawReport(name, report) {
  const drawn = draw(name, report);
  if (report.kept)
    drawn.append(
      el(
        "p",
        { class: "quiet" },
        t`From `,
        el("code", {}, report.kept.by),
        t`, ${when(report.kept.timestamp)}.`,
      ),
    );
  return drawn;
}

function draw(name, report) {
  if (report.curves) return learningCurve(name, report);
  if (report.gaps && report.groups) return fairness(name, report);
  if (report.findings) return cleaning(name, report);
  return panel(
    name,
    name,
    el(
      "details",
      {},
      el("summary", {}, t`As it is`),
      el("pre", {}, JSON.stringify(report, null, 1).slice(0, 20_000)),
    ),
  );
}

const panel = (name, title, ...inside) =>
  el(
    "section",
    { class: "panel", "aria-label": title, "data-report": name },
    el("h2", {}, title),
    inside,
  );

/** A choice that redraws what is below it. */
function chooser(name, label, options, draw) {
  const place = el("div", {});
  const id = `choose-${name}-${label.replaceAll(" ", "-")}`;
  const select = el(
    "select",
    { id, onchange: () => place.replaceChildren(...draw(select.value)) },
    options.map((one) => el("option", { value: one }, one)),
  );
  place.replaceChildren(...draw(options[0]));
  return [el("p", { class: "chooser" }, el("label", { for: id }, label), select), place];
}

const number = (x, digits = 3) => (Number.isFinite(x) ? x.toFixed(digits) : "–");

// ---------------------------------------------------------------- learning curve

function learningCurve(name, report) {
  const table = (report.curves.cold || report.curves.all).table;
  const metrics = [...new Set(table.map((row) => row.metric))];
  const sentences = Object.values(report.comparisons || {}).map((one) =>
    el("p", { class: "callout" }, one.sentence),
  );
  return panel(
    name,
    t`Learning curve: ${report.data}`,
    el(
      "p",
      { class: "quiet" },
      t`${count(report.facts.test_users, "user")} unseen in training, evaluated at each number of known items; the band is a 95% interval.`,
    ),
    sentences,
    chooser(name, t`Measure`, metrics, (metric) =>
      curveOf(
        report,
        table.filter((row) => row.metric === metric),
        metric,
      ),
    ),
  );
}

function curveOf(report, rows, metric) {
  const names = [...new Set(rows.map((row) => row.model))];
  const series = names
    .map((model) => ({
      name: model,
      ours: report.models.includes(model),
      points: rows.filter((row) => row.model === model && Number.isFinite(row.mean)),
    }))
    .filter((one) => one.points.length);
  const sizes = [...new Set(rows.map((row) => row.events))].sort((a, b) => a - b);
  const cell = (model, events) =>
    number(rows.find((row) => row.model === model && row.events === events)?.mean);
  return [
    el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": t`Chart of ${metric}` },
      curve(series, metric),
    ),
    el(
      "details",
      {},
      el("summary", {}, t`Numbers`),
      plainTable(
        t`${metric} by model and known items`,
        [
          el("th", {}, metric),
          sizes.map((n) => el("th", { scope: "col", class: "number" }, String(n))),
        ],
        series.map((one) =>
          el(
            "tr",
            { class: one.ours ? "current" : "" },
            el("th", { scope: "row" }, one.name),
            sizes.map((n) => el("td", { class: "number" }, cell(one.name, n))),
          ),
        ),
      ),
    ),
  ];
}

// ---------------------------------------------------------------- fairness

function fairness(name, report) {
  const attributes = [...new Set(report.groups.map((row) => row.by))];
  const clear = report.gaps
    .filter((gap) => gap.n_support === null && gap.p_corrected < 0.05)
    .sort((a, b) => b.size - a.size);
  const verdict = clear.length
    ? clear.map((gap) =>
        el(
          "p",
          { class: "callout" },
          t`By ${gap.by}, ${gap.best} is served ${number(gap.size)} better than ${gap.worst} in ${gap.metric} (95% interval ${number(gap.low)} to ${number(gap.high)}).`,
        ),
      )
    : el(
        "p",
        { class: "callout" },
        t`No gap between groups is clear of chance with ${count(report.users, "user")}; small ones may still be there.`,
      );
  return panel(
    name,
    t`For whom it works`,
    verdict,
    attributes.length
      ? chooser(name, t`Groups by`, attributes, (by) => [
          el(
            "p",
            { class: "quiet" },
            t`${report.metric}, over the whole curve, with 95% intervals; small groups are pale.`,
          ),
          intervals(
            report.groups.filter(
              (row) =>
                row.by === by &&
                row.metric === report.metric &&
                row.n_support === null &&
                Number.isFinite(row.value),
            ),
          ),
        ])
      : null,
    report.warnings?.length
      ? el(
          "ul",
          { class: "notes" },
          report.warnings.map((warning) => el("li", {}, warning)),
        )
      : null,
  );
}

// ---------------------------------------------------------------- cleaning

function cleaning(name, report) {
  const share = report.events_read ? (100 * report.events_removed) / report.events_read : 0;
  const facts = report.in_words?.map((one) => [one.about, one.sentence]) ?? plainFacts(report);
  return panel(
    name,
    t`Data: ${report.name}`,
    el(
      "p",
      {},
      t`${count(report.events_read, "event")} read, ${report.events_removed.toLocaleString("en")} (${share.toFixed(1)}%) removed.`,
    ),
    report.findings.length
      ? plainTable(
          t`What cleaning found`,
          [t`Rule`, t`Rows`, t`What happened`, t`Why`].map((head) =>
            el("th", { scope: "col" }, head),
          ),
          report.findings.map((one) =>
            el(
              "tr",
              {},
              el("th", { scope: "row" }, one.rule.replaceAll("_", " ")),
              el("td", { class: "number" }, one.rows.toLocaleString("en")),
              el(
                "td",
                {},
                `${phrase(one.action) || one.action} (${phrase(one.table) || one.table})`,
              ),
              el("td", {}, one.why),
            ),
          ),
        )
      : el("p", { class: "quiet" }, t`Nothing to clean.`),
    el(
      "dl",
      { class: "all-facts wide" },
      facts.map(([fact, value]) => [el("dt", {}, fact), el("dd", {}, value)]),
    ),
    report.advice?.length
      ? el(
          "ul",
          { class: "notes" },
          report.advice.map((line) => el("li", {}, line)),
        )
      : null,
  );
}

/** Facts of a report that was kept before reports said them in words. */
const plainFacts = (report) =>
  Object.entries(report.facts || {})
    .filter(([, value]) => ["number", "string"].includes(typeof value))
    .slice(0, 12)
    .map(([fact, value]) => [
      fact.replaceAll("_", " "),
      typeof value === "number" ? Number(value.toPrecision(4)).toLocaleString("en") : value,
    ]);

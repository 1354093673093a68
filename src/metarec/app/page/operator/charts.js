// Small charts as SVG. Each one says in words what it shows.

import { el, svg } from "../common/dom.js";
import { t } from "../common/language.js";

/** One bar for each number, oldest first. */
export function columns(numbers, label) {
  const [width, height] = [600, 120];
  const most = Math.max(...numbers, 1);
  const step = width / numbers.length;
  return svg(
    "svg",
    {
      class: "chart columns-chart",
      viewBox: `0 0 ${width} ${height}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": label,
    },
    numbers.map((n, at) => {
      const tall = n ? Math.max(3, (height - 4) * (n / most)) : 1.5;
      return svg("rect", {
        class: n ? "" : "none",
        x: at * step + 1,
        y: height - tall,
        width: Math.max(1, step - 2),
        height: tall,
        rx: 2,
      });
    }),
  );
}

/** A line that moves as time goes by. */
export function spark(numbers, label) {
  const [width, height] = [200, 44];
  const most = Math.max(...numbers, 1e-9);
  const x = (at) => (numbers.length < 2 ? 0 : (width * at) / (numbers.length - 1));
  const y = (n) => height - 3 - (height - 6) * (n / most);
  const line = numbers.map((n, at) => `${x(at).toFixed(1)},${y(n).toFixed(1)}`).join(" ");
  return svg(
    "svg",
    {
      class: "chart spark",
      viewBox: `0 0 ${width} ${height}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": label,
    },
    numbers.length > 1
      ? [
          svg("polygon", { points: `0,${height} ${line} ${width},${height}` }),
          svg("polyline", { points: line }),
        ]
      : null,
  );
}

/** Marks on an axis: round numbers from `low` to `high`. */
function ticks(low, high, about = 4) {
  const span = high - low || 1;
  const rough = span / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  const marks = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-6; at += step)
    marks.push(Number(at.toPrecision(6)));
  return marks;
}

/**
 * Quality against the number of events.
 * @param series [{name, ours, points: [{events, mean, low, high}]}]; ours are drawn in color,
 *   the rest stands back.
 */
export function curve(series, metric) {
  // a phone: drawn smaller, not scaled down, so that words can be read
  const narrow = matchMedia("(max-width: 46rem)").matches;
  const [width, height] = narrow ? [350, 300] : [680, 330];
  const box = { left: 36, right: narrow ? 128 : 150, top: 14, bottom: 40 };
  const sizes = [...new Set(series.flatMap((one) => one.points.map((p) => p.events)))].sort(
    (a, b) => a - b,
  );
  const all = series
    .flatMap((one) => one.points.flatMap((p) => [p.mean, ...(one.ours ? [p.low, p.high] : [])]))
    .filter(Number.isFinite);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const marks = ticks(low, high);
  const [from, to] = [Math.min(low, marks[0] ?? low), Math.max(high, marks.at(-1) ?? high)];
  const x = (events) =>
    box.left +
    ((width - box.left - box.right) * sizes.indexOf(events)) / Math.max(1, sizes.length - 1);
  const y = (value) =>
    height - box.bottom - ((height - box.top - box.bottom) * (value - from)) / (to - from || 1);
  const path = (points) =>
    points
      .map((p, at) => `${at ? "L" : "M"}${x(p.events).toFixed(1)} ${y(p.mean).toFixed(1)}`)
      .join("");
  const band = (points) =>
    `M${points.map((p) => `${x(p.events).toFixed(1)} ${y(p.high).toFixed(1)}`).join("L")}L${[
      ...points,
    ]
      .reverse()
      .map((p) => `${x(p.events).toFixed(1)} ${y(p.low).toFixed(1)}`)
      .join("L")}Z`;
  const drawn = [...series].sort((a, b) => Number(a.ours) - Number(b.ours));
  const labels = spread(
    drawn.map((one) => ({ one, y: y(one.points.at(-1).mean) })),
    15,
    box.top,
    height - box.bottom,
  );
  return svg(
    "svg",
    {
      class: "chart curve",
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "aria-label": t`${metric} against the number of known items; the numbers are in the table below`,
    },
    marks.map((at) => [
      svg("line", { class: "grid", x1: box.left, x2: width - box.right, y1: y(at), y2: y(at) }),
      svg("text", { x: box.left - 8, y: y(at) + 4, "text-anchor": "end" }, String(at)),
    ]),
    sizes.map((events) =>
      svg(
        "text",
        { x: x(events), y: height - box.bottom + 18, "text-anchor": "middle" },
        String(events),
      ),
    ),
    svg(
      "text",
      { x: (box.left + width - box.right) / 2, y: height - 4, "text-anchor": "middle" },
      t`items known of a new user`,
    ),
    drawn
      .filter((one) => one.ours)
      .map((one) => svg("path", { class: "band", d: band(one.points) })),
    drawn.map((one) =>
      svg("path", { class: one.ours ? "line ours" : "line", d: path(one.points) }),
    ),
    labels.map(({ one, y: at }) =>
      svg(
        "text",
        { class: one.ours ? "end ours" : "end", x: width - box.right + 8, y: at + 4 },
        one.name,
      ),
    ),
  );
}

/**
 * Differences over time, each with the band that holds at all times together, around a line at
 *   none.
 * @param moments [{timestamp, arm, difference, low, high}]; low and high null where there are
 *   too few users.
 */
export function bandOverTime(moments, label) {
  const known = moments.filter((one) => one.low !== null);
  if (!known.length)
    return el(
      "p",
      { class: "quiet" },
      t`Nothing to draw yet: an interval needs 100 counted users of each arm.`,
    );
  // a phone: drawn smaller, not scaled down
  const narrow = matchMedia("(max-width: 46rem)").matches;
  const [width, height, box] = [
    narrow ? 350 : 640,
    220,
    { left: 44, right: narrow ? 70 : 110, top: 12, bottom: 26 },
  ];
  const [from, to] = [
    Math.min(...moments.map((one) => one.timestamp)),
    Math.max(...moments.map((one) => one.timestamp)),
  ];
  const [low, high] = [
    Math.min(0, ...known.map((one) => one.low)),
    Math.max(0, ...known.map((one) => one.high)),
  ];
  const x = (at) => box.left + ((width - box.left - box.right) * (at - from)) / (to - from || 1);
  const y = (value) =>
    height - box.bottom - ((height - box.top - box.bottom) * (value - low)) / (high - low || 1);
  const point = (at, value) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
  const arms = [...new Set(known.map((one) => one.arm))].map((name) => ({
    name,
    points: known.filter((one) => one.arm === name),
  }));
  const labels = spread(
    arms.map((arm) => ({ arm, y: y(arm.points.at(-1).difference) })),
    15,
    box.top,
    height - box.bottom,
  );
  const day = (at) =>
    new Date(at * 1000).toLocaleString("en", {
      month: "short",
      day: "numeric",
      hour: "numeric",
      minute: "2-digit",
    });
  return svg(
    "svg",
    {
      class: "chart curve",
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "aria-label": t`${label}, from ${day(from)} to ${day(to)}`,
    },
    ticks(low, high).map((at) => [
      svg("line", {
        class: at === 0 ? "grid zero" : "grid",
        x1: box.left,
        x2: width - box.right,
        y1: y(at),
        y2: y(at),
      }),
      svg("text", { x: box.left - 8, y: y(at) + 4, "text-anchor": "end" }, String(at)),
    ]),
    [
      [from, "start"],
      [to, "end"],
    ].map(([at, anchor]) =>
      svg("text", { x: x(at), y: height - 6, "text-anchor": anchor }, day(at)),
    ),
    arms.map(({ points }) =>
      svg("path", {
        class: "band",
        d: `M${points.map((one) => point(one.timestamp, one.high)).join("L")}L${[...points]
          .reverse()
          .map((one) => point(one.timestamp, one.low))
          .join("L")}Z`,
      }),
    ),
    arms.map(({ points }) =>
      svg("path", {
        class: "line ours",
        d: `M${points.map((one) => point(one.timestamp, one.difference)).join("L")}`,
      }),
    ),
    labels.map(({ arm, y: at }) =>
      svg("text", { class: "end ours", x: width - box.right + 8, y: at + 4 }, arm.name),
    ),
  );
}

/** Labels moved apart so that none covers another. */
function spread(labels, gap, top, bottom) {
  const sorted = [...labels].sort((a, b) => a.y - b.y);
  for (let at = 1; at < sorted.length; at += 1)
    sorted[at].y = Math.max(sorted[at].y, sorted[at - 1].y + gap);
  const over = Math.max(0, (sorted.at(-1)?.y ?? 0) - bottom);
  for (let at = sorted.length - 1; at >= 0; at -= 1) {
    const most = at === sorted.length - 1 ? sorted[at].y - over : sorted[at + 1].y - gap;
    sorted[at].y = Math.max(top, Math.min(sorted[at].y, most));
  }
  return sorted;
}

/** A value and its interval for each group, on one scale. */
export function intervals(rows) {
  const low = Math.min(0, ...rows.map((row) => row.low));
  const high = Math.max(...rows.map((row) => row.high), 1e-9);
  const at = (value) => `${(100 * (value - low)) / (high - low || 1)}%`;
  return el(
    "table",
    { class: "intervals" },
    el(
      "thead",
      { class: "visually-hidden" },
      el(
        "tr",
        {},
        [t`Group`, t`Users`, t`Interval`, t`Mean`].map((name) => el("th", {}, name)),
      ),
    ),
    el(
      "tbody",
      {},
      rows.map((row) =>
        el(
          "tr",
          { class: row.is_small ? "small" : "" },
          el(
            "th",
            { scope: "row" },
            row.group,
            el("small", {}, ` ${row.users.toLocaleString("en")}`),
          ),
          el(
            "td",
            {
              class: "interval-cell",
              "aria-label": `${row.low.toFixed(3)} to ${row.high.toFixed(3)}`,
            },
            el("span", { class: "whisker", vars: { from: at(row.low), to: at(row.high) } }),
            el("span", { class: "dot", vars: { at: at(row.value) } }),
          ),
          el("td", { class: "number" }, row.value.toFixed(3)),
        ),
      ),
    ),
  );
}

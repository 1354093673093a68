// What clicks changed: two lists side by side with a line for every item in both, and how
// uncertainty shrank.

import { count, el, svg } from "../common/dom.js";
import { sureWords } from "../common/items.js";
import { t } from "../common/language.js";

const ROW = 34;

/** `name` stands over the list that was, `now` over the list that is. */
export function drawMoves(place, base, slate, name, now = t`You`) {
  if (!base || !slate) return;
  const left = base.items.slice(0, 10);
  const right = slate.items.slice(0, 10);
  const was = new Map(left.map((one, row) => [one.item_id, row]));
  const is = new Map(right.map((one, row) => [one.item_id, row]));
  const stayed = right.filter((one) => was.has(one.item_id)).length;
  const height = ROW * Math.max(left.length, right.length);
  const lines = right.flatMap((one, row) => {
    if (!was.has(one.item_id)) return [];
    const [from, to] = [ROW * (was.get(one.item_id) + 0.5), ROW * (row + 0.5)];
    const kind = was.get(one.item_id) > row ? "up" : was.get(one.item_id) < row ? "down" : "same";
    return [svg("path", { class: kind, d: `M0 ${from} C 50 ${from} 50 ${to} 100 ${to}` })];
  });
  place.replaceChildren(
    el(
      "p",
      { class: "quiet" },
      stayed === right.length && right.every((one, row) => was.get(one.item_id) === row)
        ? t`The same list so far.`
        : t`${count(right.length - stayed, "item")} of ${right.length} new, ${stayed} still there.`,
    ),
    el(
      "div",
      { class: "moves" },
      side(name, left, (one) => (is.has(one.item_id) ? "" : "left")),
      svg(
        "svg",
        {
          viewBox: `0 0 100 ${height}`,
          preserveAspectRatio: "none",
          "aria-hidden": "true",
          height,
        },
        lines,
      ),
      side(now, right, (one) => (was.has(one.item_id) ? "" : "entered")),
    ),
  );
}

function side(name, items, kind) {
  return el(
    "div",
    { class: "side" },
    el("h3", {}, name),
    el(
      "ol",
      {},
      items.map((one) =>
        el("li", { class: kind(one), title: one.title }, el("span", {}, one.title)),
      ),
    ),
  );
}

/** Mean spread of the predictions on the list after each number of events seen in this visit. */
export function drawUncertainty(place, trail) {
  const points = trail.filter((one) => one.uncertainty !== null);
  if (!points.length) {
    place.replaceChildren(
      el("p", { class: "quiet" }, t`This model says nothing about how sure it is.`),
    );
    return;
  }
  const [first, last] = [points[0], points.at(-1)];
  const change = (last.uncertainty - first.uncertainty) / first.uncertainty;
  const words =
    points.length === 1
      ? t`Nothing is known of you yet.`
      : Math.round(100 * change) === 0
        ? t`As uncertain as for a new user, on average over the list.`
        : t`${Math.abs(Math.round(100 * change))}% ${change < 0 ? t`less` : t`more`} uncertain than for a new user, on average over the list.`;
  place.replaceChildren(
    el("p", { class: "big-number" }, sureWords(last.uncertainty / first.uncertainty)),
    el("p", { class: "quiet" }, words),
    ...trailChart(points),
  );
}

function trailChart(points) {
  if (points.length < 2) return [];
  const [width, height, pad] = [300, 70, 8];
  const most = Math.max(...points.map((p) => p.uncertainty));
  const longest = Math.max(...points.map((p) => p.known)) || 1;
  const x = (p) => pad + (width - 2 * pad) * (p.known / longest);
  const y = (p) => pad + (height - 2 * pad) * (1 - p.uncertainty / most); // from zero: 1% looks small
  const label = points.map((p) => t`${p.uncertainty.toFixed(2)} after ${p.known}`).join(", ");
  return [
    el(
      "figure",
      { class: "trail" },
      svg(
        "svg",
        {
          viewBox: `0 0 ${width} ${height}`,
          role: "img",
          "aria-label": t`Uncertainty: ${label} events`,
        },
        svg("polyline", { points: points.map((p) => `${x(p)},${y(p)}`).join(" ") }),
        points.map((p) => svg("circle", { cx: x(p), cy: y(p), r: 3.5 })),
      ),
      el(
        "figcaption",
        { class: "quiet" },
        el("span", {}, t`a new user`),
        el("span", {}, t`after ${count(longest, "event")}`),
      ),
    ),
  ];
}

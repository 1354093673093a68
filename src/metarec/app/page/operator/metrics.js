// Reading what `/metrics` says, in the text format of Prometheus.

const LINE = /^(\w+)(?:\{(.*)\})?\s+(\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

export function parse(page) {
  return page.split("\n").flatMap((line) => {
    const found = line.startsWith("#") ? null : LINE.exec(line);
    if (!found) return [];
    const labels = Object.fromEntries(
      [...(found[2] || "").matchAll(LABEL)].map(([, name, value]) => [name, value]),
    );
    return [{ name: found[1], labels, value: Number(found[3]) }];
  });
}

export const total = (samples, name, keep = () => true) =>
  samples
    .filter((one) => one.name === name && keep(one.labels))
    .reduce((sum, one) => sum + one.value, 0);

/**
 * Answers that failed; `/readyz` saying "not yet", as at every start, is what it is there to
 * say.
 */
export const failures = (samples) =>
  total(
    samples,
    "metarec_requests_total",
    ({ route, status }) => status?.startsWith("5") && !(route === "/readyz" && status === "503"),
  );

/**
 * Seconds below which a share of a route's answers came, by linear interpolation in its bucket;
 * null before the first answer.
 */
export function quantile(samples, route, share) {
  const buckets = samples
    .filter((one) => one.name === "metarec_request_seconds_bucket" && one.labels.route === route)
    .map((one) => [one.labels.le === "+Inf" ? Infinity : Number(one.labels.le), one.value])
    .sort((a, b) => a[0] - b[0]);
  const all = buckets.at(-1)?.[1] || 0;
  if (!all) return null;
  let [below, count] = [0, 0];
  for (const [edge, upTo] of buckets) {
    if (upTo >= share * all)
      return edge === Infinity
        ? below
        : below + ((edge - below) * (share * all - count)) / Math.max(1, upTo - count);
    [below, count] = [edge, upTo];
  }
  return below;
}

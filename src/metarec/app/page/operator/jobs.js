// Work that takes minutes, on the operator's view: what runs, how far it is, how it ended, and a
// retraining started here.

import { ask } from "../common/api.js";
import { askIn, byId, el, toast, when } from "../common/dom.js";
import { tellFailure } from "../common/failures.js";
import { t } from "../common/language.js";

const SHOWN = 6;
const NAMES = () => ({
  retraining: t`Retraining`,
  import: t`Import`,
  batch: t`Slates for all users`,
});
const STATES = () => ({
  running: t`running`,
  done: t`done`,
  skipped: t`not done`,
  failed: t`failed`,
  lost: t`its process has gone`,
});
let drawn = "";

export async function drawJobs() {
  const { jobs } = await ask("GET", "v1/jobs");
  const now = JSON.stringify(jobs);
  if (drawn === now && byId("jobs").childElementCount) return;
  drawn = now;
  const open = new Set(
    [...document.querySelectorAll("#jobs details[open]")].map((one) => one.dataset.job),
  ); // what is being read stays open
  const isTraining = jobs.some((job) => job.kind === "retraining" && job.state === "running");
  byId("jobs").replaceChildren(
    jobs.length
      ? el(
          "ol",
          { class: "timeline" },
          jobs.slice(0, SHOWN).map((job) => row(job, open.has(job.job_id))),
        )
      : el(
          "p",
          { class: "quiet" },
          t`None yet. Retrainings, imports and slates for all users are listed here, whoever started them.`,
        ),
    el(
      "p",
      {},
      el("button", { type: "button", disabled: isTraining, onclick: retrain }, t`Retrain now…`),
    ),
  );
}

function row(job, isOpen) {
  const [name, state] = [NAMES()[job.kind], STATES()[job.state]];
  const minutes = job.ended ? (job.ended - job.started) / 60 : null;
  const took =
    minutes === null
      ? ""
      : minutes < 1
        ? t`, ${(60 * minutes).toFixed(0)} s`
        : t`, ${minutes.toFixed(0)} min`;
  const bad = job.state === "failed" || job.state === "lost";
  return el(
    "li",
    {},
    el("strong", {}, name),
    " ",
    el(
      "span",
      {
        class: `badge ${job.state === "done" ? "up" : job.state === "running" ? "new" : bad ? "bad" : ""}`,
      },
      state,
    ),
    " ",
    el(
      "span",
      { class: "quiet" },
      el("time", { datetime: new Date(job.started * 1000).toISOString() }, when(job.started)),
      took,
    ),
    job.state === "running"
      ? el(
          "p",
          { class: "job-progress" },
          el("span", { class: "meter", vars: { share: `${100 * job.done}%` } }),
          el("span", {}, `${job.stage} ${(100 * job.done).toFixed(0)}%`),
        )
      : null,
    job.outcome ? el("p", { class: bad ? "bad-text" : "" }, job.outcome) : null,
    job.lines.length
      ? el(
          "details",
          { "data-job": job.job_id, open: isOpen },
          el("summary", {}, t`Log`),
          el("pre", { tabindex: "0", "aria-label": t`Log` }, job.lines.join("\n")),
        )
      : null,
  );
}

async function retrain() {
  const words = el(
    "p",
    {},
    t`A challenger learns from old and new events in a process beside the service, at low priority. It serves only if it is not worse.`,
  );
  if (
    !(await askIn(t`Retrain now?`, words, [
      { text: t`Cancel`, means: false },
      { text: t`Retrain`, means: true, kind: "primary" },
    ]))
  )
    return;
  try {
    await ask("POST", "v1/jobs", { kind: "retraining" });
    toast(t`A retraining begins.`);
  } catch (error) {
    tellFailure(error, { again: retrain });
  }
}

"""Which encoder helps newcomers and new items: one table over data sets, encoders and two scenarios.

    python benchmarks/encoders_table.py DATA [DATA ...] --encoders ids none tfidf textcnn gru minilm minilm+lora smollm2@64 --out results/
    python benchmarks/encoders_table.py --show results/

Each (data set, encoder, scenario) is one result file, so an interrupted run goes on where it stopped. Scenarios are
those of `metarec evaluate`: `user-cold` (newcomers, the whole catalog) and `both-cold` (newcomers, 10% of items hidden
from training and ranked among themselves). `ids` leaves out everything known of an item; `none` keeps tags, numbers and
categories but no text. All encoders see the same people and items, so differences are paired.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np

SCENARIOS = ("user-cold", "both-cold")
BAR = "tfidf"
"""What differences are taken to."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="*", type=Path, help="data folders or configurations")
    parser.add_argument("--encoders", nargs="+", default=["ids", "none", "tfidf", "textcnn", "gru", "minilm", "minilm+lora"])
    parser.add_argument("--scenarios", nargs="+", default=list(SCENARIOS), choices=SCENARIOS)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--parts", nargs="+", help="experts of the gate instead of a preset's, such as: neighbors content (quick)")
    parser.add_argument("--users", type=int, default=0, help="keep at most this many users, drawn with the seed; 0 for all")
    parser.add_argument("--judged", type=int, default=500, help="newcomers judged at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--show", type=Path, help="only print the table of a folder of results")
    options = parser.parse_args()
    if options.parts:
        from metarec.recommender import PRESETS

        options.preset = "+".join(options.parts)
        PRESETS[options.preset] = tuple(options.parts)
    if options.show is None:
        options.out.mkdir(parents=True, exist_ok=True)
        for source in options.data:
            run_all(source, options)
    print(table(options.show or options.out))


def run_all(source: Path, options: argparse.Namespace) -> None:
    import metarec

    data = few_users(metarec.read(str(source)), options.users, options.seed)
    for encoder in options.encoders:
        with tempfile.TemporaryDirectory() as home:
            os.environ["METAREC_HOME"] = home  # an empty cache, so that encoding is timed
            for scenario in options.scenarios:
                target = options.out / f"{source.name}__{encoder.replace('/', '_')}__{scenario}__{options.seed}.json"
                if not target.exists():
                    print(f"{time.strftime('%H:%M:%S')} {source.name} {encoder} {scenario}", flush=True)
                    target.write_text(json.dumps(one(data, source.name, encoder, scenario, options)))


def few_users(data, most: int, seed: int):
    import polars as pl

    users = data.interactions.frame["user_id"].unique().sort()
    if not most or len(users) <= most:
        return data
    kept = pl.Series(np.random.default_rng(seed).choice(users.to_numpy(), most, replace=False))
    return data.with_interactions(data.interactions.frame.filter(pl.col("user_id").is_in(kept.implode())))


def one(data, name: str, encoder: str, scenario: str, options: argparse.Namespace) -> dict:
    """Fit and judge one encoder in one scenario."""
    from metarec.data.schema import Dataset
    from metarec.evaluation.evaluate import evaluate
    from metarec.evaluation.recommenders import OwnRecommender

    if encoder == "ids":
        data = Dataset(interactions=data.interactions, items=data.items.frame.select("item_id"), users=data.users, name=data.name)
    clock = {}

    def progress(stage: str, *_: object) -> None:
        clock.setdefault(stage, time.perf_counter())

    model = OwnRecommender(name=encoder, preset=options.preset, encoder="none" if encoder == "ids" else encoder, progress=progress)
    started = time.perf_counter()
    found = evaluate(data, models=[model], baselines=[], scenario=scenario, seed=options.seed, most=options.judged)
    ndcg = found.curve.per_user[encoder]["ndcg@10"]
    inputs = model.model.item_inputs
    return {"data": name, "encoder": encoder, "scenario": scenario, "seed": options.seed, "preset": options.preset, "users": options.users,
            "shots": list(found.curve.shots), "facts": found.facts, "people": found.curve.user_ids, "ndcg": np.round(ndcg, 6).tolist(),
            "encode_seconds": round(clock["fit scorers and gate"] - started, 2), "fit_seconds": round(found.costs[encoder].fit_seconds, 2),
            "reason": inputs.reason, "width": int(len(inputs.center)), "items": len(model.model.catalog)}


def table(folder: Path) -> str:
    """Mean NDCG@10 with 95% intervals, the paired difference to TF-IDF, encoding time and size of the vectors, in Markdown."""
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    lines = ["| data | encoder | newcomers NDCG@10 | to TF-IDF | cold items NDCG@10 | to TF-IDF | encode s | vectors MB |",
             "|---|---|---|---|---|---|---|---|"]
    order = {name: place for place, name in enumerate(["ids", "none", "tfidf", "bow", "textcnn", "gru", "minilm", "minilm@64"])}
    keys = sorted({(r["data"], r["encoder"]) for r in results}, key=lambda key: (key[0], order.get(key[1], 50), key[1]))
    by = {(r["data"], r["encoder"], r["scenario"]): r for r in results}
    for data, encoder in keys:
        cells, first = [], None
        for scenario in SCENARIOS:
            result = by.get((data, encoder, scenario))
            first = first or result
            cells += [interval(person_means(result)) if result else "", against(result, by.get((data, BAR, scenario)))]
        size = first["items"] * first["width"] * 4 / 1e6
        lines.append(f"| {data} | {encoder} | {' | '.join(cells)} | {first['encode_seconds']:.1f} | {size:.1f} |")
    return "\n".join(lines)


def person_means(result: dict) -> np.ndarray:
    """One number for each person: the mean over support sizes."""
    return np.nanmean(np.array(result["ndcg"], dtype=float), axis=0)


def interval(values: np.ndarray, *, signed: bool = False) -> str:
    """Mean and 95% bootstrap interval over people."""
    draws = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    form = "+.4f" if signed else ".4f"
    return f"{values.mean():{form}} [{low:{form}}, {high:{form}}]"


def against(result: dict | None, bar: dict | None) -> str:
    if result is None or bar is None or result["encoder"] == BAR or result["people"] != bar["people"]:
        return ""
    return interval(person_means(result) - person_means(bar), signed=True)


if __name__ == "__main__":
    main()

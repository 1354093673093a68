"""Compare encoders on new users and new items: one table of data sets, encoders and two scenarios.

    python benchmarks/encoders_table.py DATA [DATA ...] --encoders ids none tfidf textcnn gru minilm
    minilm+lora smollm2@64 --out results/
    python benchmarks/encoders_table.py --show results/

Each (data set, encoder, scenario, seed) is one file of results, so an interrupted run continues
where it stopped. Scenarios are those of `metarec evaluate`: `user-cold` (new users, the whole
catalog) and `both-cold` (new users, 10% of items hidden from training and ranked among themselves).
`ids` uses no content of items; `none` uses tags, numbers and categories but no text. All encoders
get the same users and items, so differences are paired. A seed draws the new users and the hidden
items; with few hidden items, more seeds reduce the uncertainty more than more users.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np

SCENARIOS = ("user-cold", "both-cold")
STARTED = time.perf_counter()
BAR = "tfidf"
"""Encoder that differences are relative to."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="*", type=Path, help="data folders or configurations")
    parser.add_argument(
        "--encoders",
        nargs="+",
        default=["ids", "none", "tfidf", "textcnn", "gru", "minilm", "minilm+lora"],
    )
    parser.add_argument("--scenarios", nargs="+", default=list(SCENARIOS), choices=SCENARIOS)
    parser.add_argument("--preset", default="small")
    parser.add_argument(
        "--parts",
        nargs="+",
        help="scorers of the gate instead of a preset's, such as: item_knn content (quick)",
    )
    parser.add_argument(
        "--users",
        type=int,
        default=0,
        help="keep at most this many users, drawn with the seed; 0 for all",
    )
    parser.add_argument(
        "--items",
        type=int,
        default=0,
        help="keep only this many items, those chosen most often; 0 for all",
    )
    parser.add_argument("--evaluated", type=int, default=500, help="maximum number of test users")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument(
        "--keep-cache",
        action="store_true",
        help="keep encodings in OUT/cache, so that a later run need not encode again "
        "(its encoding time is then no measure; the table shows the longest of an encoder's runs)",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=1e9,
        help="begin no fit after this long; the same command goes on later",
    )
    parser.add_argument("--show", type=Path, help="only print the table of a folder of results")
    options = parser.parse_args()
    if options.parts:
        from metarec.recommendation.settings import PRESETS

        options.preset = "+".join(options.parts)
        PRESETS[options.preset] = tuple(options.parts)
    if options.show is None:
        options.out.mkdir(parents=True, exist_ok=True)
        for source in options.data:
            run_all(source, options)
    print(table(options.show or options.out))


def run_all(source: Path, options: argparse.Namespace) -> None:
    import metarec

    data = few_items(metarec.read(str(source)), options.items)
    for encoder in options.encoders:
        with (
            nullcontext(options.out / "cache")
            if options.keep_cache
            else tempfile.TemporaryDirectory() as home
        ):
            os.environ["METAREC_HOME"] = str(
                home
            )  # an empty cache, so that the first run of an encoder times encoding
            for seed in options.seeds:
                part = few_users(data, options.users, seed)
                for scenario in options.scenarios:
                    target = (
                        options.out / f"{source.name}__{re.sub(r'[^a-zA-Z0-9@+.-]', '_', encoder)}"
                        f"__{scenario}__{seed}.json"
                    )
                    if not target.exists() and time.perf_counter() < 60 * options.minutes + STARTED:
                        print(
                            f"{time.strftime('%H:%M:%S')} {source.name} {encoder} {scenario} "
                            f"{seed}",
                            flush=True,
                        )
                        target.write_text(
                            json.dumps(one(part, source.name, encoder, scenario, seed, options))
                        )


def few_users(data, most: int, seed: int):
    """Return data of at most that many users, drawn at random; all for 0."""
    import polars as pl

    users = data.interactions.frame["user_id"].unique().sort()
    if not most or len(users) <= most:
        return data
    kept = pl.Series(np.random.default_rng(seed).choice(users.to_numpy(), most, replace=False))
    return data.with_interactions(
        data.interactions.frame.filter(pl.col("user_id").is_in(kept.implode()))
    )


def few_items(data, most: int):
    """Return data of at most that many items, those with the most events; all for 0. The others are
    removed from the catalog too.
    """
    import polars as pl

    from metarec.data.dataset import Dataset

    counts = (
        data.interactions.frame.group_by("item_id")
        .len()
        .sort("len", "item_id", descending=[True, False])
    )
    if not most or counts.height <= most:
        return data
    kept = counts["item_id"].head(most).implode()
    events = data.interactions.frame.filter(pl.col("item_id").is_in(kept))
    return Dataset(
        interactions=events,
        items=data.items.frame.filter(pl.col("item_id").is_in(kept)),
        users=data.users,
        name=data.name,
    )


def one(
    data, name: str, encoder: str, scenario: str, seed: int, options: argparse.Namespace
) -> dict:
    """Fit and evaluate one encoder in one scenario, and return its results."""
    from metarec.data.dataset import Dataset
    from metarec.evaluation.evaluate import evaluate
    from metarec.evaluation.own_recommender import OwnRecommender

    if encoder == "ids":
        data = Dataset(
            interactions=data.interactions,
            items=data.items.frame.select("item_id"),
            users=data.users,
            name=data.name,
        )
    clock = {}

    def progress(stage: str, *_: object) -> None:
        clock.setdefault(stage, time.process_time())

    model = OwnRecommender(
        name=encoder,
        preset=options.preset,
        encoder="none" if encoder == "ids" else encoder,
        progress=progress,
    )
    started = time.process_time()
    found = evaluate(
        data,
        models=[model],
        baselines=[],
        scenario=scenario,
        seed=seed,
        max_users=options.evaluated,
    )
    ndcg = found.curve.per_user[encoder]["ndcg@10"]
    inputs, state = model.model.item_inputs, model.model.item_inputs.encoder.state()
    return {
        "data": name,
        "encoder": encoder,
        "scenario": scenario,
        "seed": seed,
        "preset": options.preset,
        "users": options.users,
        "support_sizes": list(found.curve.support_sizes),
        "facts": found.facts,
        "user_ids": found.curve.user_ids,
        "ndcg": np.round(ndcg, 6).tolist(),
        "fit_seconds": round(found.costs[encoder].fit_seconds, 2),
        "encode_cpu_seconds": round(clock["fit scorers and gate"] - started, 2),
        "reason": inputs.reason,
        "width": int(len(inputs.center)),
        "items": len(model.model.catalog),
        "model_mb": round(weights_mb(state), 2),
    }


def weights_mb(state) -> float:
    """Return the size of an encoder in MB: files of a pretrained model, and learned arrays."""
    words = state.settings.get("words", state.settings.get("terms", ()))
    learned = sum(array.nbytes for array in state.arrays.values()) + sum(map(len, words))
    if state.settings["kind"] != "pretrained":
        return learned / 1e6
    from metarec.features.encoders.locate import locate

    files = locate(state.settings["name"], online=False).folder.iterdir()
    return (
        learned
        + sum(
            path.stat().st_size
            for path in files
            if path.suffix in (".safetensors", ".bin", ".gguf")
        )
    ) / 1e6


def table(folder: Path) -> str:
    """Return a Markdown table of mean NDCG@10 with 95% intervals, paired differences to TF-IDF, CPU
    time of encoding, and sizes.
    """
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    lines = [
        "| data | encoder | seeds | new users NDCG@10 | to TF-IDF | cold items NDCG@10 | to TF-IDF "
        "| encode CPU s | model MB | vectors MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    order = {
        name: place
        for place, name in enumerate(
            ["ids", "none", "tfidf", "bow", "textcnn", "gru", "minilm", "minilm@64"]
        )
    }
    keys = sorted(
        {(r["data"], r["encoder"]) for r in results},
        key=lambda key: (key[0], order.get(key[1], 50), key[1]),
    )
    by: dict[tuple, dict[int, dict]] = {}
    for result in results:
        by.setdefault((result["data"], result["encoder"], result["scenario"]), {})[
            result["seed"]
        ] = result
    for data, encoder in keys:
        found = [by.get((data, encoder, scenario), {}) for scenario in SCENARIOS]
        cells = []
        for scenario, seeds in zip(SCENARIOS, found, strict=True):
            bars = by.get((data, BAR, scenario), {})
            pairs = (
                []
                if encoder == BAR
                else [
                    (seeds[seed], bars[seed])
                    for seed in seeds
                    if same_users(seeds[seed], bars.get(seed))
                ]
            )
            cells += [
                interval([user_means(result) for result in seeds.values()]),
                interval(
                    [user_means(result) - user_means(bar) for result, bar in pairs], signed=True
                ),
            ]
        every = [result for seeds in found for result in seeds.values()]
        seconds = max(
            result.get("encode_cpu_seconds", 0.0) for result in every
        )  # the others found the cache filled
        model = max(result.get("model_mb", 0.0) for result in every)
        size = every[0]["items"] * every[0]["width"] * 4 / 1e6
        counts = "/".join(str(len(seeds)) for seeds in found)
        lines.append(
            f"| {data} | {encoder} | {counts} | {' | '.join(cells)} | {seconds:.1f} | {model:.1f} "
            f"| {size:.1f} |"
        )
    return "\n".join(lines)


def user_means(result: dict) -> np.ndarray:
    """Return the mean over support sizes of each user."""
    return np.nanmean(np.array(result["ndcg"], dtype=float), axis=0)


def same_users(result: dict, bar: dict | None) -> bool:
    return bar is not None and result["user_ids"] == bar["user_ids"]


def interval(seeds: list[np.ndarray], *, signed: bool = False) -> str:
    """Return the mean over seeds and a 95% bootstrap interval over seeds and then their users; over
    users alone with one seed.
    """
    if not seeds:
        return ""
    rng = np.random.default_rng(0)
    draws = np.array(
        [
            [values[rng.integers(len(values), size=len(values))].mean() for values in seeds]
            for _ in range(2000)
        ]
    )
    drawn = np.take_along_axis(draws, rng.integers(len(seeds), size=draws.shape), axis=1).mean(
        axis=1
    )
    low, high = np.quantile(drawn, [0.025, 0.975])
    form = "+.3f" if signed else ".3f"
    return f"{np.mean([values.mean() for values in seeds]):{form}} [{low:{form}}, {high:{form}}]"


if __name__ == "__main__":
    main()

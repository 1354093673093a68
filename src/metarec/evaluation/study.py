"""A study: data sets x encoders x seeds, with the same recommenders in each, in one table.

Each cell is one evaluation, saved to its own file as soon as it is done, so that a study that was
killed resumes where it stopped. A seed draws the split and every model. Differences are tested over
users, each user's mean over the seeds that evaluated them, and corrected (Holm) over the whole
study.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput
from metarec.evaluation.adapters import learners_for
from metarec.evaluation.baselines import BASELINES
from metarec.evaluation.evaluate import Evaluation, evaluate
from metarec.evaluation.interface import Evaluated
from metarec.evaluation.measure import METRICS
from metarec.evaluation.own_recommender import OwnRecommender
from metarec.evaluation.scenarios import SCENARIOS
from metarec.evaluation.significance import holm, interval, paired_difference, resample
from metarec.recommendation.settings import PRESETS
from metarec.runtime.jobs import run_jobs
from metarec.runtime.progress import Progress, silent
from metarec.runtime.rng import derive

STAGE = "study"
Cells = dict[tuple[str, str], dict[str, Any]]
"""(data, encoder) -> model -> metric -> user -> [events] values, one row for each seed."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """Recommenders to compare and data to compare them on; `of` reads it from a table such as one
    of a TOML file.
    """

    data: tuple[str, ...]
    """Folders, files or database URLs."""
    presets: tuple[str, ...] = ("small",)
    """Presets of metarec; the first one is compared with everything else."""
    encoders: tuple[str, ...] = ("auto",)
    """Text encoders."""
    seeds: tuple[int, ...] = (0,)
    """Seeds; each draws its own split."""
    learners: tuple[str, ...] = ()
    """Meta-learners to compare with."""
    baselines: tuple[str, ...] | None = None
    """Baselines to compare with; all that suit the data where None."""
    metrics: tuple[str, ...] = ("ndcg@10",)
    """Metrics to tabulate."""
    scenario: str = "user-cold"
    """What is cold: one of `SCENARIOS`."""

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Study:
        """Return the study that a table describes.

        Raises:
            BadInput: for a key, a name or a type that does not exist.
        """
        names = [one.name for one in fields(cls)]
        for name in table:
            if name not in names:
                raise BadInput(f"a study has no {name!r}; it has {', '.join(names)}")
        study = cls(**{"data": (), **{name: _listed(name, value) for name, value in table.items()}})
        study._check()
        return study

    def _check(self) -> None:
        if not self.data:
            raise BadInput('a study needs data = ["FOLDER", ...]')
        for name, allowed in (
            ("presets", PRESETS),
            ("metrics", METRICS),
            ("baselines", BASELINES),
        ):
            for one in getattr(self, name) or ():
                if one not in allowed:
                    raise BadInput(f"{name} of a study may be {', '.join(allowed)}; got {one!r}")
        if self.scenario not in SCENARIOS:
            raise BadInput(f"scenario must be one of {', '.join(SCENARIOS)}, got {self.scenario!r}")
        for name in ("data", "presets", "encoders", "seeds", "learners", "metrics"):
            values = getattr(self, name)
            twice = next((one for one in values if values.count(one) > 1), None)
            if twice is not None:
                raise BadInput(f"{name} of a study name {twice!r} twice; once is enough")
        if min(self.seeds, default=0) < 0:
            raise BadInput(f"seeds of a study must be 0 or more, got {min(self.seeds)}")
        if not (self.presets and self.encoders and self.seeds and self.metrics):
            raise BadInput(
                "presets, encoders, seeds and metrics of a study hold one value at least"
            )
        learners_for(list(self.learners)) if self.learners else None  # raises if unknown

    def models(self, encoder: str, progress: Progress) -> list[Evaluated]:
        """Return the unfitted recommenders of one cell, baselines apart."""
        ours = [
            OwnRecommender(name=f"metarec {preset}", preset=preset, encoder=encoder)
            for preset in self.presets
        ]
        named = list(self.learners)
        learned = learners_for(named, encoder=encoder, progress=progress) if named else []
        return [*ours, *learned]


@dataclass(frozen=True, kw_only=True)
class Results:
    """Results of all cells of a study as two tables."""

    table: pl.DataFrame
    """data, encoder, model, metric, events, mean, low, high, users, seeds, fit_cpu_seconds."""
    differences: pl.DataFrame
    """data, encoder, metric, events, model, other, mean, low, high, p, p_holm, is_clear."""

    def text(self) -> str:
        """Return the means, a block for each data set, encoder and metric, for a terminal."""
        blocks = []
        keys = ["data", "encoder", "metric"]
        for key, rows in self.table.group_by(keys, maintain_order=True):
            events = rows["events"].unique(maintain_order=True).to_list()
            means = rows.pivot("events", index="model", values="mean")
            lines = [f"{key[2]}, {key[0]}, texts by {key[1]}, by known items of each user"]
            lines.append(f"{'':<26}" + "".join(f"{k:>8}" for k in events))
            for name, *values in means.iter_rows():
                lines.append(f"{name:<26}" + "".join(f"{value:>8.3f}" for value in values))
            blocks.append("\n".join(lines))
        return "\n\n".join([*blocks, self.summary()])

    def summary(self) -> str:
        """Return the numbers of clear differences, in a sentence."""
        clear = self.differences.filter("is_clear")
        better, worse = (clear.filter(pl.col("mean") > 0), clear.filter(pl.col("mean") < 0))
        return (
            f"{better.height} of {self.differences.height} differences are clearly for the first "
            f"model and {worse.height} clearly against it, after Holm over the study"
        )


def run_study(
    study: Study,
    read: Callable[[str], Dataset],
    out: Path,
    *,
    workers: int = 1,
    backend: str = "here",
    progress: Progress = silent,
) -> Results:
    """Evaluate the cells that are not done yet, and tabulate all.

    Args:
        study: what to compare.
        read: function from a name in `study.data` to clean data; picklable if there are workers.
        out: a folder for the cells and the tables; saved cells of the same study are reused.
        workers: cells evaluated at once; it changes no result except the CPU seconds of fits.
        backend: where they run, as for `runtime.jobs.run_jobs`. On several machines all of them
            must see `out`.
        progress: called after each cell.

    Raises:
        BadInput: if a data set cannot be read or evaluated, or a worker wrote its cell elsewhere.
        ValueError: if `workers` or `backend` is out of range.
    """
    cells = [(d, e, s) for d in study.data for e in study.encoders for s in study.seeds]
    (out / "cells").mkdir(parents=True, exist_ok=True)
    do = _Cells(study, read, out.resolve())
    missing = [cell for cell in cells if do.kept(cell) is None]
    done = len(cells) - len(missing)

    def report(more: int) -> None:
        progress(STAGE, (done + more) / len(cells), f"{done + more} of {len(cells)} cells")

    report(0)
    run_jobs(do, missing, workers, backend=backend, on_done=report)
    results = _results(study, [do.done(cell) for cell in cells])
    _write(out / "table.csv", results.table.write_csv())
    _write(out / "differences.csv", results.differences.write_csv())
    return results


Place = tuple[str, str, int]
"""Data set, encoder and seed of a cell."""


class _Cells:
    """Evaluates the cells of a study, each saved to its own file."""

    def __init__(self, study: Study, read: Callable[[str], Dataset], out: Path) -> None:
        self._study, self._read, self._out = study, read, out
        self._data: tuple[str, Dataset] | None = None

    def __call__(self, cell: Place) -> None:
        """Evaluate a cell and write its file."""
        name, encoder, seed = cell
        if self._data is None or self._data[0] != name:
            self._data = name, self._read(name)  # one at a time: data may be large
        done = _cell(self._study, self._data[1], name, encoder, seed)
        _write(self._file(cell), json.dumps(done))

    def kept(self, cell: Place) -> dict[str, Any] | None:
        """Return the saved result of a cell; None where it is not done."""
        return _kept(self._file(cell), self._study, cell[0], cell[1])

    def done(self, cell: Place) -> dict[str, Any]:
        """Return the saved result of a cell that a worker has just evaluated; an error if its file
        is not visible here.
        """
        saved = self.kept(cell)
        if saved is None:
            raise BadInput(
                f"a worker wrote {self._file(cell).name} where this machine does not see it; give "
                f"an --out that all machines share"
            )
        return saved

    def _file(self, cell: Place) -> Path:
        data, encoder, seed = cell
        number = self._study.data.index(data)
        return self._out / "cells" / f"{number}-{_plain(encoder)}-{seed}.json"


def _kept(file: Path, study: Study, data: str, encoder: str) -> dict[str, Any] | None:
    """Return the saved result of a cell; None where it is missing, damaged, or of another study."""
    if not file.exists():
        return None
    try:
        cell: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:  # damaged: evaluated again
        return None
    is_same = isinstance(cell, dict) and cell.get("asked") == _cell_key(study, data, encoder)
    return cell if is_same else None


def _cell_key(study: Study, data: str, encoder: str) -> dict[str, Any]:
    """Return what a cell depends on, except its seed."""
    plain = json.loads(json.dumps(asdict(study)))
    return {**plain, "data": data, "encoders": encoder, "seeds": None}


def _cell(study: Study, data: Dataset, name: str, encoder: str, seed: int) -> dict[str, Any]:
    evaluation = evaluate(
        data,
        models=study.models(encoder, silent),
        baselines=study.baselines,
        scenario=study.scenario,  # type: ignore[arg-type]  # checked when the study was read
        seed=seed,
    )
    return {
        "asked": _cell_key(study, name, encoder),
        "seed": seed,
        "events": list(evaluation.curve.support_sizes),
        "users": evaluation.curve.user_ids,
        "fit_cpu_seconds": {m: cost.fit_cpu_seconds for m, cost in evaluation.costs.items()},
        "values": _values(study, evaluation),
    }


def _values(study: Study, evaluation: Evaluation) -> dict[str, dict[str, list[list[float | None]]]]:
    """Model -> metric -> [events][users], None where a user has no value."""
    return {
        model: {
            metric: [
                [None if np.isnan(value) else float(value) for value in row]
                for row in evaluation.curve.per_user[model][metric]
            ]
            for metric in study.metrics
            if metric in evaluation.curve.per_user[model]
        }
        for model in evaluation.curve.models
    }


def _results(study: Study, cells: Sequence[Mapping[str, Any]]) -> Results:
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for cell in cells:
        groups.setdefault((cell["asked"]["data"], cell["asked"]["encoders"]), []).append(cell)
    rows = [row for key, group in groups.items() for row in _means(key, group)]
    tested = [row for key, group in groups.items() for row in _tested(key, group, study)]
    corrected = holm(np.array([row["p"] for row in tested], np.float64))
    for row, p in zip(tested, corrected, strict=True):
        row |= {"p_holm": float(p), "is_clear": bool(p < 0.05)}
    return Results(table=pl.DataFrame(rows), differences=pl.DataFrame(tested))


def _means(key: tuple[str, str], group: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for model, metric, values in _pooled(group):
        weights = resample(values.shape[1], derive(0, "study"))
        lows, highs = interval(values, weights)
        seconds = [cell["fit_cpu_seconds"][model] for cell in group]
        for place, events in enumerate(group[0]["events"]):
            yield {
                "data": key[0],
                "encoder": key[1],
                "model": model,
                "metric": metric,
                "events": events,
                "mean": float(np.nanmean(values[place])),
                "low": float(lows[place]),
                "high": float(highs[place]),
                "users": values.shape[1],
                "seeds": len(group),
                "fit_cpu_seconds": float(np.mean(seconds)),
            }


def _tested(
    key: tuple[str, str], group: Sequence[Mapping[str, Any]], study: Study
) -> Iterator[dict[str, Any]]:
    """Yield the tests of the first model against every other one."""
    pooled = {(model, metric): values for model, metric, values in _pooled(group)}
    first = f"metarec {study.presets[0]}"
    for (other, metric), theirs in pooled.items():
        if other == first or (first, metric) not in pooled:
            continue
        if METRICS[metric].higher_is_better is None:
            continue
        weights = resample(theirs.shape[1], derive(0, "study"))
        for place, events in enumerate(group[0]["events"]):
            difference = paired_difference(
                pooled[first, metric][place],
                theirs[place],
                weights,
                higher_is_better=METRICS[metric].higher_is_better is not False,
            )
            yield {
                "data": key[0],
                "encoder": key[1],
                "metric": metric,
                "events": events,
                "model": first,
                "other": other,
                "mean": difference.mean,
                "low": difference.low,
                "high": difference.high,
                "p": difference.p_value,
            }


def _pooled(group: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (model, metric, [events, users]): each user's mean over the seeds that evaluated
    them.
    """
    users = sorted({user for cell in group for user in cell["users"]})
    place = {user: column for column, user in enumerate(users)}
    for model, metrics in group[0]["values"].items():
        for metric in metrics:
            total = np.zeros((len(group[0]["events"]), len(users)))
            count = np.zeros_like(total)
            for cell in group:
                values = np.array(cell["values"][model][metric], np.float64)
                columns = [place[user] for user in cell["users"]]
                total[:, columns] += np.nan_to_num(values)
                count[:, columns] += ~np.isnan(values)
            yield model, metric, np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _listed(name: str, value: Any) -> Any:
    """Return a value of a study's table: a list as a tuple, a single value as a tuple of one."""
    if name == "scenario":
        return value
    listed = tuple(value) if isinstance(value, list) else (value,)
    expected = int if name == "seeds" else str
    wrong = [one for one in listed if not isinstance(one, expected) or isinstance(one, bool)]
    if wrong:
        what = "whole numbers" if expected is int else "texts"
        raise BadInput(f"{name} of a study are {what}, got {wrong[0]!r}")
    return listed


def _plain(text: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in text)


def _write(file: Path, text: str) -> None:
    """Write the file atomically."""
    beside = file.with_name(f".{file.name}.part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)

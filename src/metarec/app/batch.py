"""Slates for all users at once, as a nightly job writes them for e-mails and caches.

Users are split into parts of a fixed size, each user in exactly one. Each part is one Parquet file,
written under another name and then renamed, so that it is complete or absent; a run after one that
was killed writes the missing parts only. `plan.json` has the model, data and options of the folder,
`summary.json` shows that it is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import polars as pl

from metarec.data.dataset import Dataset
from metarec.data.errors import BadInput
from metarec.data.relations import SPENT_AFTER, active_searches
from metarec.recommendation.slate import Request
from metarec.runtime.folders import write_text
from metarec.runtime.jobs import check_backend, run_jobs
from metarec.runtime.progress import Progress, silent
from metarec.runtime.rng import derive

if TYPE_CHECKING:
    from metarec.recommendation.slate import Slate
    from metarec.recommender import Recommender

PLAN, SUMMARY = "plan.json", "summary.json"
STAGE = "recommend to all users"
SCORES_AT_ONCE, MAX_AT_ONCE = 8_000_000, 256
"""Largest number of scores, and of users, computed at a time."""
SCHEMA: dict[str, type[pl.DataType]] = {
    "user_id": pl.Utf8,
    "rank": pl.Int32,
    "item_id": pl.Utf8,
    "score": pl.Float32,
    "propensity": pl.Float32,
}


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """Settings of every slate of a batch."""

    k: int = 10
    """Length of each slate."""
    where: str | None = None
    """Filter of the items that may be shown, as `--filter`; None allows all."""
    diversity: float = 0.0
    """Strength of diversification in [0, 1], as for a single slate."""
    users_per_file: int = 5_000
    """Users in each file."""

    def __post_init__(self) -> None:
        if self.users_per_file < 1:
            raise BadInput(f"users_per_file must be 1 or more, got {self.users_per_file}")


@dataclass(frozen=True, kw_only=True)
class Part:
    """A subset of the users with their data, which one job handles."""

    number: int
    user_ids: list[str]
    data: Dataset
    """Their events, attributes and relations."""

    def __repr__(self) -> str:
        return f"part {self.number} ({len(self.user_ids)} users)"


@dataclass(frozen=True, kw_only=True)
class Parts(Sequence[Part]):
    """Users of `data` in parts; the data of a part are selected when it is accessed."""

    data: Dataset
    user_ids: pl.Series
    """All users, with events or without, each once."""
    size: int
    numbers: Sequence[int]
    """Numbers of the parts in this sequence."""

    @classmethod
    def of(cls, data: Dataset, size: int) -> Parts:
        """Split the users of `data` into parts of `size`, users with events first."""
        acting = data.interactions.frame["user_id"]
        ids = pl.concat([acting, data.users.frame["user_id"]]).unique(maintain_order=True)
        numbers = range(-(-len(ids) // size))
        return cls(data=data, user_ids=ids, size=size, numbers=numbers)

    def only(self, numbers: Sequence[int]) -> Parts:
        """Return only the parts with these numbers."""
        return replace(self, numbers=numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, position: int) -> Part: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Part]: ...
    def __getitem__(self, position: int | slice) -> Part | Sequence[Part]:
        if isinstance(position, slice):
            return [self[place] for place in range(*position.indices(len(self)))]
        number = self.numbers[position]
        ids = self.user_ids.slice(number * self.size, self.size)
        return Part(number=number, user_ids=ids.to_list(), data=_of_users(self.data, ids))


def _of_users(data: Dataset, user_ids: pl.Series) -> Dataset:
    """Return the data of some users, without items."""

    def own(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.join(user_ids.to_frame(), on="user_id", how="semi", maintain_order="left")

    relations = replace(
        data.relations, friends=own(data.relations.friends), searches=own(data.relations.searches)
    )
    return replace(
        data.with_interactions(own(data.interactions.frame)),
        items=replace(data.items, frame=data.items.frame.head(0)),
        users=replace(data.users, frame=own(data.users.frame)),
        relations=relations,
    )


def requests_of(
    data: Dataset, user_ids: Sequence[str], searches_last: int = SPENT_AFTER
) -> list[Request]:
    """Return a request per user with their events, attributes, friends and searches in `data`.

    Args:
        searches_last: number of later positive events after which a search is left out.
    """
    events = data.interactions
    at = pl.col("timestamp") if events.has_time else pl.lit(None, pl.Float64)
    act = pl.struct("item_id", pl.col("value").cast(pl.Float64), "kind", at.alias("timestamp"))
    histories = _lists(events.frame, act)
    friends = _lists(data.relations.friends, pl.struct("friend_id", "weight"))
    query = pl.struct("query", pl.col("timestamp").fill_null(float("nan")))
    searches = _lists(data.relations.searches, query)
    acts = _lists(events.frame.filter(events.acts()["sign"] > 0), pl.col("timestamp"))
    return [
        Request(
            history=[tuple(one.values()) for one in histories.get(user, ())],
            profile=profile,
            friends={
                one["friend_id"]: one["weight"]
                for one in friends.get(user, ())
                if one["weight"] > 0
            },
            searches=active_searches(
                [tuple(one.values()) for one in searches.get(user, ())],
                acts.get(user, ()) if events.has_time else (),
                searches_last,
            ),
        )
        for user, profile in zip(user_ids, data.users.of_users(user_ids), strict=True)
    ]


def _lists(frame: pl.DataFrame, what: pl.Expr) -> dict[str, list[Any]]:
    """Map each user to the list of their values of `what`, in the order of the rows."""
    rows = frame.group_by("user_id", maintain_order=True).agg(what.alias("own"))
    return dict(zip(rows["user_id"].to_list(), rows["own"].to_list(), strict=True))


def recommend_all(
    model: Path,
    data: Dataset,
    out: Path,
    config: BatchConfig | None = None,
    *,
    workers: int = 1,
    backend: str = "here",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Write the slates of all users of `data` into the folder `out`, where parts are already there
    only the missing ones; return the summary.

    Args:
        model: folder of the model; every worker reads it once.
        data: the users, with their events, attributes and relations.
        out: a folder that does not exist, is empty, or has parts of the same model, data and
            options.
        workers: number of processes.
        backend: `here` or `ray`.
        progress: called with the progress.

    Raises:
        BadInput: if `out` holds something else, an option is out of range, or a column of users
            looks like one of the policy's, misspelled.
    """
    config = config or BatchConfig()
    check_backend(workers, backend)
    loaded = _loaded(model)
    loaded.policy_check.refuse_misspelled(dict.fromkeys(data.users.attributes))
    plan = _plan(loaded, data, config)
    parts = Parts.of(data, config.users_per_file)
    _begin(out, plan)
    missing = [number for number in parts.numbers if not (out / _file(number)).exists()]
    n_done, todo = len(parts) - len(missing), parts.only(missing)
    run_jobs(
        partial(_write_part, model, plan["version"], out, config),
        todo,
        min(workers, max(len(todo), 1)),
        backend=backend,
        on_done=lambda done: progress(STAGE, (n_done + done) / len(parts)),
    )
    summary = {**plan, "files_found": n_done, **_counted(out, parts)}
    write_text(out / SUMMARY, json.dumps(summary, indent=1))
    return summary


def _plan(model: Recommender, data: Dataset, config: BatchConfig) -> dict[str, Any]:
    """Return what the slates depend on: the model's version, a digest of the data, the options."""
    tables = (
        data.interactions.frame,
        data.users.frame,
        data.relations.friends,
        data.relations.searches,
    )
    sums = [int(table.hash_rows(seed=0).sum() or 0) if table.width else 0 for table in tables]
    digest = hashlib.sha256(json.dumps(sums).encode()).hexdigest()[:12]
    return {"version": model.version, "data": digest, **asdict(config)}


def _begin(out: Path, plan: dict[str, Any]) -> None:
    """Create the folder, or check that its plan is the same and delete the drafts of killed runs.

    Raises:
        BadInput: if the folder has another plan, or other files.
    """
    place = out / PLAN
    if place.exists():
        manifest = json.loads(place.read_text(encoding="utf-8"))
        if manifest != plan:
            differs = ", ".join(name for name in plan if manifest.get(name) != plan[name])
            raise BadInput(
                f"{str(out)!r} holds slates of another run (other {differs}); give another folder, "
                "or remove it"
            )
        for draft in out.glob(".part-*.draft"):
            draft.unlink(missing_ok=True)
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{str(out)!r} exists and holds no slates; give another folder")
    out.mkdir(parents=True, exist_ok=True)
    write_text(place, json.dumps(plan, indent=1))


def _file(number: int) -> str:
    return f"part-{number:05}.parquet"


@lru_cache(maxsize=1)
def _loaded(model: Path) -> Recommender:
    """Load the model, once in each process."""
    from metarec.recommender import Recommender

    return Recommender.load(model)


def _write_part(place: Path, version: str, out: Path, config: BatchConfig, part: Part) -> None:
    """Write the slates of one part into its file."""
    model = _loaded(place)
    if model.version != version:
        raise BadInput(f"the model in {str(place)!r} changed to {model.version} amid the run")
    requests = requests_of(part.data, part.user_ids, model.searches_last)
    rng = derive(model.settings.seed, "batch", part.number)
    at_once = max(1, min(MAX_AT_ONCE, SCORES_AT_ONCE // len(model.catalog)))
    slates: list[Slate] = []
    for start in range(0, len(requests), at_once):
        slates += model.recommend(
            requests[start : start + at_once],
            config.k,
            filter=config.where,
            diversity=config.diversity,
            rng=rng,
        )
    draft = out / f".{_file(part.number)}.{os.getpid()}.draft"
    try:
        _table(part.user_ids, slates).write_parquet(draft, metadata={"notes": _notes(slates)})
        draft.replace(out / _file(part.number))
    finally:
        draft.unlink(missing_ok=True)


def _table(user_ids: Sequence[str], slates: Sequence[Slate]) -> pl.DataFrame:
    """Return a row for each rank of each slate, with predicted values where the model predicts
    ratings.
    """
    lengths = [len(slate.item_ids) for slate in slates]
    owners = np.repeat(np.arange(len(slates)), lengths)
    columns: dict[str, Any] = {
        "user_id": pl.Series(user_ids, dtype=pl.Utf8).gather(owners),
        "rank": np.arange(1, len(owners) + 1) - np.repeat(np.cumsum(lengths) - lengths, lengths),
        "item_id": [item for slate in slates for item in slate.item_ids],
        "score": np.concatenate([slate.scores for slate in slates] or [np.zeros(0)]),
        "propensity": np.concatenate([slate.propensity for slate in slates] or [np.zeros(0)]),
    }
    schema = dict(SCHEMA)
    if slates and slates[0].predicted is not None:
        columns["predicted"] = np.concatenate([slate.predicted for slate in slates])
        schema["predicted"] = pl.Float32
    return pl.DataFrame(
        [pl.Series(name, columns[name]).cast(dtype) for name, dtype in schema.items()]
    )


def _notes(slates: Sequence[Slate]) -> str:
    """Count the slates with each note, and the empty slates, as JSON."""
    notes = Counter(note for slate in slates for note in slate.notes)
    empty = sum(not slate.item_ids for slate in slates)
    return json.dumps({"notes": notes, "empty": empty}, sort_keys=True)


def _counted(out: Path, parts: Parts) -> dict[str, Any]:
    """Count users, rows, empty slates, files and the 20 most frequent notes, from the files."""
    notes: Counter[str] = Counter()
    rows = empty = 0
    for number in parts.numbers:
        path = out / _file(number)
        kept_notes = json.loads(pl.read_parquet_metadata(path)["notes"])
        notes.update(kept_notes["notes"])
        empty += kept_notes["empty"]
        rows += int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())
    return {
        "users": len(parts.user_ids),
        "rows": rows,
        "empty_slates": empty,
        "files": len(parts),
        "notes": dict(notes.most_common(20)),
    }

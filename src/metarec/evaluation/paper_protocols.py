"""The protocols of two papers, so that their figures can be reproduced and seen beside what costs
nothing.

Both rank only the items a user rated in the end (10 of them in MeLU's), which is far easier than
finding them in a catalog, and there the mean rating of each item is hard to beat: its row and that
of chance are always printed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from metarec.data.cold_users import ColdUser
from metarec.data.schema import BadInput, Dataset, Interactions, Vocabulary, id_order
from metarec.evaluation import metrics
from metarec.evaluation.baselines.ratings import offsets_of
from metarec.evaluation.baselines.table import TrainingTable
from metarec.evaluation.baselines.tuned import fitted
from metarec.evaluation.interface import Evaluated, Rates
from metarec.evaluation.significance import interval, resample
from metarec.evaluation.tanp_scores import tanp_scores
from metarec.recommendation.slate import Request
from metarec.runtime.progress import Progress, silent
from metarec.runtime.rng import derive

MELU_EVENTS, MELU_ASKED = (13, 100), 10
TANP_EVENTS, TANP_SHOWN = (30, 200), 20
NEW_SHARE, VALIDATION_SHARE = 0.2, 0.1


@dataclass(frozen=True, kw_only=True)
class Published:
    """A paper's split: whom to learn from, and whom to evaluate in each of its scenarios."""

    name: str
    train: Dataset
    validation: list[ColdUser]
    """Users set aside to choose settings by; never evaluated."""
    scenarios: dict[str, list[ColdUser]]
    """`pool` is the whole support, `query` what is asked."""
    cuts: tuple[int, ...]
    """Lengths of list measured."""
    is_graded: bool
    """NDCG by the rating itself (MeLU), or what `tanp_scores` counts."""


def melu_split(data: Dataset, *, seed: int = 0) -> Published:
    """MeLU's protocol (Lee et al. 2019, arXiv:1908.00413, section 4.1).

    A fifth of the users are new; new items are the latest fifth by their year (by their first
    event where no year is known, else drawn). Users with 13 to 100 events of a kind take part; 10
    at random are asked, the rest is shown. The paper evaluates three scenarios of cold start; its
    fourth trains on what it asks.

    Raises:
        BadInput: if the data hold no ratings, or nobody has so many events.
    """
    events, rng = _rated(data, "melu"), derive(seed, "melu")
    users = _users(events, MELU_EVENTS, "melu")
    new_users = users[rng.random(len(users)) < NEW_SHARE]
    new_items = _new_items(data, events, rng)
    is_new_item, is_new_user = (
        pl.col("item_id").is_in(new_items.implode()),
        pl.col("user_id").is_in(pl.Series(new_users).implode()),
    )
    known = events.filter(~is_new_item)
    aside = users[~np.isin(users, new_users)]
    aside = aside[rng.random(len(aside)) < VALIDATION_SHARE]
    is_aside = pl.col("user_id").is_in(pl.Series(aside).implode())

    def tasks(part: pl.DataFrame) -> list[ColdUser]:
        counts = part.group_by("user_id").len().filter(pl.col("len").is_between(*MELU_EVENTS))
        return _tasks(
            data, part.join(counts, on="user_id", how="semi"), lambda count: count - MELU_ASKED, rng
        )

    trained = known.filter(~is_new_user & ~is_aside)
    old_users_new_items = tasks(events.filter(is_new_item & ~is_new_user & ~is_aside))
    scenarios = {
        "new items, known users": old_users_new_items,
        "known items, new users": tasks(known.filter(is_new_user)),
        "new items, new users": tasks(events.filter(is_new_item & is_new_user)),
    }
    return Published(
        name="melu",
        train=_without_order(data, trained, rng),
        validation=_liking(tasks(known.filter(is_aside))),
        scenarios={name: evaluated for name, evaluated in scenarios.items() if evaluated},
        cuts=(1, 3),
        is_graded=True,
    )


def tanp_split(data: Dataset, *, seed: int = 0) -> Published:
    """TaNP's protocol (Lin et al. 2021, arXiv:2103.06137, section 5.1): users 7 : 1 : 2, 20 events
    at random shown, the rest asked.

    Users with 30 to 200 events take part; of those evaluated, events on items that training does
    not hold are left out. The query's items are ranked among themselves and scored by
    `tanp_scores`.

    Raises:
        BadInput: if the data hold no ratings, or nobody has so many events.
    """
    events, rng = _rated(data, "tanp"), derive(seed, "tanp")
    users = rng.permutation(_users(events, TANP_EVENTS, "tanp"))
    first, second = int(0.7 * len(users)), int(0.8 * len(users))

    def of(chosen: np.ndarray) -> pl.DataFrame:
        return events.filter(pl.col("user_id").is_in(pl.Series(chosen, dtype=pl.Utf8).implode()))

    trained = of(users[:first])
    known = pl.col("item_id").is_in(trained["item_id"].unique().implode())
    validation, evaluated = (
        _tasks(data, _enough(of(part).filter(known)), lambda _: TANP_SHOWN, rng)
        for part in (users[first:second], users[second:])
    )
    return Published(
        name="tanp",
        train=_without_order(data, trained, rng),
        validation=_liking(validation),
        scenarios={"new users": evaluated},
        cuts=(5, 7, 10),
        is_graded=False,
    )


def _enough(events: pl.DataFrame) -> pl.DataFrame:
    """Those of users with enough of them for TaNP."""
    counts = events.group_by("user_id").len().filter(pl.col("len").is_between(*TANP_EVENTS))
    return events.join(counts, on="user_id", how="semi", maintain_order="left")


PROTOCOLS: dict[str, Callable[..., Published]] = {"melu": melu_split, "tanp": tanp_split}


@dataclass(frozen=True, kw_only=True)
class ProtocolRow:
    """One recommender in one scenario."""

    scenario: str
    model: str
    users: int
    means: dict[str, float]
    """Metric -> mean over users."""
    intervals: dict[str, tuple[float, float]]
    """Metric -> 95% bootstrap interval over users."""


def evaluate_by_protocol(
    published: Published, models: Sequence[Evaluated], *, seed: int = 0, progress: Progress = silent
) -> list[ProtocolRow]:
    """Fit `models`, chance and the item mean on the protocol's training users, and evaluate them in
    its scenarios.

    Raises:
        BadInput: if nobody is left to evaluate.
    """
    if not published.scenarios:
        raise BadInput(
            f"nobody is left to evaluate on the protocol {published.name!r}: too few users with "
            f"enough events"
        )
    evaluated: list[Evaluated] = [Chance(), ItemMean(), *models]
    rows = []
    for n, model in enumerate(evaluated):
        model.fit(published.train, published.validation, derive(seed, "fit", model.name))
        for scenario, cold_users in published.scenarios.items():
            rows.append(
                _row(
                    scenario,
                    model,
                    cold_users,
                    published,
                    derive(seed, "ties", model.name, scenario),
                )
            )
        progress(f"protocol {published.name}", (n + 1) / len(evaluated), model.name)
    return sorted(rows, key=lambda row: list(published.scenarios).index(row.scenario))


def describe_rows(rows: Sequence[ProtocolRow]) -> str:
    """A table for each scenario, for a terminal."""
    lines: list[str] = []
    for scenario in dict.fromkeys(row.scenario for row in rows):
        part = [row for row in rows if row.scenario == scenario]
        names = list(dict.fromkeys(name for row in part for name in row.means))
        lines += [
            "",
            f"{scenario}: {part[0].users:,} users",
            f"{'':<22}" + "".join(f"{name:>16}" for name in names),
        ]
        for row in part:
            cells = [
                f"{row.means[name]:.3f} "
                f"±{(row.intervals[name][1] - row.intervals[name][0]) / 2:.3f}"
                if name in row.means
                else "-"
                for name in names
            ]
            lines.append(f"{row.model:<22}" + "".join(f"{cell:>16}" for cell in cells))
    return "\n".join(lines[1:])


@dataclass(kw_only=True)
class Chance:
    """A random order, and values drawn from the training values."""

    name: str = "chance"
    table: TrainingTable | None = field(default=None, init=False)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0), init=False)

    # Nothing is chosen
    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Remember the values there are."""
        self.table, self.rng = TrainingTable.of(train, 0), rng

    @property
    def vocabulary(self) -> Vocabulary:
        """Item of each column."""
        return fitted(self.name, self.table).vocabulary

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """float32 `[B, N]`, uniform."""
        return self.rng.random((len(requests), len(self.vocabulary)), dtype=np.float32)

    def rate(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:  # whoever asks
        """Random training values."""
        values = fitted(self.name, self.table).events.values
        return [self.rng.choice(values, size=len(ids)) for ids in item_ids]


@dataclass(kw_only=True)
class ItemMean:
    """The mean value of each item, the same for everyone; an item nobody rated has the mean of
    all.
    """

    name: str = "item mean"
    table: TrainingTable | None = field(default=None, init=False)
    values: np.ndarray | None = field(default=None, init=False)
    """[N]"""

    # Nothing is chosen
    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Average, pulled towards the mean of all by two values."""
        self.table = TrainingTable.of(train, 0)
        offsets = offsets_of(self.table, 2.0, 10.0)
        self.values = (offsets.mean + offsets.items).astype(np.float32)

    @property
    def vocabulary(self) -> Vocabulary:
        """Item of each column."""
        return fitted(self.name, self.table).vocabulary

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """float32 `[B, N]`."""
        return np.tile(fitted(self.name, self.values), (len(requests), 1))

    def rate(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:  # whoever asks
        """The means."""
        return [fitted(self.name, self.values)[self.vocabulary.indexes(ids)] for ids in item_ids]


@dataclass(kw_only=True)
class ByScore:
    """A model that another row has fitted, ordering what is asked as `recommend(allow=...)` does
    instead of by predicted values.
    """

    model: Evaluated
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = f"{self.model.name}, allow"

    @property
    def vocabulary(self) -> Vocabulary:
        """Item of each column."""
        return self.model.vocabulary

    # Nothing is learned anew
    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Nothing: the model stands fitted in the row before."""

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """float32 `[B, N]`."""
        return self.model.score(requests)


def _row(
    scenario: str,
    model: Evaluated,
    cold_users: list[ColdUser],
    published: Published,
    rng: np.random.Generator,
) -> ProtocolRow:
    per_user = measure_queries(model, cold_users, published, rng)
    weights = resample(len(cold_users), derive(0, "bootstrap", scenario))
    bounds = {
        name: tuple(float(np.squeeze(b)) for b in interval(values[None], weights))
        for name, values in per_user.items()
    }
    return ProtocolRow(
        scenario=scenario,
        model=model.name,
        users=len(cold_users),
        means={name: float(np.nanmean(values)) for name, values in per_user.items()},
        intervals={name: (low, high) for name, (low, high) in bounds.items()},
    )


def measure_queries(
    model: Evaluated, cold_users: list[ColdUser], published: Published, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Metric -> [users], each user's query ranked among itself: by predicted value where the
    training data are rated and the model predicts one, else by its score between given candidates.
    """
    requests = [Request(history=n.pool, profile=n.profile) for n in cold_users]
    asked = [[item_id for item_id, _ in n.rated] for n in cold_users]
    owner = np.repeat(np.arange(len(cold_users)), [len(ids) for ids in asked])
    actual = np.array([value for n in cold_users for _, value in n.rated])
    found: dict[str, np.ndarray] = {}
    if published.train.interactions.has_values and isinstance(model, Rates):
        predicted = np.clip(
            np.concatenate(model.rate(requests, asked)), *published.train.interactions.value_range
        )
        found["mae"] = metrics.mae(predicted, actual, owner, len(cold_users))
    else:
        few = [replace(r, allow=ids) for r, ids in zip(requests, asked, strict=True)]
        scores = model.score(few)
        columns = model.vocabulary.indexes(item_id for ids in asked for item_id in ids)
        predicted = np.where(columns >= 0, scores[owner, np.maximum(columns, 0)], -np.inf)
    if published.is_graded:
        return found | {
            f"ndcg@{k}": metrics.graded_ndcg(predicted, actual, owner, len(cold_users), k, rng)
            for k in published.cuts
        }
    return found | tanp_scores(predicted, actual, owner, len(cold_users), published.cuts, rng)


def _rated(data: Dataset, protocol: str) -> pl.DataFrame:
    if not data.interactions.has_values:
        raise BadInput(
            f"the protocol {protocol!r} is about ratings, and {data.name} holds acts without values"
        )
    events = data.interactions
    rated = events.frame.filter(events.acts()["rating"].is_not_null())
    return rated.unique(["user_id", "item_id"], keep="first", maintain_order=True)


def _users(events: pl.DataFrame, between: tuple[int, int], protocol: str) -> np.ndarray:
    users = (
        events.group_by("user_id")
        .len()
        .filter(pl.col("len").is_between(*between))
        .sort(id_order("user_id"))["user_id"]
        .to_numpy()
    )
    if len(users) < 10:
        raise BadInput(
            f"the protocol {protocol!r} takes users with {between[0]} to {between[1]} events; "
            f"there are {len(users)}"
        )
    return users


def _new_items(data: Dataset, events: pl.DataFrame, rng: np.random.Generator) -> pl.Series:
    """The latest fifth of items."""
    items = (
        events.group_by("item_id")
        .agg(pl.col("timestamp").min().alias("came"))
        .sort(id_order("item_id"))
    )
    if "year" in data.items.frame.columns:
        years = data.items.frame.select(
            "item_id", pl.col("year").cast(pl.Float64, strict=False).alias("year")
        )
        items = items.join(years, on="item_id", how="left", maintain_order="left").with_columns(
            pl.coalesce("year", pl.lit(0.0)).alias("came")
        )
    elif not data.interactions.has_time:
        items = items.with_columns(pl.Series("came", rng.random(items.height)))
    return items.sort("came", maintain_order=True).tail(int(NEW_SHARE * items.height))["item_id"]


def _tasks(
    data: Dataset, events: pl.DataFrame, shown_of: Callable[[int], int], rng: np.random.Generator
) -> list[ColdUser]:
    """Each user's events in a random order: the first so many shown, the rest asked."""
    events = events.with_columns(pl.Series("draw", rng.random(events.height))).sort(
        *id_order("user_id"), "draw"
    )
    rows = events.group_by("user_id", maintain_order=True).agg(
        pl.col("item_id"), pl.col("value").cast(pl.Float64)
    )
    threshold, tasks = data.interactions.relevant_from, []
    for (user_id, items, values), profile in zip(
        rows.iter_rows(), data.users.of_users(rows["user_id"]), strict=True
    ):
        pairs: list[tuple[str, float]] = list(zip(items, values, strict=True))
        shown = shown_of(len(pairs))
        tasks.append(
            ColdUser(
                user_id=user_id,
                profile=profile,
                pool=pairs[:shown],
                query=pairs[shown:],
                relevant=[item_id for item_id, value in pairs[shown:] if value >= threshold],
            )
        )
    return tasks


def _liking(cold_users: list[ColdUser]) -> list[ColdUser]:
    """Those who like something asked: others cannot tell a good ranking from a bad one."""
    return [n for n in cold_users if n.relevant]


def _without_order(data: Dataset, events: pl.DataFrame, rng: np.random.Generator) -> Dataset:
    """Training events in a random order, as both papers draw supports at random."""
    shuffled = events.with_columns(
        pl.Series("timestamp", rng.permutation(events.height).astype(np.float64))
    )
    interactions = Interactions(
        frame=shuffled.sort(*id_order("user_id"), "timestamp"), has_values=True, has_time=False
    )
    return replace(data, interactions=interactions)


def as_json(rows: Sequence[ProtocolRow]) -> list[dict[str, Any]]:
    """Rows as plain values."""
    return [
        {
            "scenario": row.scenario,
            "model": row.model,
            "users": row.users,
            "metrics": {
                name: {"mean": mean, "low": row.intervals[name][0], "high": row.intervals[name][1]}
                for name, mean in row.means.items()
            },
        }
        for row in rows
    ]

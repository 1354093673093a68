"""What a fit will cost and what it will thin, from counted work and before any of it.

Work is counted from the data: pairs of events, tasks, scores. Seconds come from rates measured on
one core (docs/scale.md); a busy or older machine takes longer. Steps whose cost depends on how soon
they converge are named, not guessed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from metarec.data.cold_users import Horizon, choose_horizon, items_of_users
from metarec.data.dataset import Dataset
from metarec.data.places import degrees_of
from metarec.data.schema import Catalog
from metarec.features.behaviour import pools_of
from metarec.features.context_columns import ContextColumns
from metarec.features.text import item_text
from metarec.models import gram
from metarec.models.alike import MAX_COMPARED
from metarec.models.item_knn import ItemKnnConfig
from metarec.models.markov import choosing
from metarec.models.markov_counts import MarkovConfig, window_of
from metarec.models.registry import taught_by
from metarec.models.support_ridge import SupportRidgeConfig
from metarec.recommendation.configs import config_in, config_of
from metarec.recommendation.gate_config import GateConfig
from metarec.recommendation.held_out_tasks import SCORES_AT_ONCE, users_at_once
from metarec.recommendation.lessons import held_out_of, is_asked_once
from metarec.recommendation.settings import Settings

COUNTED = frozenset({"profile", "item_knn", "markov", "content", "support_ridge"})
"""Models whose work is known beforehand."""
BASE_MIB, EVENT_BYTES, ITEM_BYTES, RATING_BYTES = 520.0, 220.0, 2200.0, 400.0
"""Memory of the program itself, of an event while histories are cut, of an item's columns, and of
a rating while the rating model is rehearsed.
"""
TASK_BYTES = 45_000.0
"""Memory of a task of the gate: its candidates, and what training keeps of them for a moment."""
START_SECONDS, EVENT_SECONDS = 3.5, 2.6e-6
"""To import what fits, put the model together and save it; to read an event."""
PAIR_SECONDS, ITEM_SECONDS = 2.5e-8, 3e-5
"""To compare a pair of events, to choose an item's neighbors."""
FOLLOWER_SECONDS, ALIKE_SECONDS, CHOICE_SECONDS = 3e-7, 2.3e-8, 5e-4
"""To count a pair of events that follow each other, to compare the texts of two items, and to ask a
held-out user for the constants of the Markov chain.
"""
TREND_EVENT_SECONDS, TREND_SECONDS = 2.2e-6, 0.3
"""To ask what is on the rise: for each event, and for the users who are asked."""
SAMPLED = 1000
"""Items that are looked at for texts."""
ENTRY_BYTES = 12.0
"""Memory of an entry of what items are chosen with, while the model is put together."""
SCORE_SECONDS, TASK_SECONDS, GATE_SECONDS = 2e-8, 1.5e-4, 0.3
"""A score while the gate learns, a task of the ridge, and the gate for the cube root of its users'
events: it learns in as many steps from few as from many, of lists that grow more slowly than they.
"""
GIVEN_SECONDS, GIVEN_TASK_SECONDS = 0.12, 3e-3
"""The gate of given candidates at one support size, and for a user whose ratings are predicted."""
RATING_SECONDS, PROFILED = 2.4e-5, 3.0
"""To rehearse the prediction of a rating, and how much more that takes where users have a
profile."""


@dataclass(frozen=True, kw_only=True)
class FitPlan:
    """A fit before it starts."""

    events: int
    users: int
    items: int
    seconds: dict[str, float]
    """CPU seconds of each step whose work is counted."""
    uncounted: list[str]
    """Models whose cost is not known beforehand."""
    texts: bool
    """Whether a pretrained encoder may have texts to read, which takes time once."""
    memory_mib: float
    """Peak of the whole process."""
    processes: int
    """How many fit at once, each with this peak."""
    thinned: list[str]
    """What will be left out for size; empty where nothing is."""

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values."""
        return {**asdict(self), "seconds_total": round(sum(self.seconds.values()), 1)}

    def lines(self) -> list[str]:
        """The plan in words."""
        total = sum(self.seconds.values())
        steps = ", ".join(f"{name} {cpu:,.0f}" for name, cpu in self.seconds.items())
        open_ = [*self.uncounted, *["texts (once)"] * self.texts]
        beside = f"; not counted: {', '.join(open_)}" if open_ else ""
        return [
            f"Fit: {self.events:,} events of {self.users:,} users on {self.items:,} items",
            f"  CPU about {total:,.0f} s of one core ({steps}){beside}",
            f"  memory about {self.memory_mib / 1024:.1f} GiB"
            + (f" in each of {self.processes} processes" if self.processes > 1 else "")
            + (" and what these models need" if self.uncounted else ""),
            *(f"  thinned: {what}" for what in self.thinned or ["nothing"]),
        ]


def plan_fit(data: Dataset, settings: Settings, processes: int = 1) -> FitPlan:
    """What fitting `data` with `settings` in so many processes will take."""
    lengths = items_of_users(data.interactions)["len"].to_numpy().astype(np.int64)
    horizon = choose_horizon(lengths)
    n_items = int(
        pl.concat([data.items.frame["item_id"], data.interactions.frame["item_id"]]).n_unique()
    )
    acting = data.interactions.frame["item_id"].n_unique()
    models = [name for name in settings.parts if name in COUNTED]
    joining = _joining(data)
    knn = config_of("item_knn", settings.models.get("item_knn"))
    ridge = config_of("support_ridge", settings.models.get("support_ridge"))
    assert isinstance(knn, ItemKnnConfig)
    assert isinstance(ridge, SupportRidgeConfig)
    most_tasks = ridge.max_tasks
    chain = config_of("markov", settings.models.get("markov"))
    assert isinstance(chain, MarkovConfig)
    followers = _followers(lengths, chain)
    entries = gram.kept_of(knn.neighbors, acting) * acting + min(followers, chain.kept * acting)
    gate = config_in(settings.models, GateConfig)
    teachers, _ = _teachers(lengths, horizon, n_items, gate)
    return FitPlan(
        events=len(data.interactions),
        users=len(lengths),
        items=n_items,
        seconds=_seconds(
            len(data.interactions),
            lengths,
            horizon,
            n_items,
            models,
            most_tasks,
            followers,
            gate,
            reads_text=settings.encoder != "none",
            has_time=data.interactions.has_time,
            ratings=_ratings(data),
        ),
        texts=settings.encoder != "none" and _has_text(data, settings),
        uncounted=[name for name in (*settings.parts, *joining) if name not in COUNTED],
        processes=processes,
        memory_mib=_memory(len(data.interactions), lengths, n_items, entries, models)
        + TASK_BYTES * teachers * (len(horizon.shots) + 1) / 2**20
        + RATING_BYTES * data.interactions.has_values * len(data.interactions) / 2**20,
        thinned=_thinned(
            lengths,
            horizon,
            n_items,
            settings,
            (gram.kept_of(knn.neighbors, acting), knn.neighbors),
            most_tasks,
        ),
    )


def _joining(data: Dataset) -> tuple[str, ...]:
    """Models that take part since these data can teach them."""
    acting = data.interactions.frame["user_id"].unique().implode()
    friends, searches = data.relations.friends, data.relations.searches
    both = pl.col("user_id").is_in(acting) & pl.col("friend_id").is_in(acting)
    return taught_by(
        friends=not friends.filter(both).is_empty(),
        places=int((~np.isnan(degrees_of(data.items.frame)[:, 0])).sum()) > 1,
        circumstances=bool(ContextColumns.fit(data.interactions).names),
        searches=not searches.filter(pl.col("user_id").is_in(acting)).is_empty(),
    )


def _compared(lengths: np.ndarray) -> np.ndarray:
    """Events of each user that are compared with each other."""
    most = gram.longest_compared(lengths)
    return np.minimum(lengths, most) if most else lengths


def _teachers(
    lengths: np.ndarray, horizon: Horizon, n_items: int, config: GateConfig
) -> tuple[int, int]:
    """How many users teach the gate, and in how many folds."""
    able = int((lengths >= horizon.min_events).sum()) or len(lengths)
    if is_asked_once(able, n_items, config):
        return held_out_of(n_items, config), 1
    return able, min(config.folds, max(2, able))


def _seconds(
    events: int,
    lengths: np.ndarray,
    horizon: Horizon,
    n_items: int,
    models: list[str],
    most_tasks: int,
    followers: int,
    gate: GateConfig,
    *,
    reads_text: bool,
    has_time: bool,
    ratings: float,
) -> dict[str, float]:
    """CPU seconds of each step; every model is fitted once a fold and once more."""
    teachers, folds = _teachers(lengths, horizon, n_items, gate)
    sizes = len(horizon.shots) + 1
    seconds = {"start": START_SECONDS, "read": events * EVENT_SECONDS}
    if "item_knn" in models:
        pairs = float((_compared(lengths).astype(np.float64) ** 2).sum())
        seconds["item_knn"] = (1 + folds) * (PAIR_SECONDS * pairs + ITEM_SECONDS * n_items)
    if "markov" in models:
        compared = float(min(n_items, MAX_COMPARED) ** 2) if reads_text else 0.0
        asked = choosing(len(lengths), n_items, MarkovConfig())
        seconds["markov"] = (1 + folds) * (
            FOLLOWER_SECONDS * followers + ALIKE_SECONDS * compared + CHOICE_SECONDS * asked
        )
    if "support_ridge" in models:
        tasks = min(_tasks(lengths, horizon), most_tasks)
        seconds["support_ridge"] = (1 + folds) * TASK_SECONDS * tasks
    taught = teachers * events / max(len(lengths), 1)
    seconds["gate"] = SCORE_SECONDS * teachers * sizes * n_items * len(
        models
    ) + GATE_SECONDS * taught ** (1 / 3)
    seconds["given"] = GIVEN_SECONDS * sizes + GIVEN_TASK_SECONDS * teachers * (ratings > 0)
    if ratings:
        seconds["ratings"] = RATING_SECONDS * ratings
    if has_time:
        seconds["trend"] = TREND_EVENT_SECONDS * events + TREND_SECONDS
    return {name: round(cpu, 1) for name, cpu in seconds.items()}


def _has_text(data: Dataset, settings: Settings) -> bool:
    some = Catalog(frame=data.items.frame.head(SAMPLED))
    return any(item_text(some, settings.item_template))


def _ratings(data: Dataset) -> float:
    """Ratings that are rehearsed, those of users with a profile as often as these take longer."""
    is_profiled = data.users.frame.width > 1
    rated = len(data.interactions) if data.interactions.has_values else 0
    return rated * (PROFILED if is_profiled else 1.0)


def _followers(lengths: np.ndarray, config: MarkovConfig) -> int:
    """Pairs of events that the Markov chain counts at one recency."""
    steps = np.arange(1, window_of(int(lengths.sum()), config) + 1)
    return int(sum(np.maximum(lengths - step, 0).sum() for step in steps))


def _tasks(lengths: np.ndarray, horizon: Horizon) -> int:
    return int((pools_of(lengths, horizon) < lengths).sum())


def _memory(
    events: int, lengths: np.ndarray, n_items: int, most_entries: int, models: list[str]
) -> float:
    """MiB at the peak."""
    pairs = float((_compared(lengths).astype(np.float64) ** 2).sum())
    entries = min(float(most_entries), pairs) if "item_knn" in models else 0.0
    scores = users_at_once(n_items) * n_items if n_items <= SCORES_AT_ONCE else n_items
    held = (
        events * EVENT_BYTES
        + n_items * ITEM_BYTES
        + ENTRY_BYTES * entries
        + 4.0 * scores * (len(models) + 8)
    )
    return BASE_MIB + held / 2**20


def _thinned(
    lengths: np.ndarray,
    horizon: Horizon,
    n_items: int,
    settings: Settings,
    neighbors: tuple[int, int],
    most_tasks: int,
) -> list[str]:
    """What is left out for size, in words."""
    said = []
    cut = int((lengths - _compared(lengths)).sum())
    counted = [name for name in ("item_knn", "ease") if name in settings.parts]
    if cut and counted:
        said.append(
            f"{' and '.join(counted)} compare the newest {gram.longest_compared(lengths):,} events "
            f"of each user ({cut:,} older ones left out)"
        )
    kept, wanted = neighbors
    if "item_knn" in settings.parts and kept < wanted:
        said.append(f"item_knn keeps {kept:,} neighbors of each item instead of {wanted:,}")
    chain = config_of("markov", settings.models.get("markov"))
    assert isinstance(chain, MarkovConfig)
    window = window_of(int(lengths.sum()), chain)
    if "markov" in settings.parts and window < chain.window:
        said.append(f"markov counts {window} events that follow each instead of {chain.window}")
    tasks = _tasks(lengths, horizon)
    if "support_ridge" in settings.parts and tasks > most_tasks:
        said.append(f"support_ridge learns from {most_tasks:,} of {tasks:,} users")
    able = int((lengths >= horizon.min_events).sum())
    gate = config_in(settings.models, GateConfig)
    teachers, _ = _teachers(lengths, horizon, n_items, gate)
    if 0 < teachers < able:
        said.append(f"the gate learns from {teachers:,} of {able:,} users")
    return said

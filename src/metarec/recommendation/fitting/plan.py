"""Plan of a fit: its cost and what it will thin out, estimated before it starts.

Work is counted from the data: pairs of events, tasks, scores. Seconds come from rates measured on
one core (docs/scale.md); a busy or older machine takes longer. Models whose work cannot be counted
beforehand are listed without an estimate.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import numpy as np
import polars as pl

from metarec.data.cold_users import Horizon, choose_horizon, items_of_users
from metarec.data.dataset import Dataset
from metarec.data.places import degrees_of, is_placed
from metarec.data.schema import Catalog
from metarec.features.behavior import pools_of
from metarec.features.context_columns import ContextColumns
from metarec.features.text import item_text
from metarec.models import gram
from metarec.models.als import AlsConfig
from metarec.models.deep_set.network import DeepSetConfig
from metarec.models.ease.config import EaseConfig
from metarec.models.few_shot.scorer import LearnedConfig
from metarec.models.item_knn import ItemKnnConfig
from metarec.models.markov.alike import MAX_COMPARED
from metarec.models.markov.counts import MarkovConfig, window_of
from metarec.models.markov.model import choosing
from metarec.models.rating.kernel import RatingConfig
from metarec.models.registry import models_for_inputs
from metarec.models.support_ridge.model import SupportRidgeConfig
from metarec.recommendation.configs import config_in
from metarec.recommendation.ensemble.gate_config import GateConfig
from metarec.recommendation.ensemble.held_out_tasks import SCORES_AT_ONCE, users_at_once
from metarec.recommendation.fitting import plan_costs
from metarec.recommendation.fitting.held_out_users import held_out_of, is_asked_once
from metarec.recommendation.settings import PRESETS, Settings

COUNTED = frozenset({*PRESETS["tiny"], *PRESETS["small"]})
"""Models whose work is known beforehand."""
BASE_MIB, EVENT_BYTES, ITEM_BYTES, RATING_BYTES = 340.0, 220.0, 2200.0, 100.0
"""Memory of the program itself; per event while histories are cut; per item for its columns; per
rating while the rating head is calibrated on held-out users.
"""
CANDIDATES, CANDIDATE_BYTES = 700, 12.0
"""Candidates of a task of the gate; memory per candidate and model: its share of evidence, and what
training keeps of it temporarily.
"""
START_SECONDS, EVENT_SECONDS = 2.5, 2.6e-6
"""Seconds to import libraries, assemble the model and save it; to read an event."""
PAIR_SECONDS, ITEM_SECONDS = 1.2e-8, 5e-5
"""Seconds to compare a pair of events; to select an item's neighbors."""
FOLLOWER_SECONDS, ALIKE_SECONDS, CHOICE_SECONDS = 5.5e-8, 8e-9, 2.3e-3
"""Seconds to count a pair of events that follow each other; to compare the texts of two items; to
score a held-out user for choosing the constants of the Markov chain.
"""
TREND_EVENT_SECONDS, TREND_SECONDS = 2.2e-6, 0.3
"""Seconds to fit the trend of popularity: per event; for its sample of users."""
ENTRY_BYTES, REGRESSED_BYTES = 12.0, 20.0
"""Memory per entry of the matrix from which neighbors are selected; per pair of items that EASE
regresses on each other, while the model is assembled.
"""
SCORE_SECONDS, TASK_SECONDS, GATE_SECONDS = 1.4e-8, 1.5e-4, 0.09
"""Seconds per score while the gate learns; per task of the support ridge; for training the gate,
per cube root of its users' events: the number of steps is the same for few and many users, and
candidate lists grow more slowly than the number of users.
"""
GIVEN_SECONDS, GIVEN_TASK_SECONDS = 0.12, 3e-3
"""Seconds to train the gates for given candidates, per support size; per user whose ratings are
predicted.
"""
RATING_SECONDS, REHEARSED_SECONDS, PROFILED = 1.5e-6, 1.5e-5, 2.0
"""Seconds per rating to fit the rating head once; per held-out rating to calibrate it; the factor
by which both grow where users have profiles.
"""
SAMPLED = 1000
"""Number of items that are checked for texts."""


@dataclass(frozen=True, kw_only=True)
class FitPlan:
    """Estimates for a fit, before it starts."""

    events: int
    users: int
    items: int
    seconds: dict[str, float]
    """CPU seconds of each step whose work is counted, at a pace of 1."""
    uncounted: list[str]
    """Models whose cost is not known beforehand."""
    texts: bool
    """Whether a pretrained encoder may have to encode texts, a cost paid once."""
    memory_mib: float
    """Peak memory of the whole process, MiB."""
    processes: int
    """Number of processes that fit in parallel, each with this peak."""
    thinned: list[str]
    """Sentences on what will be left out because of its size; empty where nothing is."""

    def at(self, pace: float) -> FitPlan:
        """Return the plan for a machine where all takes `pace` times as long, see `runtime.pace`.

        Raises:
            ValueError: if `pace` is not above 0.
        """
        if not pace > 0:
            raise ValueError(f"a pace is above 0, got {pace}")
        return replace(
            self, seconds={name: round(cpu * pace, 1) for name, cpu in self.seconds.items()}
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values."""
        return {**asdict(self), "seconds_total": round(sum(self.seconds.values()), 1)}

    def lines(self) -> list[str]:
        """Return the plan as lines of text."""
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
    """Estimate the cost of fitting `data` with `settings` in `processes` processes.

    Raises:
        BadInput: if the data's file names an unknown model or an unknown setting of one.
    """
    settings = settings.over(data.models)
    work = _Work.of(data, settings)
    return FitPlan(
        events=work.events,
        users=len(work.lengths),
        items=work.n_items,
        seconds=_seconds(work, _ratings(data, settings), has_time=data.interactions.has_time),
        texts=settings.encoder != "none" and _has_text(data, settings),
        uncounted=[n for n in (*settings.scorers, *_joining(data)) if n not in COUNTED],
        processes=processes,
        memory_mib=_memory(work, has_values=data.interactions.has_values),
        thinned=_thinned(work),
    )


@dataclass(frozen=True, kw_only=True)
class _Work:
    """Amount of work: counts of the data, and the settings that bound the work."""

    settings: Settings
    events: int
    """Number of events."""
    lengths: np.ndarray
    """[U] number of items of each user."""
    horizon: Horizon
    n_items: int
    """Number of items of the catalog, with and without events."""
    acting: int
    """Number of items with events."""
    head: int
    """Number of items that EASE regresses on each other; 0 without EASE."""

    @classmethod
    def of(cls, data: Dataset, settings: Settings) -> _Work:
        lengths = items_of_users(data.interactions)["len"].to_numpy().astype(np.int64)
        acts = data.interactions.frame.select("user_id", "item_id")
        acting, ridge = acts["item_id"], config_in(settings.models, EaseConfig)
        has_time, fits_ease = data.interactions.has_time, "ease" in settings.scorers
        return cls(
            settings=settings,
            events=len(data.interactions),
            lengths=lengths,
            horizon=choose_horizon(lengths),
            n_items=int(pl.concat([data.items.frame["item_id"], acting]).n_unique()),
            acting=acting.n_unique(),
            head=plan_costs.head_of(acts.unique(), ridge, has_time=has_time) if fits_ease else 0,
        )

    @property
    def models(self) -> list[str]:
        """Models whose work is known beforehand."""
        return [name for name in self.settings.scorers if name in COUNTED]

    @property
    def knn(self) -> ItemKnnConfig:
        """Config of item k-NN."""
        return config_in(self.settings.models, ItemKnnConfig)

    @property
    def kept(self) -> int:
        """Number of neighbors that item k-NN keeps for each item."""
        return gram.kept_of(self.knn.neighbors, self.acting)

    @property
    def chain(self) -> MarkovConfig:
        """Config of the Markov chain."""
        return config_in(self.settings.models, MarkovConfig)

    @property
    def window(self) -> int:
        """Number of following events that the Markov chain counts for each event."""
        return window_of(int(self.lengths.sum()), self.chain)

    @property
    def followers(self) -> int:
        """Number of pairs of following events that the Markov chain counts at one recency."""
        steps = np.arange(1, self.window + 1)
        return int(sum(np.maximum(self.lengths - step, 0).sum() for step in steps))

    @property
    def compared(self) -> np.ndarray:
        """[U] number of events of each user that are compared with each other."""
        n_compared = gram.longest_compared(self.lengths)
        return np.minimum(self.lengths, n_compared) if n_compared else self.lengths

    @property
    def pairs(self) -> float:
        """Number of pairs of events that are compared."""
        return float((self.compared.astype(np.float64) ** 2).sum())

    @property
    def tasks(self) -> int:
        """Number of users with events after their support, who can be tasks."""
        return int((pools_of(self.lengths, self.horizon) < self.lengths).sum())

    @property
    def most_tasks(self) -> int:
        """Maximum number of tasks of the support ridge."""
        return config_in(self.settings.models, SupportRidgeConfig).max_tasks

    @property
    def able(self) -> int:
        """Number of users with enough events to teach the gate."""
        return int((self.lengths >= self.horizon.min_events).sum())

    @property
    def teachers(self) -> tuple[int, int]:
        """Number of users who teach the gate, and the number of folds."""
        able, gate = self.able or len(self.lengths), config_in(self.settings.models, GateConfig)
        if is_asked_once(able, self.n_items, gate):
            return held_out_of(self.n_items, gate), 1
        return able, min(gate.folds, max(2, able))

    @property
    def sizes(self) -> int:
        """Number of support sizes at which the gate learns."""
        return len(self.horizon.support_sizes) + 1


def _joining(data: Dataset) -> tuple[str, ...]:
    """Return the models that take part because these data can teach them."""
    acting = data.interactions.frame["user_id"].unique().implode()
    friends, searches = data.relations.friends, data.relations.searches
    both = pl.col("user_id").is_in(acting) & pl.col("friend_id").is_in(acting)
    return models_for_inputs(
        friends=not friends.filter(both).is_empty(),
        places=int(is_placed(degrees_of(data.items.frame)).sum()) > 1,
        circumstances=bool(ContextColumns.fit(data.interactions).names),
        searches=not searches.filter(pl.col("user_id").is_in(acting)).is_empty(),
    )


def _has_text(data: Dataset, settings: Settings) -> bool:
    some = Catalog(frame=data.items.frame.head(SAMPLED))
    return any(item_text(some, settings.item_template))


def _ratings(data: Dataset, settings: Settings) -> float:
    """CPU seconds of the rating head, 0 without ratings."""
    rated = len(data.interactions) if data.interactions.has_values else 0
    config = config_in(settings.models, RatingConfig)
    fits = 2 if rated > config.few_events else 1 + config.folds
    seconds = RATING_SECONDS * rated * fits
    seconds += REHEARSED_SECONDS * min(rated, config.held_out_ratings)
    return seconds * (PROFILED if data.users.frame.width > 1 else 1.0)


def _seconds(work: _Work, ratings: float, *, has_time: bool) -> dict[str, float]:
    """CPU seconds of each step; every model is fitted once per fold and once on all users."""
    (teachers, folds), models, n_items = work.teachers, work.models, work.n_items
    seconds = {"start": START_SECONDS, "read": work.events * EVENT_SECONDS}
    if "item_knn" in models:
        seconds["item_knn"] = (1 + folds) * (PAIR_SECONDS * work.pairs + ITEM_SECONDS * n_items)
    if "markov" in models:
        reads_text = work.settings.encoder != "none"
        compared = float(min(n_items, MAX_COMPARED) ** 2) if reads_text else 0.0
        held_out = choosing(len(work.lengths), n_items, work.chain)
        # One fit more, on which all others' constants are chosen; texts are compared once
        counted = (2 + folds) * FOLLOWER_SECONDS * work.followers
        seconds["markov"] = CHOICE_SECONDS * held_out + ALIKE_SECONDS * compared + counted
    if "support_ridge" in models:
        seconds["support_ridge"] = (1 + folds) * TASK_SECONDS * min(work.tasks, work.most_tasks)
    costly = _costly(work)
    seconds |= {name: (1 + folds) * costly[name] for name in models if name in costly}
    scores = teachers * work.sizes * n_items * len(models)
    taught = teachers * work.events / max(len(work.lengths), 1)
    seconds["gate"] = SCORE_SECONDS * scores + GATE_SECONDS * taught ** (1 / 3)
    seconds["given"] = GIVEN_SECONDS * work.sizes + GIVEN_TASK_SECONDS * teachers * (ratings > 0)
    if ratings:
        seconds["ratings"] = ratings
    if has_time:
        seconds["trend"] = TREND_EVENT_SECONDS * work.events + TREND_SECONDS
    return {name: round(cpu, 1) for name, cpu in seconds.items()}


def _costly(work: _Work) -> dict[str, float]:
    """CPU seconds of one fit of each model that the preset `small` adds to those of `tiny`."""
    models, n_items, n_users = work.settings.models, work.n_items, len(work.lengths)
    pool, events = work.horizon.pool, float(work.lengths.sum())
    learned = cast(LearnedConfig, models.get("r2d2") or LearnedConfig.of_method("r2d2"))
    return {
        "ease": plan_costs.ease(
            config_in(models, EaseConfig),
            pool=pool,
            head=work.head,
            entries=min(work.pairs, float(work.acting) ** 2),
            pairs=work.pairs,
        ),
        "als": plan_costs.als(config_in(models, AlsConfig), events=events, rows=n_users + n_items),
        "deep_set": plan_costs.deep_set(
            config_in(models, DeepSetConfig),
            users=n_users,
            pool=pool,
            n_items=n_items,
            later=float(np.maximum(work.lengths - pool, 0).mean()) if n_users else 0.0,
        ),
        "r2d2": plan_costs.learned(learned, pool=pool, n_items=n_items),
    }


def _memory(work: _Work, *, has_values: bool) -> float:
    """Peak memory, MiB."""
    followers = min(work.followers, work.chain.kept * work.acting)
    most_entries = work.kept * work.acting + followers
    entries = min(float(most_entries), work.pairs) if "item_knn" in work.models else 0.0
    n_items, gate_tasks = work.n_items, work.teachers[0] * work.sizes
    scores = users_at_once(n_items) * n_items if n_items <= SCORES_AT_ONCE else n_items
    held = (
        work.events * EVENT_BYTES
        + n_items * ITEM_BYTES
        + ENTRY_BYTES * entries
        + REGRESSED_BYTES * work.head**2
        + 4.0 * scores * (len(work.models) + 8)
        + CANDIDATE_BYTES * min(n_items, CANDIDATES) * len(work.models) * gate_tasks
        + RATING_BYTES * has_values * work.events
    )
    return BASE_MIB + held / 2**20


def _thinned(work: _Work) -> list[str]:
    """Sentences on what is left out because of its size."""
    notes, parts, neighbors = [], work.settings.scorers, work.knn.neighbors
    cut = int((work.lengths - work.compared).sum())
    counted = [name for name in ("item_knn", "ease") if name in parts]
    if cut and counted:
        n_compared = gram.longest_compared(work.lengths)
        notes.append(
            f"{' and '.join(counted)} compare the newest {n_compared:,} events of each user "
            f"({cut:,} older ones left out)"
        )
    if "item_knn" in parts and work.kept < neighbors:
        notes.append(
            f"item_knn keeps {work.kept:,} neighbors of each item instead of {neighbors:,}"
        )
    if "markov" in parts and work.window < work.chain.window:
        notes.append(
            f"markov counts {work.window} events that follow each instead of {work.chain.window}"
        )
    if "support_ridge" in parts and work.tasks > work.most_tasks:
        notes.append(f"support_ridge learns from {work.most_tasks:,} of {work.tasks:,} users")
    teachers, _ = work.teachers
    if 0 < teachers < work.able:
        notes.append(f"the gate learns from {teachers:,} of {work.able:,} users")
    return notes

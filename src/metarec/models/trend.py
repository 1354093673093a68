"""What is on the rise: how much more often an item is taken lately than over all time.

Events fade with a half-life, so that last month's fashion does not outrank this week's; what an
item's content says of its category's trend fills in where events are few, new items included. How
fast events fade, and what that is worth beside popularity and item k-NN, is chosen on training
users alone: everything before some moment is counted, and users are asked what they took after it.
Where that gains nothing, or times are no common clock, there is no trend. Whoever asks after the
end of training is told the trend of its end. For moments within training, where popularity knows
what came later and the trend does not, it is kept only where users of those moments gain by it.

Items' age and drift are what Ji et al. 2020, "A re-visit of the popularity baseline in recommender
systems", arXiv:2005.13829, find missing in popularity counted over all time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from metarec.data.events.times import MIN_EPOCH
from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.base import EventsConfig, event_weights
from metarec.models.config import setting
from metarec.models.ridge import ridge, with_one
from metarec.runtime.gains import ndcg_of_scores

MAX_CELLS = 10_000_000
"""Scores held while choosing, over users and items."""
SECONDS_A_DAY = 86_400.0
"""Unit."""


@dataclass(frozen=True, kw_only=True)
class TrendConfig(EventsConfig):
    """Hyper-parameters of the trend (`models.trend`)."""

    half_lives: tuple[float, ...] = setting((1 / 400, 1 / 100, 1 / 25, 1 / 8), above=0)
    """Half-lives that are tried, as shares of the time that the events span (above 0)."""
    dampings: tuple[float, ...] = setting((3.0, 0.3), above=0)
    """Faded events' worth of pull towards what content says that are tried (above 0)."""
    weights: tuple[float, ...] = setting((0.5, 1.0, 2.0), above=0)
    """Weights that are tried (above 0); at 1 faded popularity takes the place of popularity."""
    moments: int = setting(24, least=1, tried=(4, 96))
    """Moments at which the trend is kept, with the same number of events between them (1 or
    more).
    """
    content_regularization: float = setting(30.0, above=0, tried=(3, 300))
    """Pull of what content says of a trend towards nothing (above 0)."""
    cuts: tuple[float, ...] = setting((0.6, 0.8), above=0, below=1)
    """Shares of the events before the moments after which users are asked (between 0 and 1),
    ascending.
    """
    max_users: int = setting(200, least=1)
    """Users asked after each moment at most (1 or more)."""
    min_users: int = setting(30, least=2)
    """Users asked in all at least (2 or more)."""
    knn_shrinkage: float = setting(4.0, least=0)
    """Added to the norm of an item's events in the item k-NN that a trend is tried beside (0 or
    more).
    """
    knn_smoothing: float = setting(0.3, above=0)
    """Share of popularity at which that item k-NN starts to count (above 0)."""
    min_t: float = setting(3.0, least=0)
    """A trend is kept from this t statistic of its gain in NDCG over held-out users on (0 or
    more).
    """
    ndcg_places: int = setting(10, least=1)
    """Places of that NDCG (1 or more)."""

    @property
    def tried(self) -> list[tuple[float, float, float]]:
        """Half-lives, dampings and weights with each other."""
        return [*product(self.half_lives, self.dampings, self.weights)]


@dataclass(frozen=True, kw_only=True)
class Trend:
    """An addend of the log-score for users of whom it is known when they ask."""

    moments: np.ndarray
    """[G] float64 seconds, ascending, the end of training the last, or the only one."""
    lifts: np.ndarray
    """[G, N] float32 log of faded popularity over popularity, counted before each moment."""
    from_content: np.ndarray
    """[C + 1, G] float32 what content columns and 1 say of a lift."""
    half_life: float
    """Seconds after which an event counts half."""
    weight: float

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: TrendConfig | None = None
    ) -> Trend | None:
        """The trend at several moments; None where none is found or worth anything."""
        if not has_clock(behavior.whole):
            return None
        config = config or TrendConfig()
        chosen = _chosen(behavior, rng, config)
        if chosen is None:
            return None
        half_life, damping, weight = chosen
        times = np.sort(behavior.whole.times)
        moments = np.unique(np.quantile(times, np.linspace(0, 1, config.moments + 1)[1:]))
        if not _pays_within(behavior, moments, chosen, rng, config):
            moments = moments[-1:]
        lifts, from_content = _lifts(behavior, moments, half_life, damping, config)
        return cls(
            moments=moments,
            lifts=lifts,
            from_content=from_content,
            half_life=half_life,
            weight=weight,
        )

    @property
    def note(self) -> str:
        """What was found."""
        days = self.half_life / SECONDS_A_DAY
        return f"trend: events count half after {days:.3g} days, weight {self.weight:g}"

    def part(self, at: Float[np.ndarray, "users"]) -> Float[np.ndarray, "users items"]:
        """[B, N] float32 addends for users who ask at these seconds; 0 where that is unknown or
        before the first moment.
        """
        found = np.zeros((len(at), self.lifts.shape[1]), np.float32)
        self.add(at, found)
        return found

    def add(self, at: Float[np.ndarray, "users"], out: Float[np.ndarray, "users items"]) -> None:
        """Add `part` to scores."""
        moment = self._moment(at)
        rows = np.flatnonzero(moment >= 0)
        if len(rows):
            out[rows] += np.float32(self.weight) * self.lifts[moment[rows]]

    def part_of(
        self, at: Float[np.ndarray, "users"], items: Int[np.ndarray, "some"]
    ) -> Float[np.ndarray, "users some"]:
        """[B, I] the same of some items."""
        found, moment = np.zeros((len(at), len(items)), np.float32), self._moment(at)
        rows = np.flatnonzero(moment >= 0)
        found[rows] = np.float32(self.weight) * self.lifts[moment[rows, None], items]
        return found

    def _moment(self, at: np.ndarray) -> np.ndarray:
        """[B] place of the last moment before each user asks; -1 where there is none."""
        return np.searchsorted(self.moments, np.where(np.isnan(at), -np.inf, at), "right") - 1

    def with_content(self, content: Float[np.ndarray, "items columns"]) -> Trend:
        """New items rise as their content does."""
        new = with_one(content[self.lifts.shape[1] :].astype(np.float64)) @ self.from_content
        return replace(self, lifts=np.concatenate([self.lifts, new.T.astype(np.float32)], axis=1))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Everything learned."""
        return {
            "moments": self.moments,
            "lifts": self.lifts,
            "from_content": self.from_content,
            "half_life": np.array([self.half_life]),
            "weight": np.array([self.weight]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Trend:
        """From `arrays()`."""
        return cls(
            moments=arrays["moments"],
            lifts=arrays["lifts"],
            from_content=arrays["from_content"],
            half_life=float(arrays["half_life"][0]),
            weight=float(arrays["weight"][0]),
        )


def has_clock(histories: Histories) -> bool:
    """Whether all times are moments of one clock, neither unknown nor places in an order."""
    times = histories.times
    if not len(times) or np.isnan(times).any():
        return False
    return bool(np.median(times) >= MIN_EPOCH and times.max() > times.min())


def _lifts(
    behavior: Behavior,
    moments: np.ndarray,
    half_life: float,
    damping: float,
    config: TrendConfig,
) -> tuple[np.ndarray, np.ndarray]:
    """[G, N] log lifts at each moment, and [C + 1, G] what content says of them."""
    events = behavior.whole.where(behavior.is_wanted(behavior.whole))
    weights = behavior.weights_of(events.owners) * events.strengths
    total = np.bincount(events.items, weights, behavior.n_items)
    faded = np.stack(
        [
            np.bincount(events.items, _left(weights, events.times, at, half_life), len(total))
            for at in moments
        ]
    )
    even = faded.sum(1, keepdims=True) * total / max(total.sum(), 1e-9)
    rough = np.log((faded + damping) / (even + damping))
    columns, seen = with_one(behavior.content.astype(np.float64)), total > 0
    from_content = ridge(columns[seen], rough[:, seen].T, config.content_regularization)
    told = np.exp(columns @ from_content).T
    lifts = np.log((faded + damping * told) / (even + damping))
    return lifts.astype(np.float32), from_content.astype(np.float32)


def _left(weights: np.ndarray, times: np.ndarray, at: float, half_life: float) -> np.ndarray:
    """[E] what is left of the weight of each event at a moment; nothing is known of later ones."""
    left = at - times
    is_later = left <= 0
    left /= -half_life
    np.exp2(left, out=left)
    left[is_later] = 0.0
    left *= weights
    return np.asarray(left)


def _chosen(
    behavior: Behavior, rng: np.random.Generator, config: TrendConfig
) -> tuple[float, float, float] | None:
    """Half-life in seconds, damping and weight; None where no trend gains."""
    whole = behavior.whole
    span = float(whole.times.max() - whole.times.min())
    cuts = np.quantile(whole.times, config.cuts)
    ends = [*cuts[1:], np.inf]
    gains = [
        _gains(behavior, cut, end, span, rng, config) for cut, end in zip(cuts, ends, strict=True)
    ]
    found = np.concatenate(gains, axis=1)  # [settings, users]
    if found.shape[1] < config.min_users:
        return None
    means = found.mean(1)
    best = int(means.argmax())
    least = config.min_t * found[best].std() / np.sqrt(found.shape[1])
    if means[best] <= max(least, 1e-9) or any(g.size and g[best].mean() < 0 for g in gains):
        return None
    behind = found[best] - found
    close = behind.mean(1) <= behind.std(1) / np.sqrt(found.shape[1]) + 1e-9
    settings = config.tried
    # Of settings that chance alone may set apart, the one that changes least.
    least_change = min(np.flatnonzero(close), key=lambda row: (settings[row][2], -means[row]))
    share, damping, weight = settings[least_change]
    return share * span, damping, weight


def _gains(
    behavior: Behavior,
    cut: float,
    end: float,
    span: float,
    rng: np.random.Generator,
    config: TrendConfig,
) -> np.ndarray:
    """[settings, users] what each trend gains in NDCG@10 of what users took between two moments,
    by what was known before them.
    """
    whole, n_items = behavior.whole, behavior.n_items
    before = whole.where(whole.times < cut)
    past = replace(behavior, histories=before, whole=before, cut=None, context=None)
    met = np.bincount(before.items, minlength=n_items) > 0
    is_asked = (whole.times >= cut) & (whole.times < end) & behavior.is_wanted(whole)
    asked = whole.where(is_asked & met[whole.items])
    most = min(config.max_users, MAX_CELLS // n_items)
    able = rng.permutation(np.flatnonzero(asked.lengths))[:most]
    if not len(able):
        return np.zeros((len(config.tried), 0))
    base, wanted, gains = _base(past, past.whole.users(able), met, config), asked.users(able), []
    places = config.ndcg_places
    plain = _ndcg(base, wanted, places)
    for share, damping in product(config.half_lives, config.dampings):
        lifts, _ = _lifts(past, np.array([cut]), share * span, damping, config)
        gains += [
            _ndcg(base + np.float32(w) * lifts, wanted, places) - plain for w in config.weights
        ]
    return np.stack(gains)


def _pays_within(
    behavior: Behavior,
    moments: np.ndarray,
    chosen: tuple[float, float, float],
    rng: np.random.Generator,
    config: TrendConfig,
) -> bool:
    """Whether users within training gain by the trend of their moment: asked for the second half of
    their items, with everything that other users did known, later acts too.
    """
    (half_life, damping, weight), whole = chosen, behavior.whole
    most = min(config.max_users, MAX_CELLS // behavior.n_items)
    able = rng.permutation(np.flatnonzero(whole.lengths >= 2))[:most]
    is_asked = np.isin(whole.owners, able)
    place = np.arange(len(whole.items)) - whole.offsets[whole.owners]
    is_shown = is_asked & (place < whole.lengths[whole.owners] // 2)
    others = whole.where(~is_asked)
    past = replace(behavior, histories=others, whole=others, cut=None, context=None)
    met = np.bincount(others.items, minlength=behavior.n_items) > 0
    is_wanted = is_asked & ~is_shown & behavior.is_wanted(whole) & met[whole.items]
    support, wanted = whole.where(is_shown).users(able), whole.where(is_wanted).users(able)
    told = np.flatnonzero(wanted.lengths)
    if len(told) < config.min_users:
        return False
    support, wanted = support.users(told), wanted.users(told)
    base, at = _base(past, support, met, config), support.times[support.offsets[1:] - 1]
    lifts, _ = _lifts(past, moments, half_life, damping, config)
    lifts = np.concatenate([lifts, np.zeros((1, lifts.shape[1]), np.float32)])
    told_lifts = lifts[np.searchsorted(moments, at, "right") - 1]
    gains = _ndcg(base + np.float32(weight) * told_lifts, wanted, config.ndcg_places)
    gains -= _ndcg(base, wanted, config.ndcg_places)
    return bool(gains.mean() > max(config.min_t * gains.std() / np.sqrt(len(gains)), 1e-9))


def _base(past: Behavior, support: Histories, met: np.ndarray, config: TrendConfig) -> np.ndarray:
    """[B, N] log-scores of popularity and item k-NN; what is known or unmet comes last."""
    counts = np.bincount(past.whole.items, past.whole.strengths, past.n_items) + 0.5
    popularity = counts / counts.sum()
    events = past.whole.matrix(past.n_items, event_weights(past.whole, past.relevant_from, config))
    norms = np.sqrt(np.asarray(events.power(2).sum(0)).ravel())
    rarity = sp.diags(1.0 / (norms + config.knn_shrinkage))
    found = (support.matrix(past.n_items) @ rarity @ events.T @ events @ rarity).toarray()
    found /= np.maximum(found.sum(1, keepdims=True), 1e-9)
    scores = np.log(popularity) + np.log1p(found / (config.knn_smoothing * popularity))
    scores[:, ~met] = -np.inf
    scores[support.owners, support.items] = -np.inf
    return np.asarray(scores, np.float32)


def _ndcg(scores: np.ndarray, wanted: Histories, places: int) -> np.ndarray:
    """[B] NDCG."""
    is_wanted = np.zeros(scores.shape, bool)
    is_wanted[wanted.owners, wanted.items] = True
    return ndcg_of_scores(scores, is_wanted, places)

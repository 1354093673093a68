"""Trend: the current popularity of an item relative to its popularity over all time.

Events fade with a half-life, so that last month's fashion does not outrank this week's. A
regression on content fills in where events are few, new items included. The half-life and the
weight of the trend beside popularity and item k-NN are chosen on training users alone: everything
before a cut is counted, and what users took after it is predicted. There is no trend where none
gains or where times come from no common clock. Requests after the end of training get the trend of
its end. For moments within training, where popularity includes later events and the trend does not,
the trend is kept only if users of those moments gain by it.

Ji et al. 2020, "A re-visit of the popularity baseline in recommender systems", arXiv:2005.13829,
name items' age and drift as what popularity over all time misses.
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
"""Bound: scores (users x items) held while the trend is chosen."""
SECONDS_A_DAY = 86_400.0
"""Seconds in a day."""


@dataclass(frozen=True, kw_only=True)
class TrendConfig(EventsConfig):
    """Hyper-parameters of the trend (`models.trend`)."""

    half_lives: tuple[float, ...] = setting((1 / 400, 1 / 100, 1 / 25, 1 / 8), above=0)
    """Half-lives that are tried, as fractions of the time span of all events (above 0)."""
    dampings: tuple[float, ...] = setting((3.0, 0.3), above=0)
    """Pseudo-counts of faded events that are tried, which shrink a lift towards its prediction from
    content (above 0).
    """
    weights: tuple[float, ...] = setting((0.5, 1.0, 2.0), above=0)
    """Weights of the trend that are tried (above 0); at 1 faded popularity replaces popularity."""
    moments: int = setting(24, at_least=1, search_range=(4, 96))
    """Number of moments at which the trend is stored, with equally many events between them (1 or
    more).
    """
    content_regularization: float = setting(30.0, above=0, search_range=(3, 300))
    """L2 penalty of the prediction of lifts from content (above 0)."""
    cuts: tuple[float, ...] = setting((0.6, 0.8), above=0, below=1)
    """Quantiles of the event times that cut past from future when the trend is chosen (between 0
    and 1), ascending.
    """
    max_users: int = setting(200, at_least=1)
    """Users evaluated after each cut, at most (1 or more)."""
    min_users: int = setting(30, at_least=2)
    """Smallest number of users evaluated, after all cuts together (2 or more); with fewer there is
    no trend.
    """
    knn_shrinkage: float = setting(4.0, at_least=0)
    """Added to the norm of an item's events in the item k-NN beside which trends are tried (0 or
    more).
    """
    knn_smoothing: float = setting(0.3, above=0)
    """Smoothing of that item k-NN (above 0): evidence of this multiple of an item's popularity adds
    log 2 to its score.
    """
    min_t: float = setting(3.0, at_least=0)
    """Smallest t statistic of the gain in NDCG over held-out users at which a trend is kept (0 or
    more).
    """
    ndcg_places: int = setting(10, at_least=1)
    """Length of the list in that NDCG (1 or more)."""

    @property
    def tried(self) -> list[tuple[float, float, float]]:
        """All combinations of half-life, damping and weight."""
        return [*product(self.half_lives, self.dampings, self.weights)]


@dataclass(frozen=True, kw_only=True)
class Trend:
    """Trend of popularity, added to the log-score where the time of the request is known."""

    moments: np.ndarray
    """[G] float64 seconds, ascending; the last, or only, one is the end of training."""
    lifts: np.ndarray
    """[G, N] float32 log ratio of faded popularity to popularity, from the events before each
    moment.
    """
    from_content: np.ndarray
    """[C + 1, G] float32 weights that predict log lifts from content and a constant."""
    half_life: float
    """Seconds after which an event counts half."""
    weight: float
    """Weight of the lifts in the log-score."""

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: TrendConfig | None = None
    ) -> Trend | None:
        """Choose and compute the trend at several moments; None where no trend gains."""
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
        """Note on the half-life and weight that were chosen."""
        days = self.half_life / SECONDS_A_DAY
        return f"trend: events count half after {days:.3g} days, weight {self.weight:g}"

    def score_component(self, at: Float[np.ndarray, "users"]) -> Float[np.ndarray, "users items"]:
        """[B, N] float32 addends for requests at these times in seconds; 0 where the time is
        unknown or before the first moment.
        """
        component = np.zeros((len(at), self.lifts.shape[1]), np.float32)
        self.add(at, component)
        return component

    def add(self, at: Float[np.ndarray, "users"], out: Float[np.ndarray, "users items"]) -> None:
        """Add `part` to the scores `out` in place."""
        moment = self._moment(at)
        rows = np.flatnonzero(moment >= 0)
        if len(rows):
            out[rows] += np.float32(self.weight) * self.lifts[moment[rows]]

    def part_of(
        self, at: Float[np.ndarray, "users"], items: Int[np.ndarray, "some"]
    ) -> Float[np.ndarray, "users some"]:
        """[B, I] addends for the given items only."""
        component, moment = np.zeros((len(at), len(items)), np.float32), self._moment(at)
        rows = np.flatnonzero(moment >= 0)
        component[rows] = np.float32(self.weight) * self.lifts[moment[rows, None], items]
        return component

    def _moment(self, at: np.ndarray) -> np.ndarray:
        """[B] index of the last moment up to the time of each request; -1 if there is none."""
        return np.searchsorted(self.moments, np.where(np.isnan(at), -np.inf, at), "right") - 1

    def with_content(self, content: Float[np.ndarray, "items columns"]) -> Trend:
        """Return the trend for a larger catalog; lifts of new items are predicted from content."""
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
        """Restore the trend from `arrays()`."""
        return cls(
            moments=arrays["moments"],
            lifts=arrays["lifts"],
            from_content=arrays["from_content"],
            half_life=float(arrays["half_life"][0]),
            weight=float(arrays["weight"][0]),
        )


def has_clock(histories: Histories) -> bool:
    """Whether all times are known timestamps of one clock, not positions in an order."""
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
    """[G, N] log lifts at each moment, and [C + 1, G] weights that predict them from content."""
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
    by_content = np.exp(columns @ from_content).T
    lifts = np.log((faded + damping * by_content) / (even + damping))
    return lifts.astype(np.float32), from_content.astype(np.float32)


def _left(weights: np.ndarray, times: np.ndarray, at: float, half_life: float) -> np.ndarray:
    """[E] weights of the events faded to a moment; 0 for events at or after it."""
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
    histories = behavior.whole
    span = float(histories.times.max() - histories.times.min())
    cuts = np.quantile(histories.times, config.cuts)
    ends = [*cuts[1:], np.inf]
    gains = [
        _gains(behavior, cut, end, span, rng, config) for cut, end in zip(cuts, ends, strict=True)
    ]
    gains_SU = np.concatenate(gains, axis=1)  # [settings, users]
    if gains_SU.shape[1] < config.min_users:
        return None
    means = gains_SU.mean(1)
    best = int(means.argmax())
    least = config.min_t * gains_SU[best].std() / np.sqrt(gains_SU.shape[1])
    if means[best] <= max(least, 1e-9) or any(g.size and g[best].mean() < 0 for g in gains):
        return None
    behind = gains_SU[best] - gains_SU
    close = behind.mean(1) <= behind.std(1) / np.sqrt(gains_SU.shape[1]) + 1e-9
    settings = config.tried
    # Among settings within one standard error of the best, the one of least weight.
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
    """[settings, users] gain in NDCG@`ndcg_places` of each trend setting, for what users took
    between `cut` and `end`, predicted from the events before `cut`.
    """
    histories, n_items = behavior.whole, behavior.n_items
    before = histories.where(histories.times < cut)
    past = replace(behavior, histories=before, whole=before, cut=None, context=None)
    has_events = np.bincount(before.items, minlength=n_items) > 0
    is_asked = (histories.times >= cut) & (histories.times < end) & behavior.is_wanted(histories)
    query = histories.where(is_asked & has_events[histories.items])
    max_users = min(config.max_users, MAX_CELLS // n_items)
    able = rng.permutation(np.flatnonzero(query.lengths))[:max_users]
    if not len(able):
        return np.zeros((len(config.tried), 0))
    base, targets, gains = (
        _base(past, past.whole.users(able), has_events, config),
        query.users(able),
        [],
    )
    places = config.ndcg_places
    plain = _ndcg(base, targets, places)
    for share, damping in product(config.half_lives, config.dampings):
        lifts, _ = _lifts(past, np.array([cut]), share * span, damping, config)
        gains += [
            _ndcg(base + np.float32(w) * lifts, targets, places) - plain for w in config.weights
        ]
    return np.stack(gains)


def _pays_within(
    behavior: Behavior,
    moments: np.ndarray,
    chosen: tuple[float, float, float],
    rng: np.random.Generator,
    config: TrendConfig,
) -> bool:
    """Whether users within training gain by the trend of their moment: the second half of each
    user's items is predicted from the first, with all events of other users known, later ones too.
    """
    (half_life, damping, weight), histories = chosen, behavior.whole
    max_users = min(config.max_users, MAX_CELLS // behavior.n_items)
    able = rng.permutation(np.flatnonzero(histories.lengths >= 2))[:max_users]
    is_asked = np.isin(histories.owners, able)
    place = np.arange(len(histories.items)) - histories.offsets[histories.owners]
    is_shown = is_asked & (place < histories.lengths[histories.owners] // 2)
    others = histories.where(~is_asked)
    past = replace(behavior, histories=others, whole=others, cut=None, context=None)
    has_events = np.bincount(others.items, minlength=behavior.n_items) > 0
    is_wanted = is_asked & ~is_shown & behavior.is_wanted(histories) & has_events[histories.items]
    support, targets = histories.where(is_shown).users(able), histories.where(is_wanted).users(able)
    users = np.flatnonzero(targets.lengths)
    if len(users) < config.min_users:
        return False
    support, targets = support.users(users), targets.users(users)
    base, at = _base(past, support, has_events, config), support.times[support.offsets[1:] - 1]
    lifts, _ = _lifts(past, moments, half_life, damping, config)
    lifts = np.concatenate([lifts, np.zeros((1, lifts.shape[1]), np.float32)])
    lifts_then = lifts[np.searchsorted(moments, at, "right") - 1]
    gains = _ndcg(base + np.float32(weight) * lifts_then, targets, config.ndcg_places)
    gains -= _ndcg(base, targets, config.ndcg_places)
    return bool(gains.mean() > max(config.min_t * gains.std() / np.sqrt(len(gains)), 1e-9))


def _base(
    past: Behavior, support: Histories, has_events: np.ndarray, config: TrendConfig
) -> np.ndarray:
    """[B, N] log-scores of popularity and item k-NN; -inf for items of the support and items
    without events.
    """
    counts = np.bincount(past.whole.items, past.whole.strengths, past.n_items) + 0.5
    popularity = counts / counts.sum()
    events = past.whole.matrix(past.n_items, event_weights(past.whole, past.relevant_from, config))
    norms = np.sqrt(np.asarray(events.power(2).sum(0)).ravel())
    rarity = sp.diags(1.0 / (norms + config.knn_shrinkage))
    evidence = (support.matrix(past.n_items) @ rarity @ events.T @ events @ rarity).toarray()
    evidence /= np.maximum(evidence.sum(1, keepdims=True), 1e-9)
    scores = np.log(popularity) + np.log1p(evidence / (config.knn_smoothing * popularity))
    scores[:, ~has_events] = -np.inf
    scores[support.owners, support.items] = -np.inf
    return np.asarray(scores, np.float32)


def _ndcg(scores: np.ndarray, targets: Histories, places: int) -> np.ndarray:
    """[B] NDCG@`places`."""
    is_wanted = np.zeros(scores.shape, bool)
    is_wanted[targets.owners, targets.items] = True
    return ndcg_of_scores(scores, is_wanted, places)

"""Hyper-parameters of a fit, tuned in bounded time on the learning curve of held-out users.

A tree-structured Parzen estimator (Bergstra et al. 2011, as implemented by optuna) proposes
settings; the defaults are tried first. Half of the held-out users choose, the other half confirm:
the defaults stay unless the winner is better on both halves. Settings of rating prediction are
chosen separately, by its errors, in the same fits.

The reranker of cold items is not tuned here, since held-out users are evaluated on items of the
training events. It chooses its settings on held-out items (`models.cold_items`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from metarec.data.cold_users import ColdUser, ColdUserSplit, split_cold_users
from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput
from metarec.evaluation.interface import Scores
from metarec.evaluation.measure import EvaluationSet, measure
from metarec.evaluation.significance import Difference, paired_difference, resample
from metarec.models.config import ModelConfig
from metarec.recommendation.configs import RATING, config_of
from metarec.runtime.extras import require
from metarec.runtime.progress import Progress, silent
from metarec.runtime.rng import derive

Fit: TypeAlias = "Callable[[Dataset, Mapping[str, ModelConfig]], Scores]"
"""Function (training data, configs) -> a fitted model."""
Configs: TypeAlias = "dict[str, ModelConfig]"
Space: TypeAlias = "dict[tuple[str, str], tuple[float, float]]"
"""(model, setting) -> range searched."""
RANKING, RATINGS = "ranking", "ratings"
CHOOSING = {RANKING: ("ndcg@10", "recall@20"), RATINGS: ("mae", "rmse")}
"""Metrics that choose settings of each kind, averaged as ratios to the defaults, so that neither is
sacrificed for the other. The first of them confirms.
"""
HELD_OUT, MAX_ROWS = 0.15, 500
"""Share of the users that choose (the same share confirms), and the maximum number of each."""
STAGE = "tune"


@dataclass(frozen=True, kw_only=True)
class Winner:
    """The best settings of one kind that were tried."""

    kind: str
    """`ranking` or `ratings`."""
    models: Configs
    gain: float
    """Relative gain over the defaults on the users that choose; 0 where no settings were better."""
    confirmed: Difference | None
    """Difference to the defaults on the users that confirm, mean over numbers of events: NDCG@10,
    or the reduction of the MAE of predicted ratings. None where only the defaults were fitted.
    """

    @property
    def is_better(self) -> bool:
        """Whether the settings are better on both halves of the held-out users."""
        return self.gain > 0 and self.confirmed is not None and self.confirmed.mean > 0

    def sentence(self, fits: int) -> str:
        """Return the outcome as a sentence."""
        what = "tuned" if self.kind == RANKING else "tuned for predicted ratings"
        if self.confirmed is None:
            return f"{what}: no time for a second fit; the defaults stay, give more minutes"
        if self.gain <= 0:
            return f"{what}: {fits} fits, none better than the defaults, which stay"
        sentence = f"{what}: {fits} fits, {self.gain:+.1%} on the users that chose"
        measure = "NDCG@10" if self.kind == RANKING else "less MAE"
        on_others = f"{self.confirmed} {measure} on others"
        if not self.is_better:
            return f"{sentence}, but {on_others}: chance, so the defaults stay"
        return f"{sentence}, {on_others}"

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        difference = self.confirmed
        return {
            "gain": self.gain,
            "confirmed": None
            if difference is None
            else {"mean": difference.mean, "low": difference.low, "high": difference.high},
            "is_taken": self.is_better,
        }


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """Result of a search."""

    models: Configs
    """Configs to fit with; the given ones where nothing better was confirmed."""
    fits: int
    """Number of fits made, that of the defaults included."""
    winners: tuple[Winner, ...]
    """Winners for ranking, and for predicted ratings if the data have ratings."""

    @property
    def is_better(self) -> bool:
        """Whether any winner replaces the defaults."""
        return any(winner.is_better for winner in self.winners)

    @property
    def sentences(self) -> list[str]:
        """The outcomes, a sentence for each kind of settings."""
        return [winner.sentence(self.fits) for winner in self.winners]

    def toml(self) -> list[str]:
        """Return lines for the data's TOML file that fix the settings found."""
        return [
            line
            for name, config in self.models.items()
            if (changed := _changed(name, config))
            for line in (f"[models.{name}]", *(f"{key} = {value}" for key, value in changed))
        ]

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        ranking, *others = self.winners
        return {
            "fits": self.fits,
            **ranking.to_dict(),
            **{winner.kind: winner.to_dict() for winner in others},
            "models": {name: dict(_changed(name, config)) for name, config in self.models.items()},
        }


def check_minutes(minutes: float) -> None:
    """Refuse a time budget for `tune` that is not positive and finite.

    Raises:
        BadInput: if minutes are not above 0.
    """
    if not 0 < minutes < float("inf"):
        raise BadInput(f"--tune takes minutes above 0, got {minutes:g}")


def tune(
    data: Dataset,
    fit: Fit,
    models: Mapping[str, ModelConfig],
    parts: tuple[str, ...],
    *,
    minutes: float,
    seed: int = 0,
    progress: Progress = silent,
) -> Tuned:
    """Search the settings of `parts` for at most `minutes`. A fit under way is not cut short, and
    no fit starts if the longest one so far would exceed the time left.

    Args:
        data: data that the final model will be fitted on.
        fit: function from data and configs to a model.
        models: given configs; a setting that differs from its default is not searched.
        parts: models whose settings are searched.
        minutes: time for all fits, above 0.

    Raises:
        BadInput: if minutes are not above 0, or too few users have enough events to be held out.
        MissingExtra: without optuna.
    """
    check_minutes(minutes)
    clock, evaluate = _Clock(limit=60 * minutes), _Evaluator.of(data, fit, seed)
    default = clock.timed(lambda: evaluate.of_configs(dict(models)))
    searches = [
        _Search.of(kind, _space(models, parts, kind), default, seed) for kind in default.choosing
    ]
    while clock.has_time:
        progress(STAGE, clock.share, _so_far(clock, searches))
        configs = dict(models)
        for search in searches:
            configs |= search.ask(models)
        curve = clock.timed(partial(evaluate.of_configs, configs))
        for search in searches:
            search.tell(curve)
    progress(STAGE, 1.0, _so_far(clock, searches))
    winners = tuple(search.winner(is_alone=clock.fits < 2) for search in searches)
    taken = {name: one for w in winners if w.is_better for name, one in w.models.items()}
    return Tuned(models={**models, **taken}, fits=clock.fits, winners=winners)


def _so_far(clock: _Clock, searches: list[_Search]) -> str:
    gains = ", ".join(f"{search.gain:+.1%}" for search in searches)
    return f"{clock.fits} fits, best {gains}"


def kind_of(name: str) -> str:
    """Return the kind of metric that chooses the settings of a model, or of a component fitted with
    the models: predicted ratings do not change the ranking of the whole catalog.
    """
    return RATINGS if name == RATING else RANKING


def _space(models: Mapping[str, ModelConfig], parts: tuple[str, ...], kind: str) -> Space:
    """Return the search space: settings with a range, unless their value was given."""
    return {
        (name, one.name): one.metadata["search_range"]
        for name in parts
        if kind_of(name) == kind
        for one in fields(config_of(name))
        if one.metadata.get("search_range") is not None
        and (name not in models or getattr(models[name], one.name) == one.default)
    }


def _changed(name: str, config: ModelConfig) -> Iterator[tuple[str, Any]]:
    default = config_of(name)
    for one in fields(config):
        value = getattr(config, one.name)
        if value != getattr(default, one.name):
            yield one.name, value


@dataclass(kw_only=True)
class _Clock:
    """Wall time of the fits so far, seconds."""

    limit: float
    began: float = 0.0
    longest: float = 0.0
    fits: int = 0

    def timed(self, work: Callable[[], _Curve]) -> _Curve:
        """Run `work`, which makes one fit, and record its time."""
        start = time.monotonic()
        self.began = self.began or start
        curve = work()
        self.longest = max(self.longest, time.monotonic() - start)
        self.fits += 1
        return curve

    @property
    def share(self) -> float:
        return min(1.0, (time.monotonic() - self.began) / self.limit)

    @property
    def has_time(self) -> bool:
        """Whether a fit as long as the longest one so far still ends in time."""
        return time.monotonic() - self.began + self.longest <= self.limit


@dataclass(frozen=True, kw_only=True)
class _Curve:
    """Quality of one fit on held-out users, by kind of settings."""

    choosing: dict[str, np.ndarray]
    """Kind -> [metrics] means over users and numbers of events."""
    confirming: dict[str, np.ndarray]
    """Kind -> [users] first metric, mean over numbers of events."""

    def over(self, default: _Curve, kind: str) -> float:
        """Return the mean relative gain over `default` on the users that choose."""
        ours, theirs = self.choosing[kind], default.choosing[kind]
        if kind == RATINGS:  # fewer errors are better
            ours, theirs = theirs, ours
        return float(np.mean(ours / np.maximum(theirs, 1e-9))) - 1.0

    def beside(self, default: _Curve, kind: str) -> Difference:
        ours, theirs = self.confirming[kind], default.confirming[kind]
        weights = resample(len(ours), derive(0, "tune", "bootstrap"))
        return paired_difference(ours, theirs, weights, higher_is_better=kind == RANKING)


@dataclass(frozen=True, kw_only=True)
class _Evaluator:
    """Fits on the remaining users and measures on those held out."""

    fit: Fit
    split: ColdUserSplit
    seed: int

    @classmethod
    def of(cls, data: Dataset, fit: Fit, seed: int) -> _Evaluator:
        rng = derive(seed, "tune", "split")
        split = split_cold_users(
            data, rng=rng, test=HELD_OUT, validation=HELD_OUT, max_users=MAX_ROWS
        )
        if min(len(split.test), len(split.validation)) < 2:
            raise BadInput(
                "--tune holds users out to choose by, and too few have events enough "
                f"({split.horizon.min_events} or more items); fit without it"
            )
        return cls(fit=fit, split=split, seed=seed)

    def of_configs(self, configs: Configs) -> _Curve:
        model = self.fit(self.split.train, configs)
        chosen, confirmed = (
            self._measured(model, users) for users in (self.split.validation, self.split.test)
        )
        kinds = {kind: of for kind, of in CHOOSING.items() if of[0] in chosen}
        return _Curve(
            choosing={
                kind: np.array([np.nanmean(chosen[metric]) for metric in of])
                for kind, of in kinds.items()
            },
            confirming={kind: _per_user(confirmed[of[0]]) for kind, of in kinds.items()},
        )

    def _measured(self, model: Scores, users: list[ColdUser]) -> dict[str, np.ndarray]:
        """Return metric -> [numbers of events, users]; rating metrics only where ratings are
        predicted.
        """
        evaluation_set = EvaluationSet.of(users, self.split.train)
        rows = [
            measure(model, evaluation_set, k, derive(self.seed, "tune", "ties", k)).per_user
            for k in self.split.horizon.support_sizes
        ]
        names = [metric for of in CHOOSING.values() for metric in of if metric in rows[0]]
        return {metric: np.stack([row[metric] for row in rows]) for metric in names}


def _per_user(measured: np.ndarray) -> np.ndarray:
    """Return [users] mean over numbers of events; NaN for users without any value."""
    counts = (~np.isnan(measured)).sum(0)
    total = np.nansum(measured, axis=0)
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)


class _Search:
    """Proposes configs of one kind, records their quality, and keeps the best."""

    def __init__(self, kind: str, study: Any, ranges: dict[str, Any], default: _Curve) -> None:
        self._kind, self._study, self._ranges, self._default = kind, study, ranges, default
        self._asked: tuple[Any, Configs] = (None, {})
        self._best: tuple[_Curve, Configs] = (default, {})
        self.gain = 0.0

    @classmethod
    def of(cls, kind: str, space: Space, default: _Curve, seed: int) -> _Search:
        optuna = require("optuna", "hpo")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(seed=int(derive(seed, "tune").integers(2**31)))
        study = optuna.create_study(direction="maximize", sampler=sampler)
        ranges = {_key(place): _range(optuna, place, ends) for place, ends in space.items()}
        defaults = {
            key: value
            for key in ranges
            if (value := getattr(config_of(_place(key)[0]), _place(key)[1])) is not None
        }
        study.add_trial(
            optuna.trial.create_trial(
                params=defaults, distributions={key: ranges[key] for key in defaults}, value=0.0
            )
        )
        return cls(kind, study, ranges, default)

    def ask(self, configs_given: Mapping[str, ModelConfig]) -> Configs:
        """Return the given configs with proposed values, for models that have a setting to
        search.
        """
        trial = self._study.ask(self._ranges)
        configs: Configs = {}
        for key in self._ranges:
            (name, setting), value = _place(key), trial.params[key]
            value = value if isinstance(value, int) else float(f"{value:.3g}")  # as it is printed
            config = configs.get(name, configs_given.get(name, config_of(name)))
            configs[name] = replace(config, **{setting: value})
        self._asked = trial, configs
        return configs

    def tell(self, curve: _Curve) -> None:
        """Record the quality of the last proposal."""
        trial, configs = self._asked
        worth = curve.over(self._default, self._kind)
        self._study.tell(trial, worth)
        if configs and worth > self.gain:
            self.gain, self._best = worth, (curve, configs)

    def winner(self, *, is_alone: bool) -> Winner:
        """Return the best proposal; `is_alone` where only the defaults were fitted."""
        curve, configs = self._best
        confirmed = None if is_alone else curve.beside(self._default, self._kind)
        return Winner(kind=self._kind, models=configs, gain=self.gain, confirmed=confirmed)


def _key(place: tuple[str, str]) -> str:
    return ".".join(place)


def _place(key: str) -> tuple[str, str]:
    name, _, setting = key.partition(".")
    return name, setting


def _range(optuna: Any, place: tuple[str, str], ends: tuple[float, float]) -> Any:
    """Return a search range of integers or floats, uniform in the logarithm."""
    name, field = place
    if isinstance(getattr(config_of(name), field), int):
        return optuna.distributions.IntDistribution(int(ends[0]), int(ends[1]), log=True)
    return optuna.distributions.FloatDistribution(float(ends[0]), float(ends[1]), log=True)

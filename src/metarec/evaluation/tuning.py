"""Hyper-parameters of a fit, chosen in bounded time by the learning curve of held-out users.

A tree-structured Parzen estimator (Bergstra et al. 2011, as optuna has it) proposes; the defaults
are tried first. Half of the held-out users choose, the other half must confirm: a winner that is
not better for them too is chance, and the defaults stay.
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
from metarec.evaluation.measure import Trial, measure
from metarec.evaluation.significance import Difference, paired_difference, resample
from metarec.models.config import ModelConfig
from metarec.recommendation.configs import config_of
from metarec.runtime.extras import require
from metarec.runtime.progress import Progress, silent
from metarec.runtime.rng import derive

Fit: TypeAlias = "Callable[[Dataset, Mapping[str, ModelConfig]], Scores]"
Configs: TypeAlias = "dict[str, ModelConfig]"
Space: TypeAlias = "dict[tuple[str, str], tuple[float, float]]"
"""(model, setting) -> the range tried."""
CHOOSING = ("ndcg@10", "recall@20")
"""What chooses, each relative to the defaults: neither may pay for the other."""
HELD_OUT, MAX_ROWS = 0.15, 500
"""Share of the users that choose, the same that confirm, and their number at most."""
STAGE = "tune"


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What a search found."""

    models: Configs
    """Configs to fit with; those given where nothing better was confirmed."""
    fits: int
    """Fits made, that of the defaults among them."""
    gain: float
    """Of the winner over the defaults on the users that chose, as a share."""
    confirmed: Difference | None
    """Of its NDCG@10 on the users that confirm, mean over numbers of events; None where only the
    defaults were fitted.
    """

    @property
    def is_better(self) -> bool:
        """Whether the users that confirm are served better too."""
        return self.confirmed is not None and self.confirmed.mean > 0

    @property
    def said(self) -> str:
        """In a sentence."""
        if self.confirmed is None:
            return "tuned: no time for a second fit; the defaults stay, give more minutes"
        if self.gain <= 0:
            return f"tuned: {self.fits} fits, none better than the defaults, which stay"
        found = f"tuned: {self.fits} fits, {self.gain:+.1%} on the users that chose"
        on_others = f"{self.confirmed} NDCG@10 on others"
        if not self.is_better:
            return f"{found}, but {on_others}: chance, so the defaults stay"
        return f"{found}, {on_others}"

    def toml(self) -> list[str]:
        """Lines that fix what was found in the data's file."""
        return [
            line
            for name, config in self.models.items()
            if (changed := _changed(name, config))
            for line in (f"[models.{name}]", *(f"{key} = {value}" for key, value in changed))
        ]

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        difference = self.confirmed
        return {
            "fits": self.fits,
            "gain": self.gain,
            "confirmed": None
            if difference is None
            else {"mean": difference.mean, "low": difference.low, "high": difference.high},
            "is_taken": self.is_better,
            "models": {name: dict(_changed(name, config)) for name, config in self.models.items()},
        }


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
    """Search the settings of `parts` for at most `minutes`; a fit under way is not cut short, and
    none begins that would take longer than what is left.

    Args:
        data: what will be fitted on.
        fit: from data and configs to a model.
        models: configs given; a setting that is not its default stays as it is.
        parts: models that take part.
        minutes: time for all fits, above 0.

    Raises:
        BadInput: if minutes are not above 0, or nobody has events enough to be held out.
        MissingExtra: without optuna.
    """
    if not 0 < minutes < float("inf"):
        raise BadInput(f"--tune takes minutes above 0, got {minutes:g}")
    space = _space(models, parts)
    search = _Search.of(space, seed)
    clock = _Clock(limit=60 * minutes)
    evaluate = _Evaluator.of(data, fit, seed)
    default = clock.timed(lambda: evaluate.of_configs(dict(models)))
    best, best_configs, gain = default, dict(models), 0.0
    while clock.has_time:
        progress(STAGE, clock.share, f"{clock.fits} fits, best {gain:+.1%}")
        configs = search.ask(models)
        found = clock.timed(partial(evaluate.of_configs, configs))
        worth = found.over(default)
        search.tell(worth)
        if worth > gain:
            best, best_configs, gain = found, configs, worth
    progress(STAGE, 1.0, f"{clock.fits} fits, best {gain:+.1%}")
    tuned = Tuned(
        models=best_configs,
        fits=clock.fits,
        gain=gain,
        confirmed=best.beside(default) if clock.fits > 1 else None,
    )
    return tuned if tuned.is_better else replace(tuned, models=dict(models))


def _space(models: Mapping[str, ModelConfig], parts: tuple[str, ...]) -> Space:
    """What may be tried: settings with a range, unless their value was given."""
    return {
        (name, one.name): one.metadata["tried"]
        for name in parts
        for one in fields(config_of(name))
        if one.metadata.get("tried") is not None
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
    """Wall time of the fits so far."""

    limit: float
    began: float = 0.0
    longest: float = 0.0
    fits: int = 0

    def timed(self, work: Callable[[], _Curve]) -> _Curve:
        start = time.monotonic()
        self.began = self.began or start
        found = work()
        self.longest = max(self.longest, time.monotonic() - start)
        self.fits += 1
        return found

    @property
    def share(self) -> float:
        return min(1.0, (time.monotonic() - self.began) / self.limit)

    @property
    def has_time(self) -> bool:
        return time.monotonic() - self.began + self.longest <= self.limit


@dataclass(frozen=True, kw_only=True)
class _Curve:
    """How held-out users are served by one fit."""

    choosing: np.ndarray
    """[metrics] means over users and numbers of events."""
    confirming: np.ndarray
    """[users] NDCG@10, mean over numbers of events."""

    def over(self, default: _Curve) -> float:
        """Mean share by which it is better on the users that choose."""
        return float(np.mean(self.choosing / np.maximum(default.choosing, 1e-9))) - 1.0

    def beside(self, default: _Curve) -> Difference:
        weights = resample(len(self.confirming), derive(0, "tune", "bootstrap"))
        return paired_difference(self.confirming, default.confirming, weights)


@dataclass(frozen=True, kw_only=True)
class _Evaluator:
    """Fits on the users left and measures those held out."""

    fit: Fit
    split: ColdUserSplit
    seed: int

    @classmethod
    def of(cls, data: Dataset, fit: Fit, seed: int) -> _Evaluator:
        rng = derive(seed, "tune", "split")
        split = split_cold_users(data, rng=rng, test=HELD_OUT, validation=HELD_OUT, most=MAX_ROWS)
        if min(len(split.test), len(split.validation)) < 2:
            raise BadInput(
                "--tune holds users out to choose by, and too few have events enough "
                f"({split.horizon.min_events} or more items); fit without it"
            )
        return cls(fit=fit, split=split, seed=seed)

    def of_configs(self, configs: Configs) -> _Curve:
        model = self.fit(self.split.train, configs)
        chosen = self._measured(model, self.split.validation)
        return _Curve(
            choosing=np.array([np.nanmean(chosen[metric]) for metric in CHOOSING]),
            confirming=np.nanmean(self._measured(model, self.split.test)["ndcg@10"], axis=0),
        )

    def _measured(self, model: Scores, users: list[ColdUser]) -> dict[str, np.ndarray]:
        """Metric -> [numbers of events, users]."""
        trial = Trial.of(users, self.split.train)
        rows = [
            measure(model, trial, k, derive(self.seed, "tune", "ties", k)).per_user
            for k in self.split.horizon.shots
        ]
        return {metric: np.stack([row[metric] for row in rows]) for metric in CHOOSING}


class _Search:
    """Proposes configs and hears what they were worth."""

    def __init__(self, study: Any, space: Space, ranges: dict[str, Any]) -> None:
        self._study, self._space, self._ranges = study, space, ranges
        self._asked: Any = None

    @classmethod
    def of(cls, space: Space, seed: int) -> _Search:
        optuna = require("optuna", "hpo")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(seed=int(derive(seed, "tune").integers(2**31)))
        study = optuna.create_study(direction="maximize", sampler=sampler)
        ranges = {_key(place): _range(optuna, place, ends) for place, ends in space.items()}
        known = {
            _key((name, field)): value
            for name, field in space
            if (value := getattr(config_of(name), field)) is not None
        }
        study.add_trial(
            optuna.trial.create_trial(
                params=known, distributions={key: ranges[key] for key in known}, value=0.0
            )
        )
        return cls(study, space, ranges)

    def ask(self, given: Mapping[str, ModelConfig]) -> Configs:
        """The configs given, with proposed values where they may be tried."""
        self._asked = self._study.ask(self._ranges)
        found = dict(given)
        for name, field in self._space:
            value = self._asked.params[_key((name, field))]
            value = value if isinstance(value, int) else float(f"{value:.3g}")  # as it is printed
            found[name] = replace(found.get(name, config_of(name)), **{field: value})
        return found

    def tell(self, worth: float) -> None:
        """What the proposed configs gained over the defaults."""
        self._study.tell(self._asked, worth)


def _key(place: tuple[str, str]) -> str:
    return ".".join(place)


def _range(optuna: Any, place: tuple[str, str], ends: tuple[float, float]) -> Any:
    """A range of whole numbers or others, even in the logarithm."""
    name, field = place
    if isinstance(getattr(config_of(name), field), int):
        return optuna.distributions.IntDistribution(int(ends[0]), int(ends[1]), log=True)
    return optuna.distributions.FloatDistribution(float(ends[0]), float(ends[1]), log=True)

"""Predicted values of a new user, in closed form: item means, their own offset, and a Gaussian
process over items.

A rating is mean + item bias + a function of the item's features that every user draws from a
common Gaussian prior; the features (factors of everyone's residuals beside content) are that
prior's kernel, so adaptation is one solve of support x support (ALPaCA, Harrison et al. 2018,
arXiv:1807.08912, with a kernel learned by factorisation instead of a network). What is served is
the median: shares of the three addends and an offset are fitted by absolute error on held-out
users at each support size, because MAE is asked of it and ratings lean to one side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from metarec.features.behaviour import Behaviour
from metarec.features.histories import Histories
from metarec.models.config import ModelConfig, setting
from metarec.models.offsets import Offsets
from metarec.models.ridge_rows import ridge_rows
from metarec.runtime.interpolation import Interpolation
from metarec.runtime.old_names import ARRAYS, with_current_names

SPREAD = 1.12
"""Standard deviation of ratings at which the defaults below were set (that of MovieLens, 1 to 5):
ratings are brought to it, so that their unit changes nothing.
"""


@dataclass(frozen=True, kw_only=True)
class RatingConfig(ModelConfig):
    """Hyper-parameters of predicted ratings (`models.rating`)."""

    dim: int = setting(12, least=1)
    """Factors of everyone's residuals (1 or more)."""
    item_damping: tuple[float, ...] = setting((4.0, 2.0, 8.0, 16.0), least=0)
    """Events' worth of pull of an item's offset towards zero (0 or more): the one of least error on
    users held out is taken, the first where nobody can be.
    """
    user_damping: float = setting(8.0, least=0)
    """The same of users' offsets (0 or more)."""
    rounds: int = setting(5, least=1)
    """Times item and user offsets are found in turn (1 or more)."""
    factor_regularization: float = setting(3.0, above=0)
    """Pull of the factors towards zero (above 0)."""
    sweeps: int = setting(8, least=1)
    """Times factors of users and of items are found in turn (1 or more)."""
    noise: float = setting(0.75, above=0)
    """Variance of a rating around its expectation (above 0)."""
    offset_variance: tuple[float, ...] = setting((0.1, 0.3), above=0)
    """Variance of users' offsets (above 0); the one of least error on users held out is taken."""
    content_scale: float = setting(0.3, least=0)
    """Weight of an item's content beside its factors (0 or more)."""
    newest: int = setting(200, least=1)
    """Support events that the process sees, the newest (1 or more): bounds the solve."""
    held_out: int = setting(1500, least=1)
    """Users held out at once at most (1 or more)."""
    folds: int = setting(5, least=2)
    """Parts of the users that are held out in turn (2 or more), where events are few."""
    few_events: int = setting(100_000, least=0)
    """Events up to which they are few (0 or more); above, the kernel is fitted twice only, and a
    third of the users is held out once.
    """


@dataclass(frozen=True, kw_only=True)
class HeldOutErrors:
    """How far values lay from predictions, in the head's own spreads, for users it learned nothing
    from.
    """

    shots: tuple[int, ...]
    """K support sizes."""
    ratios: np.ndarray
    """[K, E] size of each error over its predicted standard deviation."""
    owners: np.ndarray
    """[E] which of the users each value is of, from 0."""
    users: int


@dataclass(frozen=True, kw_only=True)
class RatingHead:
    """Mean, offsets and kernel features; `predict` adapts and rates in one call, for many users at
    once.
    """

    mean: float
    low: float
    high: float
    unit: float
    """Ratings for one step of the scale that everything below is on."""
    offset_variance: float
    """Of the offsets of users."""
    item_bias: np.ndarray
    """[N] float32."""
    features: np.ndarray
    """[N, F] float32: two items' covariance is the dot product of their rows (times the scale's
    variance).
    """
    points: np.ndarray
    """[K] support sizes with shares of their own."""
    shares: np.ndarray
    """[K, 3]: intercept, share of the item bias, share of the process."""
    noise: np.ndarray
    """[K] standard deviation left over at each support size, beside the process's own uncertainty.
    """
    config: RatingConfig = RatingConfig()

    @classmethod
    def fit(
        cls, behaviour: Behaviour, rng: np.random.Generator, config: RatingConfig | None = None
    ) -> RatingHead:
        """Fit the kernel on everyone; fit the shares on users held out of other kernels."""
        return cls.fit_checked(behaviour, rng, config)[0]

    @classmethod
    def fit_checked(
        cls, behaviour: Behaviour, rng: np.random.Generator, config: RatingConfig | None = None
    ) -> tuple[RatingHead, HeldOutErrors]:
        """`fit`, and its errors on the users held out: shares of one half of them are checked on
        the other.
        """
        behaviour, config = behaviour.rated(), config or cls.config
        folds = _folds(behaviour, rng, config)
        damping = _choose_damping(behaviour, folds, config)
        heads = [cls._kernel(behaviour, rest, damping, rng, config) for rest, _ in folds]
        rows = min(
            (_Rehearsal.of(behaviour, folds, heads, offset) for offset in config.offset_variance),
            key=_Rehearsal.loss,
        )
        shares, noise = rows.shares(np.ones(rows.users, bool))
        everyone = np.arange(len(behaviour.histories))
        fitted = cls._kernel(behaviour, everyone, damping, rng, config)
        points = np.array(behaviour.horizon.shots, np.int64)
        fitted = replace(fitted, offset_variance=rows.offset_variance)
        return replace(fitted, points=points, shares=shares, noise=noise), rows.errors()

    @classmethod
    def of_users(
        cls,
        behaviour: Behaviour,
        users: np.ndarray,
        rng: np.random.Generator,
        config: RatingConfig | None = None,
    ) -> RatingHead:
        """From these users alone, every addend counting in full: to be asked about the others."""
        config = config or cls.config
        return cls._kernel(behaviour.rated(), users, config.item_damping[0], rng, config)

    @classmethod
    def _kernel(
        cls,
        behaviour: Behaviour,
        users: np.ndarray,
        damping: float,
        rng: np.random.Generator,
        config: RatingConfig,
    ) -> RatingHead:
        """From these users."""
        values, unit = behaviour.histories.values, _unit(behaviour)
        behaviour = behaviour.users(users)
        histories = behaviour.histories
        offsets = _offsets(behaviour, damping, unit, config)
        residuals = offsets.residuals(histories)
        factors = _factors(histories, residuals, behaviour.n_items, rng, config)
        features = np.concatenate([factors, config.content_scale * behaviour.content], axis=1)
        return cls(
            mean=offsets.mean,
            low=float(values.min()),
            high=float(values.max()),
            unit=unit,
            offset_variance=config.offset_variance[0],
            item_bias=offsets.items.astype(np.float32),
            features=features.astype(np.float32),
            points=np.zeros(1, np.int64),
            shares=np.array([[0.0, 1.0, 1.0]]),
            noise=np.full(1, config.noise**0.5),
            config=config,
        )

    def process(self, support: Histories, asked: Histories) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the process at each asked event [E], from each user's support."""
        support = support if support.is_rated.all() else support.where(support.is_rated)
        if support.lengths.max(initial=0) > self.config.newest:
            first = np.repeat(support.lengths - self.config.newest, support.lengths)
            support = support.where(support.positions >= first)
        newest, query = support.padded(), asked.padded()
        is_real = newest.is_real.astype(np.float32)
        seen_BSF = self.features[newest.items] * is_real[..., None]
        asked_BQF = self.features[query.items]
        residual = (
            (newest.values - self.mean) / self.unit - self.item_bias[newest.items]
        ) * is_real
        turned = seen_BSF.transpose(0, 2, 1)
        kernel = seen_BSF @ turned
        kernel += self.offset_variance * is_real[:, :, None] * is_real[:, None, :]
        np.einsum("bss->bs", kernel)[...] += self.config.noise
        cross = asked_BQF @ turned
        cross += self.offset_variance * is_real[:, None, :]
        # One solve for both: the first column gives the mean, the others what the support explains
        # of each asked event.
        solved = np.linalg.solve(
            kernel, np.concatenate([residual[..., None], cross.transpose(0, 2, 1)], axis=2)
        )
        mean = (cross @ solved[:, :, :1])[..., 0]
        explained = np.einsum("bqs,bsq->bq", cross, solved[:, :, 1:])
        variance = np.maximum(
            np.einsum("bqf,bqf->bq", asked_BQF, asked_BQF) + self.offset_variance - explained, 0.0
        )
        return mean[query.is_real], variance[query.is_real]

    def predict(self, support: Histories, asked: Histories) -> tuple[np.ndarray, np.ndarray]:
        """Predicted value and standard deviation of each asked event [E], user by user, in the
        order asked.
        """
        steps, spread = self.steps(support, asked)
        values = np.minimum(np.maximum(self.mean + self.unit * steps, self.low), self.high)
        return values, self.unit * spread

    def steps(self, support: Histories, asked: Histories) -> tuple[np.ndarray, np.ndarray]:
        """What `predict` says in steps from the mean, whatever the ends of the scale."""
        process, variance = self.process(support, asked)
        rated = np.bincount(support.owners[support.is_rated], minlength=len(support))
        of_event = self._by_events.after(rated)[asked.owners]
        steps = (
            of_event[:, 0] + of_event[:, 1] * self.item_bias[asked.items] + of_event[:, 2] * process
        )
        return steps, np.sqrt(of_event[:, 3] ** 2 + variance)

    @cached_property
    def _by_events(self) -> Interpolation:
        """[4] shares and noise."""
        return Interpolation.between(
            self.points, np.concatenate([self.shares, self.noise[:, None]], axis=1)
        )

    def with_content(self, content: np.ndarray) -> RatingHead:
        """The same head for a catalog of `content` [N', C]: old items first, new ones appended with
        no bias and no factors.
        """
        factors = self.features.shape[1] - content.shape[1]
        more = len(content) - len(self.item_bias)
        learned = np.pad(self.features[:, :factors], ((0, more), (0, 0)))
        return replace(
            self,
            item_bias=np.pad(self.item_bias, (0, more)),
            features=np.concatenate([learned, self.config.content_scale * content], axis=1).astype(
                np.float32
            ),
        )

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Everything learned, as named arrays."""
        return {
            "scale": np.array([self.mean, self.low, self.high, self.unit, self.offset_variance]),
            "item_bias": self.item_bias,
            "features": self.features,
            "points": self.points,
            "shares": self.shares,
            "noise": self.noise,
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: RatingConfig | None = None
    ) -> RatingHead:
        """From `arrays()`."""
        arrays, config = with_current_names(arrays, ARRAYS), config or cls.config
        scale = [float(x) for x in arrays["scale"]]
        # Heads saved before ratings were brought to one spread name no unit.
        mean, low, high, unit, offset_variance = (
            scale if scale[3:] else [*scale, 1.0, config.offset_variance[0]]
        )
        return cls(
            mean=mean,
            low=low,
            high=high,
            unit=unit,
            offset_variance=offset_variance,
            config=config,
            **{
                name: arrays[name]
                for name in ("item_bias", "features", "points", "shares", "noise")
            },
        )


def _folds(
    behaviour: Behaviour, rng: np.random.Generator, config: RatingConfig
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Users learned from and users held out who have something to be asked; one fold of them where
    they are many.
    """
    lengths = behaviour.histories.lengths
    users = np.flatnonzero((lengths > behaviour.pools) & (lengths >= behaviour.horizon.min_events))
    rng.shuffle(users)
    everyone = np.arange(len(lengths))
    if len(behaviour.histories.items) > config.few_events:
        most = min(config.held_out, max(1, len(users) // 3))
        parts = [users[:most]] if len(users) else []
    else:
        parts = [part for part in np.array_split(users, config.folds) if len(part)]
    folds = [(np.setdiff1d(everyone, part), part) for part in parts or [everyone[:1]]]
    return [(rest if len(rest) else everyone, part) for rest, part in folds]


def _unit(behaviour: Behaviour) -> float:
    """Ratings for one step of the head's scale; 1 where all are the same."""
    values = behaviour.histories.values
    weights = behaviour.weights_of(behaviour.histories.owners)
    mean = np.average(values, weights=weights)
    return float(np.sqrt(np.average((values - mean) ** 2, weights=weights))) / SPREAD or 1.0


def _choose_damping(
    behaviour: Behaviour, folds: list[tuple[np.ndarray, np.ndarray]], config: RatingConfig
) -> float:
    """Of `item_damping` the one whose item offsets are nearest to what users held out rate, beside
    offsets of their own.
    """
    unit, tried = _unit(behaviour), config.item_damping
    errors = np.zeros(len(tried))
    for rest, part in folds:
        known = behaviour.users(rest)
        asked = behaviour.histories.users(part).after(behaviour.pools[part])
        if not len(asked.items):
            return tried[0]
        for place, damping in enumerate(tried):
            left = _offsets(known, damping, unit, config).residuals(asked)
            size = np.abs(left) / np.maximum(asked.lengths, 1)[asked.owners]
            errors[place] += float(behaviour.weights_of(part)[asked.owners] @ size)
    return tried[int(errors.argmin())]


def _offsets(behaviour: Behaviour, damping: float, unit: float, config: RatingConfig) -> Offsets:
    """Of the training users, by their weights."""
    histories = behaviour.histories
    return Offsets.of(
        histories,
        behaviour.n_items,
        item_damping=damping,
        user_damping=config.user_damping,
        rounds=config.rounds,
        weights=behaviour.weights_of(histories.owners),
        unit=unit,
    )


def _factors(
    histories: Histories,
    residual: np.ndarray,
    n_items: int,
    rng: np.random.Generator,
    config: RatingConfig,
) -> np.ndarray:
    """[N, dim] item factors of the residuals, users' factors drawn to unit variance, by alternating
    ridge solves.
    """
    by_item, order = histories.transposed(n_items)
    items = rng.normal(0.0, 0.1, (n_items, config.dim)).astype(np.float32)
    ones = np.ones(len(residual), np.float32)
    ridge = config.factor_regularization * np.eye(config.dim, dtype=np.float32)
    users = items
    for _ in range(config.sweeps):
        users = ridge_rows(histories, ones, residual, items, ridge)
        items = ridge_rows(by_item, ones, residual[order], users, ridge)
    _, spread = np.linalg.eigh(np.cov(users, rowvar=False) + 1e-9 * np.eye(config.dim))
    rotated = items @ spread
    return np.asarray(rotated * (users @ spread).std(0), np.float32)


@dataclass(frozen=True, kw_only=True)
class _Rehearsal:
    """What heads said of values of users they had not seen, at each support size."""

    shots: tuple[int, ...]
    offset_variance: float
    """Of the heads asked."""
    columns: np.ndarray
    """[K, E, 3]: what shares are of."""
    variance: np.ndarray
    """[K, E] of the process."""
    targets: np.ndarray
    """[E] values in steps from the head's mean."""
    owners: np.ndarray
    """[E] which of the users."""
    weights: np.ndarray
    """[E]: each user counts once, as in the mean of per-user errors that is reported."""
    users: int

    @classmethod
    def of(
        cls,
        behaviour: Behaviour,
        folds: list[tuple[np.ndarray, np.ndarray]],
        heads: list[RatingHead],
        offset_variance: float,
    ) -> _Rehearsal:
        """Each head is asked about the users held out of it."""
        parts = [
            _rehearse(replace(head, offset_variance=offset_variance), behaviour, part)
            for head, (_, part) in zip(heads, folds, strict=True)
        ]
        users = np.concatenate([part for _, part in folds])
        asked = behaviour.histories.users(users).after(behaviour.pools[users])
        share = behaviour.weights_of(users) / np.maximum(asked.lengths, 1)
        columns, variance, targets = zip(*parts, strict=True)
        return cls(
            shots=behaviour.horizon.shots,
            offset_variance=offset_variance,
            columns=np.concatenate(columns, axis=1),
            variance=np.concatenate(variance, axis=1),
            targets=np.concatenate(targets),
            owners=asked.owners,
            weights=share[asked.owners],
            users=len(users),
        )

    def loss(self) -> float:
        """Mean absolute error with the shares of everyone, over all support sizes."""
        shares, _ = self.shares(np.ones(self.users, bool))
        said = np.einsum("kes,ks->ke", self.columns, shares)
        return float((self.weights * np.abs(self.targets - said)).sum())

    def shares(self, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[K, 3] shares by least absolute error and [K] noise, from some of the users."""
        rows = who[self.owners]
        targets, weights = self.targets[rows], self.weights[rows]
        shares, noise = [], []
        for columns, variance in zip(self.columns[:, rows], self.variance[:, rows], strict=True):
            fitted = _least_absolute(columns, targets, weights)
            squares = (targets - columns @ fitted) ** 2
            shares.append(fitted)
            left = max(
                np.average(squares - variance, weights=weights),
                0.05 * np.average(squares, weights=weights),
            )
            noise.append(np.sqrt(left))
        return np.array(shares), np.array(noise)

    def errors(self) -> HeldOutErrors:
        """Errors of each half of the users with shares learned from the other half."""
        half = np.arange(self.users) % 2 == 0
        ratios = np.zeros((len(self.shots), len(self.targets)))
        if self.users < 2:
            ratios, half = ratios[:, :0], half[:0]
        for who in (half, ~half)[: 2 * len(half)]:
            shares, noise = self.shares(~who)
            rows = who[self.owners]
            said = np.einsum("kes,ks->ke", self.columns[:, rows], shares)
            spread = np.sqrt(noise[:, None] ** 2 + self.variance[:, rows])
            ratios[:, rows] = np.abs(self.targets[rows] - said) / np.maximum(spread, 1e-12)
        return HeldOutErrors(
            shots=self.shots,
            ratios=ratios,
            owners=self.owners[: ratios.shape[1]],
            users=len(half),
        )


def _rehearse(
    head: RatingHead, behaviour: Behaviour, part: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns [K, E, 3], variances [K, E] and targets [E] of what these users rated after their
    pools.
    """
    histories, pools = behaviour.histories.users(part), behaviour.pools[part]
    asked = histories.after(pools)
    found = [
        head.process(histories.first(np.minimum(shots, pools)), asked)
        for shots in behaviour.horizon.shots
    ]
    general = np.stack([np.ones(len(asked.items)), head.item_bias[asked.items]], axis=1)
    columns = [np.concatenate([general, process[:, None]], axis=1) for process, _ in found]
    targets = (asked.values - head.mean) / head.unit
    return np.stack(columns), np.stack([variance for _, variance in found]), targets


def _least_absolute(columns: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted least absolute deviations by iteratively reweighted least squares, drawn slightly to
    (0, 1, 1).
    """
    start = np.array([0.0, 1.0, 1.0])
    fitted = start.copy()
    pull = 1e-3 * weights.sum() * np.eye(3)
    for _ in range(30):
        weight = weights / np.maximum(np.abs(targets - columns @ fitted), 0.05)
        weighted = columns * weight[:, None]
        fitted = np.linalg.solve(weighted.T @ columns + pull, weighted.T @ targets + pull @ start)
    return fitted

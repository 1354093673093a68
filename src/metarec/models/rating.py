"""Predicted values of a newcomer, in closed form: item means, their own offset, and a Gaussian
process over items.

A rating is mean + item bias + a function of the item's features that every person draws from a
common Gaussian prior; the features (factors of everyone's residuals beside content) are that
prior's kernel, so adaptation is one solve of support x support (ALPaCA, Harrison et al. 2018,
arXiv:1807.08912, with a kernel learned by factorisation instead of a network). What is served is
the median: shares of the three addends and an offset are fitted by absolute error on held-out
people at each support size, because MAE is asked of it and ratings lean to one side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from metarec.features.behaviour import Behaviour
from metarec.features.histories import Histories
from metarec.models.ridge_rows import ridge_rows
from metarec.runtime.knots import Knots

DIM = 12
ITEM_DAMPING, USER_DAMPING = 4.0, 8.0
"""Events' worth of pull towards zero of item and user offsets."""
FACTOR_RIDGE = 3.0
SWEEPS = 8
NOISE = 0.75
"""Variance of a rating around its expectation, on a scale where ratings of 1 to 5 are as given."""
OFFSET_VARIANCE = 0.1
CONTENT_SCALE = 0.3
NEWEST = 200
"""Support events that the process sees, the newest: bounds the solve."""
HELD_OUT = 1500


@dataclass(frozen=True, kw_only=True)
class HeldOutErrors:
    """How far values lay from predictions, in the head's own spreads, for people it learned nothing
    from.
    """

    shots: tuple[int, ...]
    """K support sizes."""
    ratios: np.ndarray
    """[K, E] size of each error over its predicted standard deviation."""
    owners: np.ndarray
    """[E] which of the people each value is of, from 0."""
    people: int


@dataclass(frozen=True, kw_only=True)
class RatingHead:
    """Mean, offsets and kernel features; `predict` adapts and rates in one call, for many people at
    once.
    """

    mean: float
    low: float
    high: float
    item_bias: np.ndarray
    """[N] float32."""
    features: np.ndarray
    """[N, F] float32: two items' covariance is the dot product of their rows (times the scale's
    variance).
    """
    knots: np.ndarray
    """[K] support sizes with shares of their own."""
    shares: np.ndarray
    """[K, 3]: intercept, share of the item bias, share of the process."""
    noise: np.ndarray
    """[K] standard deviation left over at each support size, beside the process's own doubt."""

    @classmethod
    def fit(cls, behaviour: Behaviour, rng: np.random.Generator) -> RatingHead:
        """Fit the kernel on everyone; fit the shares on people held out of a second kernel."""
        return cls.fit_checked(behaviour, rng)[0]

    @classmethod
    def fit_checked(
        cls, behaviour: Behaviour, rng: np.random.Generator
    ) -> tuple[RatingHead, HeldOutErrors]:
        """`fit`, and its errors on the people held out: shares of one half of them are checked on
        the other.
        """
        lengths = behaviour.histories.lengths
        people = np.flatnonzero(
            (lengths > behaviour.pools) & (lengths >= behaviour.horizon.min_events)
        )
        rng.shuffle(people)
        held_out = (
            people[: min(HELD_OUT, max(1, len(people) // 3))]
            if len(people)
            else np.arange(min(1, len(behaviour.histories)))
        )
        rest = np.setdiff1d(np.arange(len(behaviour.histories)), held_out)
        plain = cls._kernel(behaviour.users(rest) if len(rest) else behaviour, rng)
        shares, noise = _shares(plain, behaviour, held_out)
        fitted = cls._kernel(behaviour, rng)
        knots = np.array(behaviour.horizon.shots, np.int64)
        return (
            replace(fitted, knots=knots, shares=shares, noise=noise),
            _held_out_errors(plain, behaviour, held_out[::2], held_out[1::2]),
        )

    @classmethod
    def _kernel(cls, behaviour: Behaviour, rng: np.random.Generator) -> RatingHead:
        histories = behaviour.histories
        mean, item_bias, user_bias = _offsets(
            histories, behaviour.n_items, behaviour.weights_of(histories.owners)
        )
        residual = (
            histories.values - mean - item_bias[histories.items] - user_bias[histories.owners]
        )
        factors = _factors(histories, residual, behaviour.n_items, rng)
        features = np.concatenate([factors, CONTENT_SCALE * behaviour.content], axis=1).astype(
            np.float32
        )
        return cls(
            mean=mean,
            low=float(histories.values.min()),
            high=float(histories.values.max()),
            item_bias=item_bias,
            features=features,
            knots=np.zeros(1, np.int64),
            shares=np.array([[0.0, 1.0, 1.0]]),
            noise=np.full(1, NOISE**0.5),
        )

    def process(self, support: Histories, asked: Histories) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the process at each asked event [E], from each person's support."""
        support = support if support.is_rated.all() else support.where(support.is_rated)
        if support.lengths.max(initial=0) > NEWEST:
            support = support.where(
                support.positions >= np.repeat(support.lengths - NEWEST, support.lengths)
            )
        newest, query = support.padded(), asked.padded()
        is_real = newest.is_real.astype(np.float32)
        seen_BSF = self.features[newest.items] * is_real[..., None]
        asked_BQF = self.features[query.items]
        residual = (newest.values - self.mean - self.item_bias[newest.items]) * is_real
        turned = seen_BSF.transpose(0, 2, 1)
        kernel = seen_BSF @ turned
        kernel += OFFSET_VARIANCE * is_real[:, :, None] * is_real[:, None, :]
        np.einsum("bss->bs", kernel)[...] += NOISE
        cross = asked_BQF @ turned
        cross += OFFSET_VARIANCE * is_real[:, None, :]
        # One solve for both: the first column gives the mean, the others what the support explains
        # of each asked event.
        solved = np.linalg.solve(
            kernel, np.concatenate([residual[..., None], cross.transpose(0, 2, 1)], axis=2)
        )
        mean = (cross @ solved[:, :, :1])[..., 0]
        explained = np.einsum("bqs,bsq->bq", cross, solved[:, :, 1:])
        variance = np.maximum(
            np.einsum("bqf,bqf->bq", asked_BQF, asked_BQF) + OFFSET_VARIANCE - explained, 0.0
        )
        return mean[query.is_real], variance[query.is_real]

    def predict(self, support: Histories, asked: Histories) -> tuple[np.ndarray, np.ndarray]:
        """Predicted value and standard deviation of each asked event [E], person by person, in the
        order asked.
        """
        process, variance = self.process(support, asked)
        rated = np.bincount(support.owners[support.is_rated], minlength=len(support))
        of_event = self._by_events.after(rated)[asked.owners]
        values = (
            self.mean
            + of_event[:, 0]
            + of_event[:, 1] * self.item_bias[asked.items]
            + of_event[:, 2] * process
        )
        return np.minimum(np.maximum(values, self.low), self.high), np.sqrt(
            of_event[:, 3] ** 2 + variance
        )

    @cached_property
    def _by_events(self) -> Knots:
        """[4] shares and noise."""
        return Knots.between(self.knots, np.concatenate([self.shares, self.noise[:, None]], axis=1))

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
            features=np.concatenate([learned, CONTENT_SCALE * content], axis=1).astype(np.float32),
        )

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Everything learned, as named arrays."""
        return {
            "scale": np.array([self.mean, self.low, self.high]),
            "item_bias": self.item_bias,
            "features": self.features,
            "knots": self.knots,
            "shares": self.shares,
            "noise": self.noise,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> RatingHead:
        """From `arrays()`."""
        mean, low, high = (float(x) for x in arrays["scale"])
        return cls(
            mean=mean,
            low=low,
            high=high,
            **{
                name: arrays[name] for name in ("item_bias", "features", "knots", "shares", "noise")
            },
        )


def _offsets(
    histories: Histories, n_items: int, weights: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Mean, item offsets [N] and user offsets [B], each shrunk, found in turns; events count
    `weights` [E].
    """
    mean = float(np.average(histories.values, weights=weights))
    owners, users = histories.owners, len(histories)
    item_count, user_count = np.bincount(histories.items, weights, n_items), histories.lengths
    item_bias, user_bias = np.zeros(n_items), np.zeros(users)
    for _ in range(5):
        rest = histories.values - mean
        item_bias = np.bincount(histories.items, weights * (rest - user_bias[owners]), n_items) / (
            item_count + ITEM_DAMPING
        )
        user_bias = np.bincount(owners, rest - item_bias[histories.items], users) / (
            user_count + USER_DAMPING
        )
    return mean, item_bias.astype(np.float32), user_bias.astype(np.float32)


def _factors(
    histories: Histories, residual: np.ndarray, n_items: int, rng: np.random.Generator
) -> np.ndarray:
    """[N, DIM] item factors of the residuals, users' factors drawn to unit variance, by alternating
    ridge solves.
    """
    by_item, order = histories.transposed(n_items)
    items = rng.normal(0.0, 0.1, (n_items, DIM)).astype(np.float32)
    ones = np.ones(len(residual), np.float32)
    ridge = FACTOR_RIDGE * np.eye(DIM, dtype=np.float32)
    users = items
    for _ in range(SWEEPS):
        users = ridge_rows(histories, ones, residual, items, ridge)
        items = ridge_rows(by_item, ones, residual[order], users, ridge)
    _, spread = np.linalg.eigh(np.cov(users, rowvar=False) + 1e-9 * np.eye(DIM))
    rotated = items @ spread
    return np.asarray(rotated * (users @ spread).std(0), np.float32)


def _shares(
    head: RatingHead, behaviour: Behaviour, people: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """[K, 3] shares by least absolute error and [K] noise, on people that `head` has not seen."""
    histories, pools = behaviour.histories.users(people), behaviour.pools[people]
    asked = histories.after(pools)
    shares, noise = [], []
    for shots in behaviour.horizon.shots:
        process, variance = head.process(histories.first(np.minimum(shots, pools)), asked)
        columns = np.stack([np.ones_like(process), head.item_bias[asked.items], process], axis=1)
        # Each person counts once, as in the mean of per-person errors that is reported.
        weights = np.repeat(
            behaviour.weights_of(people) / np.maximum(asked.lengths, 1), asked.lengths
        )
        fitted = _least_absolute(columns, asked.values - head.mean, weights)
        left = asked.values - head.mean - columns @ fitted
        shares.append(fitted)
        noise.append(
            np.sqrt(
                max(
                    np.average(left**2 - variance, weights=weights),
                    0.05 * np.average(left**2, weights=weights),
                )
            )
        )
    return np.array(shares), np.array(noise)


def _held_out_errors(head: RatingHead, behaviour: Behaviour, *halves: np.ndarray) -> HeldOutErrors:
    """Errors on each half of the people that `head` has not seen, with shares learned from the
    other half.
    """
    shots, people = behaviour.horizon.shots, np.concatenate(halves)
    if not all(map(len, halves)):
        return HeldOutErrors(
            shots=shots, ratios=np.zeros((len(shots), 0)), owners=np.zeros(0, np.int64), people=0
        )
    found = []
    for half, other in (halves, halves[::-1]):
        shares, noise = _shares(head, behaviour, other)
        checked = replace(head, knots=np.array(shots, np.int64), shares=shares, noise=noise)
        histories, pools = behaviour.histories.users(half), behaviour.pools[half]
        asked, rows = histories.after(pools), []
        for count in shots:
            values, spread = checked.predict(histories.first(np.minimum(count, pools)), asked)
            rows.append(np.abs(asked.values - values) / np.maximum(spread, 1e-12))
        found.append(np.stack(rows))
    owners = behaviour.histories.users(people).after(behaviour.pools[people]).owners
    return HeldOutErrors(
        shots=shots, ratios=np.concatenate(found, axis=1), owners=owners, people=len(people)
    )


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

"""Rating prediction for new users, in closed form: item biases, the user's offset, and a Gaussian
process over items.

A rating is mean + item bias + a function of the item's features that every user draws from a
common Gaussian prior; the features (factors of everyone's residuals beside content) are that
prior's kernel, so adaptation is one solve of support x support (ALPaCA, Harrison et al. 2018,
arXiv:1807.08912, with a kernel learned by factor analysis instead of a network). A user's profile
and choice of items give the process its prior mean; content gives it to an item's bias. The
prediction is the median: coefficients of these addends and a curve of their sum are fitted by
absolute error on held-out users at each support size, because MAE is the metric and ratings are
skewed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.rating.choice import ChoicePrior
from metarec.models.rating.columns import (
    START,
    columns_of,
    completed,
    log_popularity,
    spread_of,
)
from metarec.models.rating.curve import MedianCurves
from metarec.models.rating.kernel import (
    RatingConfig,
    choose_damping,
    factors_of,
    folds_of,
    offsets_of_ratings,
    started_by_content,
    unit_of,
)
from metarec.models.rating.priors import PriorTraining, Pulls
from metarec.models.rating.process import adapted, weighted
from metarec.models.rating.profile import ProfileEquations, ProfilePrior
from metarec.models.rating.rehearsal import HeldOutErrors, Rehearsal
from metarec.runtime.interpolation import Interpolation
from metarec.runtime.old_names import ARRAYS, with_current_names

NUMBERS_AT_ONCE = 2_000_000
"""Array entries of the users adapted at a time: bounds memory."""


@dataclass(frozen=True, kw_only=True)
class RatingHead:
    """Mean, item biases and kernel features; `predict` adapts to a batch of users and predicts in
    one call.
    """

    mean: float
    low: float
    high: float
    unit: float
    """Length of one step, in units of the rating scale; everything below is in steps."""
    offset_variance: float
    """Variance of users' offsets."""
    item_bias: np.ndarray
    """[N] float32 item offsets."""
    features: np.ndarray
    """[N, F] float32: two items' covariance is the dot product of their rows (times the scale's
    variance).
    """
    points: np.ndarray
    """[K] support sizes that have coefficients of their own."""
    shares: np.ndarray
    """[K, C] coefficients of the columns (`models/rating/columns.py`)."""
    noise: np.ndarray
    """[K] residual standard deviation at each support size, beside the process's own uncertainty.
    """
    config: RatingConfig = RatingConfig()
    content_bias: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    """[C + 1] float32 coefficients of content and of a constant that predict the bias of an item
    without ratings; empty where that bias is 0.
    """
    prior: ProfilePrior = field(default_factory=ProfilePrior.nothing)
    """Prior mean of the process from a user's profile."""
    choices: ChoicePrior = field(default_factory=ChoicePrior.nothing)
    """Its change by which items a user rated, whatever the ratings."""
    fame: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    """[N] float32 relative log counts of the items (`log_popularity`)."""
    curves: MedianCurves = field(default_factory=MedianCurves.straight)
    """Median curves, applied to the weighted sum of the columns."""

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: RatingConfig | None = None
    ) -> RatingHead:
        """Fit the kernel on all users, and the coefficients by cross-fitting: each fold's users are
        predicted with a kernel fitted without them.
        """
        return cls.fit_checked(behavior, rng, config)[0]

    @classmethod
    def fit_checked(
        cls, behavior: Behavior, rng: np.random.Generator, config: RatingConfig | None = None
    ) -> tuple[RatingHead, HeldOutErrors]:
        """Return the head of `fit` and its errors on held-out users, the coefficients of each half
        of them evaluated on the other half.
        """
        behavior, config = behavior.rated(), config or cls.config
        folds = folds_of(behavior, rng, config)
        damping = choose_damping(behavior, folds, config)
        heads = [cls._kernel(behavior, training, damping, rng, config) for training, _ in folds]
        training = [
            head.prior_training(behavior.users(users))
            for head, (users, _) in zip(heads, folds, strict=True)
        ]
        pulls = training[0].best_pulls()
        heads = [
            head.with_priors(users, pulls) for head, users in zip(heads, training, strict=True)
        ]
        rows = min(
            (
                Rehearsal.of(
                    behavior,
                    folds,
                    [replace(h, offset_variance=offset) for h in heads],
                    offset,
                    config.held_out_ratings,
                )
                for offset in config.offset_variance
            ),
            key=Rehearsal.loss,
        )
        learned = rows.fitted(np.ones(rows.users, bool))
        everyone = np.arange(len(behavior.histories))
        fitted = cls._kernel(behavior, everyone, damping, rng, config)
        points = np.array(behavior.horizon.support_sizes, np.int64)
        fitted = fitted.with_priors(fitted.prior_training(behavior), pulls)
        fitted = replace(fitted, offset_variance=rows.offset_variance)
        fitted = replace(fitted, points=points, shares=learned.shares, noise=learned.noise)
        return replace(fitted, curves=learned.curves), rows.errors()

    @classmethod
    def of_users(
        cls,
        behavior: Behavior,
        users: np.ndarray,
        rng: np.random.Generator,
        config: RatingConfig | None = None,
    ) -> RatingHead:
        """Fit the kernel on `users` alone, with initial coefficients, to predict the others."""
        config = config or cls.config
        return cls._kernel(behavior.rated(), users, config.item_damping[0], rng, config)

    @classmethod
    def _kernel(
        cls,
        behavior: Behavior,
        users: np.ndarray,
        damping: float,
        rng: np.random.Generator,
        config: RatingConfig,
    ) -> RatingHead:
        """Fit mean, item biases and features on `users`, with initial coefficients."""
        values, unit = behavior.histories.values, unit_of(behavior)
        behavior = behavior.users(users)
        histories = behavior.histories
        offsets = offsets_of_ratings(behavior, damping, unit, config)
        offsets, content_bias = started_by_content(behavior, offsets, damping, config)
        residuals = offsets.residuals(histories)
        factors = factors_of(histories, residuals, behavior.n_items, rng, config)
        features = np.concatenate([factors, config.content_scale * behavior.content], axis=1)
        return cls(
            mean=offsets.mean,
            low=float(values.min()),
            high=float(values.max()),
            unit=unit,
            offset_variance=config.offset_variance[0],
            item_bias=offsets.items.astype(np.float32),
            content_bias=content_bias,
            features=features.astype(np.float32),
            points=np.zeros(1, np.int64),
            shares=START[None],
            noise=np.full(1, config.noise**0.5),
            config=config,
            fame=log_popularity(histories.items, behavior.n_items),
        )

    def prior_training(self, behavior: Behavior) -> PriorTraining:
        """Return what the priors of this head are fitted to, on these training users."""
        histories = behavior.histories
        equations = ProfileEquations.of(
            histories,
            (histories.values - self.mean) / self.unit - self.item_bias[histories.items],
            behavior.profiles,
            self.features[:, : self.config.dim].astype(np.float64),
            offset_variance=self.offset_variance,
            noise=self.config.noise,
            weights=behavior.weights_of(np.arange(len(histories))),
            max_directions=self.config.profile_directions,
        )
        return PriorTraining(
            behavior=behavior, equations=equations, item_bias=self.item_bias, config=self.config
        )

    def with_priors(self, training: PriorTraining, pulls: Pulls) -> RatingHead:
        """Return the same head with profile and choice priors fitted with these penalties."""
        prior, choices = training.fitted(pulls)
        return replace(self, prior=prior, choices=choices)

    def process(
        self, support: Histories, query: Histories, profiles: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and variance of the process at each query event [E], from each user's support
        and profile [B, P].
        """
        support = support.rated
        start = self.prior.of(profiles, len(support)) + self.choices.of(support)
        longest = min(int(support.lengths.max(initial=1)), self.config.newest)
        numbers = (self.features.shape[1] + 2 * longest) * int(query.lengths.max(initial=1))
        step = max(1, NUMBERS_AT_ONCE // max(numbers, 1))
        if step >= len(support):
            return self._process(support, query, start)
        rows = np.arange(len(support))
        some = np.split(rows, range(step, len(rows), step))
        parts = [self._process(support.users(p), query.users(p), start[p]) for p in some]
        means, variances = zip(*parts, strict=True)
        return np.concatenate(means), np.concatenate(variances)

    def _process(
        self, support: Histories, queried: Histories, start: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        longest = min(int(support.lengths.max(initial=1)), self.config.newest)
        newest, query = support.padded(longest), queried.padded()
        is_real = newest.is_real.astype(np.float32)
        seen_BSF = self.features[newest.items] * is_real[..., None]
        query_BQF = self.features[query.items]
        residual = (
            (newest.values - self.mean) / self.unit
            - self.item_bias[newest.items]
            - weighted(start, seen_BSF)
        ) * is_real
        mean, variance = adapted(
            seen_BSF,
            residual,
            is_real,
            query_BQF,
            offset_variance=self.offset_variance,
            noise=self.config.noise,
        )
        mean = mean + weighted(start, query_BQF)
        return mean[query.is_real], variance[query.is_real]

    def predict(
        self, support: Histories, query: Histories, profiles: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the predicted rating and its standard deviation for each query event [E], user by
        user, in the order of `query`.
        """
        steps, spread = self.steps(support, query, profiles)
        steps = self.curves.of(steps, support.rated.lengths[query.owners])
        values = np.minimum(np.maximum(self.mean + self.unit * steps, self.low), self.high)
        return values, self.unit * spread

    def steps(
        self, support: Histories, query: Histories, profiles: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the prediction for each query event [E] in steps from the mean, before the median
        curve and the limits of the scale, and its standard deviation.
        """
        columns, variance = self.columns(support, query, profiles)
        of_event = self._by_events.after(support.rated.lengths)[query.owners]
        steps = np.einsum("ec,ec->e", of_event[:, :-1], columns)
        return steps, np.sqrt(of_event[:, -1] ** 2 + variance)

    def columns(
        self, support: Histories, query: Histories, profiles: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the regression columns [E, C] and the process's variance [E] at query events."""
        support = support.rated
        process, variance = self.process(support, query, profiles)
        left = (support.values - self.mean) / self.unit - self.item_bias[support.items]
        spread = spread_of(support, left, self.config.noise)
        bias, fame = self.item_bias[query.items], self.fame[query.items]
        return columns_of(bias, process, fame, spread[query.owners]), variance

    @cached_property
    def _by_events(self) -> Interpolation:
        """[C + 1] coefficients and noise per number of ratings."""
        return Interpolation.between(
            self.points, np.concatenate([self.shares, self.noise[:, None]], axis=1)
        )

    def with_content(self, content: np.ndarray) -> RatingHead:
        """Return the same head for a catalog of `content` [N', C]: old items first, new ones
        appended with the bias predicted from their content and with factors 0.
        """
        factors = self.features.shape[1] - content.shape[1]
        more = len(content) - len(self.item_bias)
        learned = np.pad(self.features[:, :factors], ((0, more), (0, 0)))
        bias = self.content_bias
        new = content[-more:] @ bias[:-1] + bias[-1] if more and len(bias) else np.zeros(more)
        return replace(
            self,
            item_bias=np.append(self.item_bias, new).astype(np.float32),
            features=np.concatenate([learned, self.config.content_scale * content], axis=1).astype(
                np.float32
            ),
            choices=self.choices.with_items(len(content)),
            fame=np.append(self.fame, np.zeros(more, np.float32)),
        )

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return everything learned, as named arrays."""
        return {
            "scale": np.array([self.mean, self.low, self.high, self.unit, self.offset_variance]),
            "item_bias": self.item_bias,
            "content_bias": self.content_bias,
            "features": self.features,
            "points": self.points,
            "shares": self.shares,
            "noise": self.noise,
            "profile_middle": self.prior.middle,
            "profile_weights": self.prior.weights,
            "choice_vectors": self.choices.vectors,
            "choice_points": self.choices.points,
            "choice_weights": self.choices.weights,
            "fame": self.fame,
            **self.curves.arrays(),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: RatingConfig | None = None
    ) -> RatingHead:
        """Return the head that `arrays()` was called on."""
        arrays, config = with_current_names(arrays, ARRAYS), config or cls.config
        scale = [float(x) for x in arrays["scale"]]
        # Heads saved before ratings were scaled to one standard deviation hold no unit.
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
            # Heads saved before content, profiles and choices were used lack these arrays.
            content_bias=arrays.get("content_bias", np.zeros(0, np.float32)),
            prior=ProfilePrior(middle=arrays["profile_middle"], weights=arrays["profile_weights"])
            if "profile_weights" in arrays
            else ProfilePrior.nothing(),
            choices=ChoicePrior(
                **{n: arrays[f"choice_{n}"] for n in ("vectors", "points", "weights")}
            )
            if "choice_weights" in arrays
            else ChoicePrior.nothing(),
            shares=completed(arrays["shares"]),
            fame=arrays.get("fame", np.zeros_like(arrays["item_bias"])),
            curves=MedianCurves.from_arrays(arrays),
            **{name: arrays[name] for name in ("item_bias", "features", "points", "noise")},
        )

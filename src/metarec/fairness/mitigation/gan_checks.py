"""Checks whether synthetic users are copies of real ones, and whether they resemble real ones at
all.

- *nearest neighbor*: a synthetic user should be no closer (Jaccard distance) to the users the GAN
  was trained on than held-out real users are;
- *membership inference* (Chen et al. 2020, arXiv:1909.03935, the distance attack): can an attacker
  who sees only the synthetic users tell who was in the training data? The attack's threshold is
  tuned on one half of the users and its advantage (true minus false positive rate) is measured on
  the other, so that chance gives 0;
- *statistics*: popularity of items, co-occurrence of items, variety among users, and the AUC of a
  logistic classifier of real against synthetic users (0.5 if it cannot tell them apart).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from metarec.evaluation.significance import resample

TOO_CLOSE = 0.01
"""Quantile of held-out users' distances below which a synthetic user counts as a copy; independent
users fall below it with about this probability.
"""
MAX_COPIES = 0.05
"""Share of copies above which the synthetic users fail."""
PAIRS_OF = 100
"""Number of most popular items among which pairs are compared."""


@dataclass(frozen=True, kw_only=True)
class GanReport:
    """Results of the checks."""

    real: int
    """Real users that the GAN was trained on."""
    held_out: int
    """Real users held out from the GAN."""
    synthetic: int
    """Synthetic users checked."""
    exact_copies: int
    """Synthetic users with exactly the items of a training user."""
    distance: float
    """Median Jaccard distance of a synthetic user to the nearest training user."""
    held_out_distance: float
    """Median Jaccard distance of a held-out real user to the nearest training user."""
    copies: float
    """Share of synthetic users closer to a training user than 99% of the held-out users are."""
    membership_advantage: float
    """True minus false positive rate of the membership attack on users it was not tuned on; 0 is
    chance.
    """
    membership_low: float
    membership_high: float
    """95% bootstrap interval."""
    popularity_correlation: float
    """Correlation of item frequencies between real and synthetic users."""
    pair_correlation: float
    """Correlation of the phi coefficients of pairs of popular items between real and synthetic
    users.
    """
    variety: float
    """Median distance between synthetic users divided by that between real ones; far below 1 means
    mode collapse.
    """
    classifier_auc: float
    """Cross-validated AUC of a logistic classifier of real against synthetic users."""

    @property
    def is_safe(self) -> bool:
        """Whether there are no exact copies, few near ones, and no membership advantage clearly
        above zero.
        """
        return not self.exact_copies and self.copies <= MAX_COPIES and self.membership_low <= 0

    @property
    def is_like_real(self) -> bool:
        """Whether item popularity, variety among users and pairs of items resemble those of real
        users.
        """
        return (
            self.popularity_correlation > 0.8 and self.variety > 0.7 and self.pair_correlation > 0.2
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain data, with `is_safe` and `is_like_real`."""
        return asdict(self) | {"is_safe": self.is_safe, "is_like_real": self.is_like_real}

    def to_text(self) -> str:
        """Return the report as text."""
        return "\n".join(
            [
                f"{self.synthetic} synthetic users against {self.real} the GAN saw and "
                f"{self.held_out} it did not",
                f"  copies: {self.exact_copies} exact; {self.copies:.1%} nearer than 99% of "
                f"unseen users "
                f"(median distance {self.distance:.3f}, unseen users "
                f"{self.held_out_distance:.3f})",
                f"  membership advantage {self.membership_advantage:+.3f} "
                f"[{self.membership_low:+.3f}, {self.membership_high:+.3f}]; 0 is chance",
                f"  correlation of popularity {self.popularity_correlation:.3f}, of pairs "
                f"{self.pair_correlation:.3f}; "
                f"variety {self.variety:.2f} of real; told from real with AUC "
                f"{self.classifier_auc:.3f}",
                f"  {'safe' if self.is_safe else 'NOT SAFE'} to use; "
                f"{'like' if self.is_like_real else 'NOT LIKE'} real users",
            ]
        )


def check(
    real: np.ndarray, held_out: np.ndarray, made: np.ndarray, rng: np.random.Generator
) -> GanReport:
    """Compare synthetic users [M, N] with users the GAN was trained on [R, N] and held-out users
    [H, N] (all bool).
    """
    to_real, unseen_to_real = nearest_distance(made, real), nearest_distance(held_out, real)
    limit = np.quantile(unseen_to_real, TOO_CLOSE)
    advantage, low, high = membership_advantage(
        nearest_distance(real, made), nearest_distance(held_out, made), rng
    )
    everyone = np.concatenate([real, held_out])
    return GanReport(
        real=len(real),
        held_out=len(held_out),
        synthetic=len(made),
        exact_copies=int((to_real == 0).sum()),
        distance=float(np.median(to_real)),
        held_out_distance=float(np.median(unseen_to_real)),
        copies=float((to_real < limit).mean()),
        membership_advantage=advantage,
        membership_low=low,
        membership_high=high,
        popularity_correlation=_correlation(everyone.mean(axis=0), made.mean(axis=0)),
        pair_correlation=_correlation(
            _pairs_beyond_chance(everyone, everyone), _pairs_beyond_chance(made, everyone)
        ),
        variety=float(_spread(made, rng) / max(_spread(everyone, rng), 1e-12)),
        classifier_auc=_classifier_auc(everyone, made, rng),
    )


def nearest_distance(users: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return [A] the Jaccard distance, in [0, 1], of each of `users` [A, N] to the nearest of
    `others` [B, N].
    """
    return np.concatenate(
        [
            _jaccard(users[start : start + 512], others).min(axis=1)
            for start in range(0, len(users), 512)
        ]
    )


def _jaccard(users: np.ndarray, others: np.ndarray) -> np.ndarray:
    both = users.astype(np.float32) @ others.astype(np.float32).T
    either = users.sum(axis=1)[:, None] + others.sum(axis=1)[None, :] - both
    return np.asarray(1.0 - both / np.maximum(either, 1.0))


def membership_advantage(
    members: np.ndarray, anonymous: np.ndarray, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Return the advantage of an attack that guesses "was in the training data" for users near a
    synthetic user, and its 95% interval.

    Args:
        members: [R] distances of training users to the nearest synthetic user.
        anonymous: [H] distances of held-out users to the nearest synthetic user.
    """
    (tune_in, evaluate_in), (tune_out, evaluate_out) = (
        np.array_split(rng.permutation(side), 2) for side in (members, anonymous)
    )
    limits = np.unique(np.concatenate([tune_in, tune_out]))
    gains = (tune_in[None, :] <= limits[:, None]).mean(axis=1) - (
        tune_out[None, :] <= limits[:, None]
    ).mean(axis=1)
    caught, wronged = (
        (side <= limits[int(gains.argmax())]).astype(np.float64)
        for side in (evaluate_in, evaluate_out)
    )
    draws = resample(len(caught), rng) @ caught / len(caught) - resample(
        len(wronged), rng
    ) @ wronged / len(wronged)
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(caught.mean() - wronged.mean()), float(low), float(high)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return Pearson's correlation; 0 if either side is constant."""
    a, b = one - one.mean(), other - other.mean()
    size = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / size) if size > 0 else 0.0


def _pairs_beyond_chance(users: np.ndarray, popular_in: np.ndarray) -> np.ndarray:
    """Return [P] the phi coefficient of every pair of the most popular items: their co-occurrence
    beyond chance.
    """
    top = np.argsort(-popular_in.mean(axis=0), kind="stable")[:PAIRS_OF]
    events = users[:, top].astype(np.float64)
    events -= events.mean(axis=0)
    size = np.sqrt((events**2).sum(axis=0))
    phi = events.T @ events / np.maximum(np.outer(size, size), 1e-12)
    return np.asarray(phi[np.triu_indices(len(top), 1)])


def _spread(users: np.ndarray, rng: np.random.Generator) -> float:
    """Return the median Jaccard distance between two different users, from at most 400 of them."""
    some = users[rng.permutation(len(users))[:400]]
    return (
        float(np.median(_jaccard(some, some)[np.triu_indices(len(some), 1)]))
        if len(some) > 1
        else 0.0
    )


def _classifier_auc(real: np.ndarray, made: np.ndarray, rng: np.random.Generator) -> float:
    """Return the cross-validated AUC of a logistic classifier on equally many users of both
    kinds.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import cross_val_predict

    size = min(len(real), len(made), 1000)
    sides = [side[rng.permutation(len(side))[:size]].astype(np.float32) for side in (real, made)]
    truth = np.repeat([1, 0], size)
    order = rng.permutation(2 * size)
    predicted = cross_val_predict(
        LogisticRegression(C=0.1, max_iter=300),
        np.concatenate(sides)[order],
        truth[order],
        cv=3,
        method="decision_function",
    )
    return float(roc_auc_score(truth[order], predicted))

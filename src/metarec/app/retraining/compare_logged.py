"""Comparison of champion and challenger on logged slates, by off-policy estimates from
propensities.

Estimated is the number of liked items per place, had each model chosen the slates that were shown.
Both models recommend with what was known of the user at the time of the slate, and outcomes are
weighted by one over the logged propensity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from metarec.evaluation.offpolicy import Estimate, difference, doubly_robust, snips
from metarec.feedback.outcomes import ValueScale, as_history, join_outcomes
from metarec.feedback.promotion import Comparison
from metarec.feedback.retention import whole_since
from metarec.feedback.store.event_store import Store
from metarec.recommendation.slate import Request
from metarec.recommender import Recommender

MAX_SLATES = 2_000
MIN_SLATES = 50


@dataclass(frozen=True, kw_only=True)
class Log:
    """Logged slates with the outcome of each place."""

    requests: list[Request]
    """[S] what was known of the user at the time of each slate."""
    rows: pl.DataFrame
    """One row per place: `slate` (index into requests), `place`, `item_id`, `propensity`,
    `outcome`, `user_id`.
    """

    @property
    def k(self) -> int:
        """Length of the longest slate."""
        # Polars types max() as any literal
        return int(self.rows["place"].max() or 0) + 1  # type: ignore[arg-type]

    @property
    def users(self) -> int:
        """Number of users who saw these slates."""
        return self.rows["user_id"].n_unique()


def read_log(store: Store, scale: ValueScale, profiles: dict[str, dict[str, object]]) -> Log:
    """Return the latest slates of the store, each with the user's events before it. Slates from
    before the last deletion of old ones are left out, as only answered ones of them are left.
    """
    slates = store.slates(whole_since(store), latest=MAX_SLATES)
    events = store.as_frame()
    rows = join_outcomes(slates, events, scale).join(
        slates.select("slate_id")
        .with_row_index("slate")
        .with_columns(pl.col("slate").cast(pl.Int64)),
        on="slate_id",
    )
    of_user = {
        str(user_id): list(
            group.sort("timestamp", "sequence")
            .select("item_id", "value", "kind", "timestamp")
            .iter_rows()
        )
        for (user_id,), group in events.join(
            slates.select("user_id").unique(), on="user_id", how="semi"
        ).group_by("user_id")
    }
    requests = [
        Request(
            history=as_history(
                [event for event in of_user.get(user_id, []) if event[3] < at], scale
            ),
            profile=dict(profiles.get(user_id, {})),
        )
        for user_id, at in slates.select("user_id", "timestamp").iter_rows()
    ]
    return Log(requests=requests, rows=rows)


def compare_on_log(champion: Recommender, challenger: Recommender, log: Log) -> list[Comparison]:
    """Return self-normalized and doubly robust estimates of both models; none with fewer than
    `MIN_SLATES` slates, or where no item shown was liked, as all estimates would be 0.
    """
    if len(log.requests) < MIN_SLATES or not log.rows["outcome"].sum():
        return []
    choices_by_name = {
        name: _choices(model, log)
        for name, model in (("champion", champion), ("challenger", challenger))
    }
    reward_model = _RewardModel(champion, log)
    comparisons = []
    for label, estimate in (("SNIPS", _snips), ("doubly robust", _doubly_robust)):
        estimates = {
            name: estimate(log, choices, reward_model) for name, choices in choices_by_name.items()
        }
        if all(one.is_trustworthy for one in estimates.values()):
            comparisons.append(
                _comparison(label, estimates["champion"], estimates["challenger"], log.users)
            )
    return comparisons


def _choices(model: Recommender, log: Log) -> pl.DataFrame:
    """Return the slates that a model would have shown: `slate, place, chosen`. Items in the history
    are not recommended again, as when serving.
    """
    slates = model.recommend(log.requests, k=log.k)
    return (
        pl.DataFrame(
            {"slate": range(len(slates)), "chosen": [slate.item_ids for slate in slates]},
            schema={"slate": pl.Int64, "chosen": pl.List(pl.Utf8)},
        )
        .with_columns(pl.int_ranges(pl.col("chosen").list.len()).alias("place"))
        .explode("chosen", "place")
    )


def _beside(log: Log, choices: pl.DataFrame) -> pl.DataFrame:
    return log.rows.join(choices, on=["slate", "place"], how="left", maintain_order="left")


def _snips(log: Log, choices: pl.DataFrame, _reward_model: _RewardModel) -> Estimate:
    rows = _beside(log, choices)
    agrees = (rows["item_id"] == rows["chosen"]).fill_null(value=False).to_numpy().astype(float)
    return snips(
        rows["outcome"].to_numpy(),
        rows["propensity"].to_numpy(),
        agrees,
        rows["user_id"].to_numpy(),
    )


def _doubly_robust(log: Log, choices: pl.DataFrame, reward_model: _RewardModel) -> Estimate:
    rows = _beside(log, choices)
    agrees = (rows["item_id"] == rows["chosen"]).fill_null(value=False).to_numpy().astype(float)
    return doubly_robust(
        rows["outcome"].to_numpy(),
        rows["propensity"].to_numpy(),
        agrees,
        reward_model.of(rows["slate"], rows["place"], rows["item_id"]),
        np.where(  # nothing is liked at a place that stays empty
            rows["chosen"].is_null(),
            0.0,
            reward_model.of(rows["slate"], rows["place"], rows["chosen"]),
        ),
        rows["user_id"].to_numpy(),
    )


class _RewardModel:
    """Logistic regression of a like on the champion's score of the item and the reciprocal of its
    place.

    It is fitted on the log that it is applied to; with three parameters it cannot overfit.
    """

    def __init__(self, champion: Recommender, log: Log) -> None:
        from sklearn.linear_model import LogisticRegression

        scores = np.asarray(champion.score(log.requests), dtype=np.float64)
        self._scores = scores - scores.mean(axis=1, keepdims=True)
        self._vocabulary = champion.vocabulary
        outcome = log.rows["outcome"].to_numpy()
        self._constant = float(outcome.mean())
        self._fitted = (
            LogisticRegression().fit(
                self._features(log.rows["slate"], log.rows["place"], log.rows["item_id"]), outcome
            )
            if 0 < outcome.sum() < len(outcome)
            else None
        )

    def of(self, slate: pl.Series, place: pl.Series, items: pl.Series) -> np.ndarray:
        """[M] predicted probability of a like; an item that the champion does not know gets its
        mean score.
        """
        if self._fitted is None:
            return np.full(len(slate), self._constant)
        return np.asarray(self._fitted.predict_proba(self._features(slate, place, items))[:, 1])

    def _features(self, slate: pl.Series, place: pl.Series, items: pl.Series) -> np.ndarray:
        columns = self._vocabulary.indexes(items.fill_null("").to_list())
        score = np.where(columns >= 0, self._scores[slate.to_numpy(), np.maximum(columns, 0)], 0.0)
        return np.column_stack([score, 1.0 / (1.0 + place.to_numpy())])


def _comparison(label: str, champion: Estimate, challenger: Estimate, users: int) -> Comparison:
    """Return the comparison of two estimates from one log, with the paired interval of their
    difference.
    """
    low, high = difference(challenger, champion)
    return Comparison(
        name=f"likes per place shown ({label})",
        champion=champion.value,
        challenger=challenger.value,
        reading="clear",
        low=low,
        high=high,
        users=users,
    )

"""What refusals are worth is learned where held-out users can tell."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from metarec import Dataset, Recommender, Request
from metarec.data.cold_users import Horizon
from metarec.recommendation.ensemble.blend import Ensemble
from metarec.recommendation.ensemble.refusals import REFUSAL, RefusalsConfig, Refusers

SHORT = Horizon(support_sizes=(0, 1, 3), pool=4, min_events=6)


def feed(*, meant: bool, users: int = 120, items: int = 15, seed: int = 1) -> Dataset:
    """Users like one of three topics; what they hide is of another topic, or of the one they like
    nearly as often as of others.
    """
    rng, rows = np.random.default_rng(seed), []
    for user in range(users):
        topic = user % 3
        liked = rng.permutation(items)
        for step in range(9):
            at = 1.7e9 + 1e5 * user + 100 * step
            rows.append((f"u{user}", f"{topic}-{liked[step]}", at, "like"))
            if step < 4:
                hidden = (topic + 1) % 3 if meant else topic
                item = liked[10 + step] if hidden == topic else rng.integers(items)
                rows.append((f"u{user}", f"{hidden}-{item}", at + 50, "hide"))
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "kind"], orient="row")
    return Dataset(interactions=frame, name="feed")


@pytest.fixture(scope="module", params=[True, False], ids=["of another topic", "of the same topic"])
def fitted(request: pytest.FixtureRequest) -> tuple[bool, Recommender]:
    data = feed(meant=request.param)
    return request.param, Recommender.fit(data, preset="tiny", encoder="none", horizon=SHORT)


def test_refusals_weigh_as_held_out_users_say(fitted: tuple[bool, Recommender]) -> None:
    meant, model = fitted
    assert model.ensemble.refusal in RefusalsConfig().tried
    assert model.ensemble.refusal >= REFUSAL if meant else model.ensemble.refusal < REFUSAL
    is_told = any(note.startswith("refusals:") for note in model.notes)
    assert is_told == (model.ensemble.refusal != REFUSAL)


def test_whatever_they_weigh_refusals_lower_their_like(fitted: tuple[bool, Recommender]) -> None:
    _, model = fitted
    before, after = model.score(
        [Request(), Request(history=[(f"1-{n}", None, "hide") for n in range(3)])]
    )
    like, others = (
        model.vocabulary.indexes([f"{topic}-{n}" for n in range(3, 15)]) for topic in "12"
    )
    change = after - before
    assert change[like].mean() < change[others].mean() - 1e-3


def test_the_weight_is_saved_and_old_models_have_the_default(
    fitted: tuple[bool, Recommender],
) -> None:
    _, model = fitted
    arrays, names = model.ensemble.arrays(), tuple(model.ensemble.scorers)
    again = Ensemble.from_arrays(names, arrays, model.ensemble.configs)
    assert again.refusal == model.ensemble.refusal
    old = {name: array for name, array in arrays.items() if name != "refusal"}
    assert Ensemble.from_arrays(names, old, model.ensemble.configs).refusal == REFUSAL


def test_only_what_was_refused_before_the_end_of_the_pool_is_known(
    fitted: tuple[bool, Recommender],
) -> None:
    behavior = fitted[1].behavior()
    found = Refusers.of(behavior, np.arange(20))
    ends = [behavior.pool.users(np.array([user])).times.max() for user in found.users]
    assert len(found.users) == 20
    assert all(found.refused.times <= np.repeat(ends, found.refused.lengths))
    assert (found.refused.lengths < behavior.refused.users(found.users).lengths).any()

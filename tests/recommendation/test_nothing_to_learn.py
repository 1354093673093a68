"""Events that say nothing to recommend by are refused in one line that names what they say."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from metarec import BadInput, Dataset, Recommender, Request
from metarec.evaluation.evaluate import evaluate

ITEMS, USERS = 12, 30


def _events(kinds: list[str], *, values: list[float] | None = None, on_one: int = 1) -> Dataset:
    """Users do the same `kinds`, one after another, so many on each item."""
    rows = [
        (f"u{user}", f"i{(user + place // on_one) % ITEMS}", kind, 1.6e9 + 100 * user + place)
        for user in range(USERS)
        for place, kind in enumerate(kinds)
    ]
    frame = pl.DataFrame(rows, ["user_id", "item_id", "kind", "timestamp"], orient="row")
    if values is not None:
        frame = frame.with_columns(value=pl.Series(values * USERS))
    return Dataset(interactions=frame)


def _refused(data: Dataset, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Recommender.fit(data, preset="tiny", encoder="none")


def test_acts_that_all_say_no_are_refused():
    data = _events(["hide", "dislike"] * 3)
    _refused(data, r"no event says, in the end, .* \((hide|dislike) 90, (hide|dislike) 90\)")
    with pytest.raises(BadInput, match="no event says, in the end"):
        evaluate(data, models=[], baselines=["Popular"])


def test_acts_that_say_nothing_are_refused():
    _refused(_events(["impression"] * 4), r"no event says.* \(impression 120\)")


def test_acts_that_were_all_taken_back_are_refused():
    _refused(_events(["like", "hide"] * 3, on_one=2), "no event says, in the end")


def test_targets_that_come_first_and_never_again_teach_nothing():
    _refused(_events(["purchase", *["view"] * 9]), r"no user likes .* in \[kinds\]")


def test_users_who_liked_their_first_items_alone_teach_nothing():
    data = _events(["rating"] * 8, values=[5.0, 5.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    _refused(data, "no user likes anything that is a target after their first events")


@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_the_one_user_who_can_teach_is_held_out_and_the_others_teach_nothing(preset: str) -> None:
    """What learns from tasks then learns from none, and the rest still recommends."""
    rows = [("u", f"i{n}", "purchase", 1.6e9 + n) for n in range(8)]
    for user in range(USERS):
        rows += [(f"v{user}", f"i{(user + n) % ITEMS}", "view", 1.6e9 + n) for n in range(3)]
    events = pl.DataFrame(rows, ["user_id", "item_id", "kind", "timestamp"], orient="row")
    ages = pl.DataFrame({"user_id": [f"v{n}" for n in range(USERS)], "age": range(USERS)})

    model = Recommender.fit(Dataset(interactions=events, users=ages), preset, encoder="none")
    (slate,) = model.recommend([Request(history=[("i1", 1.0)])], k=5)

    assert len(slate.item_ids) == 5
    assert np.isfinite(slate.scores).all()

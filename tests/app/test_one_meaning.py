"""The same acts are worth the same to every model, however they come: in Python, sent along,
stored, imported, or learned from after a retraining.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

pytest.importorskip("fastapi")

from contracts.shop_of_kinds import shop
from metarec import Dataset, Recommender, Request
from metarec.app.importing import import_data
from metarec.app.retraining.loop import retrain
from metarec.app.service.conversion.requests import request_of
from metarec.app.service.schemas import UserInput
from metarec.app.service.scoring.live_model import Served
from metarec.feedback import open_store
from metarec.feedback.events import Event
from metarec.feedback.registry import Registry
from metarec.feedback.store.event_store import Store
from metarec.models.base import dense

ACTS = [
    ("tent0", None, "view", 1.7e9),
    ("tent1", None, "purchase", 1.7e9 + 60),
    ("tent1", None, "purchase", 1.7e9 + 9e5),
    ("cup0", None, "不感兴趣", 1.7e9 + 1e6),
    ("tent2", None, "Add To Cart", 1.7e9 + 2e6),
    ("cup1", None, "purchase", 1.7e9 + 3e6),
    ("cup1", None, "return", 1.7e9 + 4e6),
    ("tent3", 2.0, "rating", 1.7e9 + 5e6),
    ("cup2", None, "impression", 1.7e9 + 6e6),
]
"""Item, value, kind and time, of every sign and with repeats."""


def fit(data: Dataset) -> Recommender:
    return Recommender.fit(data, preset="tiny", encoder="none")


@pytest.fixture(scope="module")
def first() -> Recommender:
    return fit(shop(mixed=True))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(str(tmp_path / "events.db"))
    yield opened
    opened.close()


def stored(user: str, acts: list[tuple]) -> list[Event]:
    return [
        Event(
            event_id=f"{user}-{n}",
            user_id=user,
            item_id=item,
            value=value,
            kind=kind,
            timestamp=at,
            is_timed=True,
        )
        for n, (item, value, kind, at) in enumerate(acts)
    ]


def imported(user: str, like: Dataset) -> Dataset:
    names = ["item_id", "value", "kind", "timestamp"]
    frame = pl.DataFrame(ACTS, schema=names, orient="row").with_columns(user_id=pl.lit(user))
    return like.with_interactions(
        frame.cast({"value": pl.Float32}).select("user_id", "item_id", "timestamp", "value", "kind")
    )


def evidence(model: Recommender, request: Request) -> dict[str, np.ndarray]:
    """What each model of the blend says."""
    users, _ = model.users([request])
    return {name: np.array(dense(m.evidence(users))) for name, m in model.ensemble.scorers.items()}


def test_sent_stored_and_imported_acts_are_those_given_in_python(
    first: Recommender, store: Store
) -> None:
    served = Served(model=first, items_version=0)
    store.append(stored("ann", ACTS)).result()
    import_data(store, imported("bob", first.training), first.vocabulary)
    sent = [{"item_id": i, "value": v, "kind": k, "timestamp": at} for i, v, k, at in ACTS]
    ways = {
        "sent": request_of(UserInput(history=sent), served, store, 100),
        "stored": request_of(UserInput(user_id="ann"), served, store, 100),
        "imported": request_of(UserInput(user_id="bob"), served, store, 100),
    }
    given = Request(history=ACTS)
    expected, slate = evidence(first, given), first.recommend([given], k=8)[0]
    for way, request in ways.items():
        found = evidence(first, request)
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values, err_msg=f"{way}, {name}")
        np.testing.assert_array_equal(first.recommend([request], k=8)[0].scores, slate.scores)


def test_what_a_user_was_shown_pushes_out_nothing_they_did(
    first: Recommender, store: Store
) -> None:
    served = Served(model=first, items_version=0)
    shown = [(f"cup{n % 3}", None, "impression", 1.8e9 + n) for n in range(30)]
    acts = [("tent1", None, "purchase", 1.7e9), *shown]
    store.append(stored("eve", acts)).result()
    sent = [{"item_id": i, "value": v, "kind": k, "timestamp": at} for i, v, k, at in acts]
    expected = first.recommend([Request(history=acts)], k=8)[0].scores
    for user in (UserInput(user_id="eve"), UserInput(history=sent)):
        request = request_of(user, served, store, 10)
        np.testing.assert_array_equal(first.recommend([request], k=8)[0].scores, expected)


def test_acts_that_all_have_a_time_count_in_its_order_however_they_are_sent(
    first: Recommender, store: Store
) -> None:
    served = Served(model=first, items_version=0)
    mixed = [*ACTS[::2], *reversed(ACTS[1::2])]
    sent = [{"item_id": i, "value": v, "kind": k, "timestamp": at} for i, v, k, at in mixed]
    store.append(stored("flo", ACTS[5:])).result()
    dated = [(*act[:3], datetime.fromtimestamp(act[3], UTC)) for act in mixed]
    expected = first.recommend([Request(history=ACTS)], k=8)[0]
    for request in (
        Request(history=mixed),
        Request(history=dated),
        request_of(UserInput(history=sent), served, None, 100),
        request_of(UserInput(user_id="flo", history=sent[:3] + sent[-2:]), served, store, 100),
    ):
        slate = first.recommend([request], k=8)[0]
        assert slate.item_ids == expected.item_ids
        np.testing.assert_array_equal(slate.scores, expected.scores)
    untimed = [act[:3] for act in mixed]
    assert list(Request(history=[*mixed, untimed[0]]).history) == [*mixed, untimed[0]]


def test_acts_sent_without_a_time_have_none(first: Recommender) -> None:
    served = Served(model=first, items_version=0)
    sent = [{"item_id": "tent1", "kind": "purchase"}, "tent2", {"item_id": "cup1", "timestamp": 0}]
    history = request_of(UserInput(history=sent), served, None, 100).history
    assert [event[3] for event in history] == [None, None, 0.0]  # not the year 1970


def test_a_retrained_model_is_one_fitted_on_the_same_acts(
    first: Recommender, store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    first.save(folder)
    later = shop(users=120, seed=5, mixed=True).interactions.frame
    later = later.filter(pl.col("user_id").str.strip_prefix("u").cast(pl.Int32) >= 60)
    for user, frame in later.group_by("user_id", maintain_order=True):
        rows = frame.select("item_id", pl.lit(None).alias("value"), "kind", "timestamp").rows()
        store.append(stored(user[0], rows)).result()
    retrain(str(folder), str(tmp_path / "events.db"), force=True)
    registry = Registry(str(folder))
    challenger = Recommender.load(registry.place_of(registry.current()))
    learned = challenger.training.interactions.frame["user_id"].unique()
    assert 60 < len(learned) < 120  # some are kept to compare by
    both = pl.concat([first.training.interactions.frame.select(later.columns), later])
    both = both.filter(pl.col("user_id").is_in(learned.implode()))
    same = fit(Dataset(interactions=both, items=first.training.items, name="two tastes"))
    for name, values in evidence(same, Request(history=ACTS)).items():
        np.testing.assert_allclose(
            evidence(challenger, Request(history=ACTS))[name], values, atol=1e-6, err_msg=name
        )

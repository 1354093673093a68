"""What acts say, for each model alone and for the blend: a purchase outweighs a view, what is
refused comes last and lowers its like, and a repeat, an undo and a later act do what they say.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from contracts.shop_of_kinds import SHORT, TASTES, shop
from metarec import Dataset, Recommender, Request
from metarec.data.errors import DataWarning
from metarec.models.base import Model, dense
from metarec.models.registry import MODELS, USER_TEXT
from metarec.models.transformer.scorer import TransformerConfig
from metarec.recommendation.fitting.ensemble_fit import fit_ensemble
from metarec.recommendation.settings import PRESETS

BLEND = "blend"
NEEDS_MORE = {USER_TEXT, "repeat", "profile"}
"""What reads no accepted events of its own kind here: texts, own history, attributes."""
FAST = PRESETS["small"]


@pytest.fixture(scope="module")
def fitted() -> Recommender:
    return Recommender.fit(shop(), preset="tiny", encoder="none", horizon=SHORT)


@pytest.fixture(scope="module", params=[BLEND, *(n for n in FAST if n not in NEEDS_MORE)])
def model(request: pytest.FixtureRequest, fitted: Recommender) -> Recommender:
    """The blend, or one model behind a gate of its own."""
    if request.param == BLEND:
        return fitted
    assert request.param in MODELS
    behavior = replace(fitted.behavior(), words=None)
    return replace(fitted, ensemble=fit_ensemble(behavior, (request.param,), 0))


def lead(model: Recommender, history: list[tuple[object, ...]]) -> float:
    """How far the mean tent lies above the mean cup, of those that no history here names."""
    scores = model.score([Request(history=history)])[0]
    tents, cups = (
        model.vocabulary.indexes(f"{taste}{number}" for number in range(6, 12)) for taste in TASTES
    )
    return float(scores[tents].mean() - scores[cups].mean())


def test_a_purchase_outweighs_a_view(model: Recommender) -> None:
    nothing = lead(model, [])
    for taste, sign in zip(TASTES, (1, -1), strict=True):
        other = TASTES[sign > 0]
        bought, viewed = (f"{taste}0", None, "purchase"), (f"{other}0", None, "view")
        assert sign * (lead(model, [viewed, bought]) - nothing) > 0
        assert sign * (lead(model, [bought, viewed]) - nothing) > 0


def test_what_is_refused_is_not_shown_and_lowers_its_like(model: Recommender) -> None:
    refused = [(f"tent{n}", None, "dislike") for n in range(3)]
    assert lead(model, refused) < lead(model, []) - 1e-3
    slate = model.recommend([Request(history=refused)], k=20)[0]
    assert not {"tent0", "tent1", "tent2"} & set(slate.item_ids)
    kept = [("cup5", None, "purchase")]
    assert lead(model, [*kept, *refused]) < lead(model, kept)


def test_an_undo_takes_back_and_the_latest_of_equal_acts_counts(model: Recommender) -> None:
    bought, returned = ("tent0", None, "purchase"), ("tent0", None, "return")
    nothing = model.score([Request()])
    undone = model.score([Request(history=[bought, ("tent0", None, "undo")])])
    np.testing.assert_allclose(undone, nothing, atol=1e-5)
    assert lead(model, [bought, returned]) == pytest.approx(lead(model, [returned]), abs=1e-4)
    assert lead(model, [returned, bought]) > lead(model, [bought, returned])


def test_a_repeat_counts_at_least_as_much(model: Recommender) -> None:
    bought, viewed = ("tent0", None, "purchase"), ("cup0", None, "purchase")
    once, often = [bought, viewed], [bought, bought, bought, viewed]
    assert lead(model, often) >= lead(model, once) - 1e-5


def test_neutral_acts_say_nothing(model: Recommender) -> None:
    seen = [("tent0", None, "impression")]
    np.testing.assert_array_equal(model.score([Request(history=seen)]), model.score([Request()]))


def test_what_everybody_returned_comes_last() -> None:
    frame = shop().interactions.frame.select("user_id", "item_id", "timestamp", "kind")
    returned = pl.DataFrame(
        {
            "user_id": [f"u{user}" for user in range(60)],
            "item_id": ["tent3"] * 60,
            "timestamp": [1.79e9] * 60,
            "kind": ["return"] * 60,
        }
    )
    with pytest.warns(DataWarning, match="purchase taken back by return"):
        model = Recommender.fit(
            Dataset(interactions=pl.concat([frame, returned])), preset="tiny", encoder="none"
        )
    for history in ([], [("tent1", None, "purchase")], [("cup1", None, "view")]):
        scores = model.score([Request(history=history)])[0]
        assert model.vocabulary.ids[int(scores.argmin())] == "tent3"


def test_the_same_acts_give_the_same_numbers_after_a_save(fitted: Recommender, tmp_path) -> None:
    fitted.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model")
    asked = [
        Request(history=[("tent0", 1.0, "purchase", 1.7e9), ("cup1", None, "hide", 1.7e9)]),
        Request(history=["tent0", 5]),
    ]
    np.testing.assert_array_equal(again.score(asked), fitted.score(asked))


def read_by_transformers() -> Dataset:
    """What follows depends on one thing alone: tents after a slow step, after a purchase, and in
    the morning; cups after a quick one, after views, and at night.
    """
    rng, rows = np.random.default_rng(0), []
    for user in range(160):
        taste, about = user % 2, ("kind", "gap", "hour")[user % 3]
        at = 1.7e9 + 1e5 * user
        for step in range(10):
            item = f"{TASTES[taste]}{rng.integers(12)}" if step >= 4 else f"any{step}"
            at += 86_400.0 if taste == 0 and about == "gap" else 20.0
            kind = "purchase" if step >= 4 or (taste == 0 and about == "kind") else "view"
            hour = ("morning", "night")[taste] if about == "hour" else None
            rows.append((f"u{user}", item, at, kind, hour))
    names = ["user_id", "item_id", "timestamp", "kind", "moment"]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    users = frame.select("user_id").unique(maintain_order=True)  # the moment is no column of theirs
    return Dataset(interactions=frame, users=users, name="one thing")


@pytest.fixture(scope="module")
def reader() -> Recommender:
    return Recommender.fit(read_by_transformers(), preset="tiny", encoder="none", horizon=SHORT)


@pytest.fixture(scope="module", params=["decoder", "encoder", "encoder_decoder"])
def transformer(request: pytest.FixtureRequest, reader: Recommender) -> Model:
    steps = 400 if request.param == "encoder" else 150  # half of its loss names masked items
    config = TransformerConfig(steps=steps, learning_rate=5e-3, patience=9)
    behavior = replace(reader.behavior(), words=None)
    return MODELS[request.param].fit(behavior, np.random.default_rng(0), config)


@pytest.mark.parametrize("about", ["kind", "gap", "moment"])
def test_transformers_read_kinds_gaps_and_circumstances(
    transformer: Model, reader: Recommender, about: str
) -> None:
    def asked(taste: int) -> Request:
        kind = ("purchase", "view")[taste] if about == "kind" else "view"
        gap = (86_400.0, 20.0)[taste] if about == "gap" else 20.0
        history = [(f"any{n}", None, kind, 1.7e9 + gap * n) for n in range(4)]
        moment = {"moment": ("morning", "night")[taste]} if about == "moment" else {}
        return Request(history=history, context=moment)

    evidence = dense(transformer.evidence(reader.users([asked(0), asked(1)])[0]))
    tents, cups = (reader.vocabulary.indexes(f"{t}{n}" for n in range(12)) for t in TASTES)
    share = evidence[:, tents].sum(1) / evidence[:, [*tents, *cups]].sum(1)
    assert share[0] > share[1] + 0.1

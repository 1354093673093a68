"""What acts say to every model of the registry that reads events, each fitted alone: who bought of
one taste and viewed the other has the taste of what they bought, and what is refused would have
raised its like, which is what the blend takes away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from contracts.shop_of_kinds import SHORT, TASTES, shop
from metarec import Recommender, Request
from metarec.models.base import Model, dense
from metarec.models.few_shot.learners import LEARNERS
from metarec.models.registry import ADAPTIVE_DECODERS, MODELS, USER_TEXT, config_of

OTHERWISE = {
    *(USER_TEXT, "bert_two_tower", "repeat", "transferred"),
    *("friends", "location", "local_knn", "local_mixture", "search"),
}
"""Models that read users as text, which have tests of their own, or nothing of these events."""
OF_EVENTS = [name for name, model in MODELS.items() if name not in OTHERWISE]
QUICK: Mapping[str, Mapping[str, Any]] = {
    "decoder": {"steps": 120, "learning_rate": 5e-3, "patience": 9},
    "encoder": {"steps": 400, "learning_rate": 5e-3, "patience": 9},
    "gru4rec": {"steps": 120, "learning_rate": 1e-2, "patience": 9},
    "caser": {"steps": 120, "learning_rate": 5e-3, "patience": 9},
    "encoder_decoder": {"steps": 120, "learning_rate": 5e-3, "patience": 9},
    **dict.fromkeys(ADAPTIVE_DECODERS, {"steps": 120, "learning_rate": 5e-3, "patience": 9}),
    **dict.fromkeys(LEARNERS, {"outer_steps": 80}),
}

LONG = {name for name in ADAPTIVE_DECODERS if name != "decoder_anil"}
"""Adapted decoders beside one that stays in the quick set: a fit of each takes ten seconds."""


@pytest.fixture(scope="module")
def shopping() -> Recommender:
    return Recommender.fit(shop(mixed=True), preset="tiny", encoder="none", horizon=SHORT)


@pytest.fixture(
    scope="module",
    # The last compares users by where they go, and the shop's items have no coordinates
    params=[
        pytest.param(name, marks=[pytest.mark.long] if name in LONG else [])
        for name in OF_EVENTS
        if name not in ("profile", "context", "local_knn")
    ],
)
def model(request: pytest.FixtureRequest, shopping: Recommender) -> Model:
    behavior = replace(shopping.behavior(), words=None)
    config = config_of(request.param, QUICK.get(request.param))
    return MODELS[request.param].fit(behavior, np.random.default_rng(0), config)


def lead(model: Model, shopping: Recommender, *histories: list[tuple[object, ...]]) -> float:
    """How much more evidence tents get than cups, the mean over these histories."""
    found = dense(model.evidence(shopping.users([Request(history=h) for h in histories])[0]))
    shares = found / np.maximum(found.sum(1, keepdims=True), 1e-9)
    tents, cups = (
        shopping.vocabulary.indexes(f"{taste}{n}" for n in range(6, 12)) for taste in TASTES
    )
    return float((shares[:, tents].sum(1) - shares[:, cups].sum(1)).mean())


def test_a_purchase_outweighs_a_view(model: Model, shopping: Recommender) -> None:
    def mixed(bought: str, viewed: str) -> float:
        pairs = [
            [(f"{bought}{n}", None, "purchase"), (f"{viewed}{n}", None, "view")] for n in range(6)
        ]
        return lead(model, shopping, *pairs, *(acts[::-1] for acts in pairs))

    assert mixed("tent", "cup") > mixed("cup", "tent")


def test_acts_raise_what_is_like_them(model: Model, shopping: Recommender) -> None:
    tents, cups = ([(f"{taste}{n}", None, "purchase") for n in range(3)] for taste in TASTES)
    assert lead(model, shopping, tents) > lead(model, shopping, cups)


def test_acts_that_are_taken_back_or_say_nothing_are_not_read(
    model: Model, shopping: Recommender
) -> None:
    bought, seen = ("tent0", None, "purchase"), ("cup3", None, "impression")
    undone = [bought, ("cup0", None, "purchase"), ("cup0", None, "undo"), seen]
    assert lead(model, shopping, undone) == pytest.approx(lead(model, shopping, [bought]), abs=1e-6)

"""Integrated gradients equal the closed form of a linear and a quadratic function; likeness is the
cosine.
"""

import numpy as np
import pytest

from metarec.explanation.gradients import AttributionInput, integrated_gradients
from metarec.explanation.nearest import item_similarities, nearest
from metarec.recommendation.slate import Request

torch = pytest.importorskip("torch")
pytest.importorskip("captum")


def test_a_linear_function_gives_weight_times_input():
    weight = torch.tensor([[1.0, 2.0], [-3.0, 0.5]])
    input = AttributionInput(
        function=lambda x: (x * weight).sum(dim=(1, 2)),
        inputs=torch.tensor([[1.0, 1.0], [2.0, 4.0]]),
        baseline=torch.zeros(2, 2),
        names=["a", "b"],
    )
    found = integrated_gradients(input)
    np.testing.assert_allclose(found.effects, [3.0, -4.0], atol=1e-5)
    assert abs(found.remainder) < 1e-5


def test_a_curved_function_still_adds_up_from_its_baseline():
    input = AttributionInput(
        function=lambda x: (x**2).sum(dim=1),
        inputs=torch.tensor([2.0, 1.0]),
        baseline=torch.tensor([1.0, 1.0]),
        names=["a", "b"],
    )
    found = integrated_gradients(input)
    np.testing.assert_allclose(found.effects, [3.0, 0.0], atol=1e-4)


def test_likeness_is_the_cosine_of_embeddings(model, rated_world):
    request = Request(history=[("s00", 5.0), ("g00", 5.0)])
    e = model.item_embeddings[model.vocabulary.indexes(["s07", "s00", "g00"])]
    by_hand = [e[0] @ x / np.linalg.norm(e[0]) / np.linalg.norm(x) for x in e[1:]]
    np.testing.assert_allclose(item_similarities(model, request, "s07"), by_hand, atol=1e-9)
    assert nearest(model, request, "s07", k=1)[0][0] == 0


def test_an_item_without_embedding_is_like_nothing(model):
    import polars as pl

    grown = model.with_items(
        pl.DataFrame([{"item_id": "new"}], schema={"item_id": pl.Utf8}).join(
            model.catalog.frame.clear(), on="item_id", how="left"
        )
    )
    np.testing.assert_array_equal(
        item_similarities(grown, Request(history=[("s00", 5.0)]), "new"), [0.0]
    )

"""The set found takes the item off the slate, no smaller one does, and the answer says when that is
not known.
"""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from metarec.data.schema import BadInput
from metarec.explanation.counterfactual import counterfactual
from metarec.explanation.relative_score import hidden_items, top
from metarec.recommendation.slate import Request


@pytest.fixture
def request_(rated_world):
    return Request(history=[("g00", 5.0), ("s00", 4.0), ("g01", 5.0), ("g02", 4.0), ("g03", 5.0)])


def slate(model, request, shown, k):
    return model.vocabulary.names(top(model.score([shown]), hidden_items(model, [request]), k)[0])


def without(request, gone):
    return replace(request, history=[e for n, e in enumerate(request.history) if n not in gone])


def smallest_by_hand(model, request, item_id, k):
    for size in range(len(request.history) + 1):
        if any(
            item_id not in slate(model, request, without(request, gone), k)
            for gone in combinations(range(len(request.history)), size)
        ):
            return size
    return None


def test_the_found_set_is_a_smallest_one(model, request_):
    for item_id in slate(model, request_, request_, 4):
        found = counterfactual(model, request_, item_id, k=4)
        assert found.is_smallest
        by_hand = smallest_by_hand(model, request_, item_id, 4)
        assert by_hand == (None if found.removed is None else len(found.removed))
        if found.removed is not None:
            assert item_id not in slate(model, request_, without(request_, found.removed), 4)
            assert found.slate == slate(model, request_, without(request_, found.removed), 4)


def test_the_world_needs_more_than_one_event_removed(model, request_):
    """Four liked garden items against one space item: no single removal can be enough for every
    garden item.
    """
    found = [
        counterfactual(model, request_, item_id, k=4)
        for item_id in slate(model, request_, request_, 4)
    ]
    assert max(len(f.removed) for f in found if f.removed is not None) >= 2


def test_greedy_takes_over_says_so_and_every_event_it_removes_is_needed(model, request_):
    greedy = 0
    for item_id in slate(model, request_, request_, 4):
        found = counterfactual(model, request_, item_id, k=4, max_tries=5)
        if found.removed is None or found.is_smallest:
            continue
        greedy += 1
        assert item_id not in slate(model, request_, without(request_, found.removed), 4)
        for row in found.removed:
            assert item_id in slate(
                model, request_, without(request_, [r for r in found.removed if r != row]), 4
            )
    assert greedy


def test_an_item_that_stays_without_any_event_has_no_removal(model):
    popular = slate(model, Request(), Request(), 1)[0]
    found = counterfactual(model, Request(), popular, k=1)
    assert found.removed is None
    assert found.is_smallest


def test_an_item_not_on_the_slate_is_refused(model, request_):
    last = slate(model, request_, request_, 19)[-1]
    with pytest.raises(BadInput, match=rf"item '{last}' is not among the first 4"):
        counterfactual(model, request_, last, k=4)
    with pytest.raises(BadInput, match="is not among the first 4"):
        counterfactual(model, request_, "s00", k=4)


def test_seen_items_stay_hidden_when_their_event_is_removed(model, request_):
    found = counterfactual(model, request_, slate(model, request_, request_, 4)[0], k=4)
    assert not {e[0] for e in request_.history} & set(found.slate)
    assert np.unique(found.slate).size == len(found.slate)

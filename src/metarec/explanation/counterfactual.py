"""What would have had to be different: the fewest events whose removal takes an item off the slate.

The idea is PRINCE's (Ghazimatin et al. 2020, arXiv:1911.08378), here through the model itself: sets
are tried from the smallest up, so a set found this way is a smallest one; where the number of sets
outgrows `most_tries`, the events that hold the item most by themselves go first, as many as it
takes, what is not needed of them is put back, and the answer says that it may not be the smallest.
Items of the whole history stay hidden throughout: a removed event is something the user did not
tell us, not an item they have yet to see.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, islice
from math import comb

import numpy as np

from metarec.data.schema import BadInput
from metarec.explanation.relative_score import (
    Explained,
    columns_of,
    hidden_items,
    pieces,
    rows_at_once,
    top,
    without,
)
from metarec.recommendation.explained import Counterfactual
from metarec.recommendation.slate import Request

MAX_TRIES = 2000
"""Sets of events scored at most in the exact search, before the greedy one takes over."""
THINNED = 16
"""Rounds in which the greedy search puts back what is not needed; each scores every event of it."""


def counterfactual(
    model: Explained,
    request: Request,
    item_id: str,
    *,
    k: int = 10,
    most_tries: int = MAX_TRIES,
    among: Sequence[int] | None = None,
) -> Counterfactual:
    """Find the fewest events whose removal takes `item_id` off the slate of `k`.

    Args:
        among: positions of the events that may be removed, where removing all of them is enough;
            else, and by default, any may.

    Raises:
        BadInput: if the item is not on the slate to begin with, or not in the catalog.
    """
    column = int(columns_of(model, [item_id])[0])
    hidden = hidden_items(model, [request])[0]
    length = len(request.history)
    rows = list(range(length) if among is None else among)
    asked = [request, without(request, range(length)), without(request, rows)]
    is_shown, all_gone, some_gone = _stays(model, asked, hidden, column, k)
    if not is_shown:
        raise BadInput(
            f"item {item_id!r} is not among the first {k} of this request; ask about an item on "
            f"the slate or give a larger k"
        )
    if all_gone:
        found, smallest = None, True
    else:
        rows = list(range(length)) if some_gone else rows
        found, smallest = _search(model, request, rows, hidden, column, k, most_tries)
    after = without(request, range(length) if found is None else found)
    # What is taken away may have been what another item needed first.
    slate = top(model.score([after]), hidden[None] | hidden_items(model, [after]), k)[0]
    return Counterfactual(
        item_id=item_id,
        k=k,
        removed=found,
        is_smallest=smallest,
        slate=model.vocabulary.names(slate[slate >= 0]),
    )


def _search(
    model: Explained,
    request: Request,
    rows: list[int],
    hidden: np.ndarray,
    column: int,
    k: int,
    most_tries: int,
) -> tuple[list[int], bool]:
    tried = 0
    for size in range(1, len(rows) + 1):
        tried += comb(len(rows), size)
        if tried > most_tries and size > 1:
            return _greedy(model, request, rows, hidden, column, k), False
        found = _first(model, request, hidden, column, k, combinations(rows, size))
        if found is not None:
            return found, True
    raise AssertionError("removing all of these events was seen to take the item off the slate")


def _first(
    model: Explained,
    request: Request,
    hidden: np.ndarray,
    column: int,
    k: int,
    sets: Iterator[tuple[int, ...]],
) -> list[int] | None:
    """Among sets of one size, the one that sinks the item deepest; None if it stays on the slate in
    all.
    """
    best: tuple[float, list[int]] | None = None
    while batch := list(islice(sets, rows_at_once(len(model.vocabulary)))):
        margins = _margin(model, [without(request, gone) for gone in batch], hidden, column, k)
        row = int(margins.argmin())
        if margins[row] <= 0 and (best is None or margins[row] < best[0]):
            best = (float(margins[row]), list(batch[row]))
    return best[1] if best else None


def _greedy(
    model: Explained, request: Request, rows: list[int], hidden: np.ndarray, column: int, k: int
) -> list[int]:
    """Drop the events that hold the item most until it is off the slate, then put back whatever
    leaves it off, the least of a hold first.
    """

    def margins(sets: list[list[int]]) -> np.ndarray:
        return _margin(model, [without(request, gone) for gone in sets], hidden, column, k)

    order = [rows[place] for place in np.argsort(margins([[row] for row in rows]), kind="stable")]
    first = [order[:size] for size in range(1, len(order) + 1)]
    gone = first[int(np.argmax(margins(first) <= 0))]
    for _ in range(THINNED):
        fewer = [[other for other in gone if other != row] for row in gone]
        left = margins(fewer)
        if left.min() > 0:
            break
        gone = fewer[int(left.argmin())]
    return sorted(gone)


def _margin(
    model: Explained, requests: list[Request], hidden: np.ndarray, column: int, k: int
) -> np.ndarray:
    """Score of the item minus the score it needs for a place among the first k, [B]; 0 or less: off
    the slate.

    Equal scores are ordered by index, as in `relative_score.top`; an item kept by that rule alone
    gets the smallest margin there is.
    """
    if hidden[column]:
        return np.full(len(requests), -np.inf)
    rivals = ~hidden
    rivals[column] = False
    if rivals.sum() < k:
        return np.full(len(requests), np.inf)
    found = []
    for piece in pieces(requests, len(model.vocabulary)):
        scores = model.score(requests[piece]).astype(np.float64)
        own, others = scores[:, column, None], scores[:, rivals]
        ahead = (others > own).sum(axis=1) + (scores[:, :column] == own)[:, rivals[:column]].sum(
            axis=1
        )
        margin = own[:, 0] - np.partition(others, -k, axis=1)[:, -k]
        found.append(
            np.where(
                ahead < k, np.maximum(margin, np.finfo(np.float64).tiny), np.minimum(margin, 0.0)
            )
        )
    return np.concatenate(found)


def _stays(
    model: Explained, requests: list[Request], hidden: np.ndarray, column: int, k: int
) -> np.ndarray:
    return _margin(model, requests, hidden, column, k) > 0

"""Counterfactuals: the smallest set of events whose removal takes an item off the slate.

The idea is that of PRINCE (Ghazimatin et al. 2020, arXiv:1911.08378), applied to the model itself:
sets are tried in order of size, so the first that works is a smallest one. Where there are more
than `max_tries` sets, a greedy search removes the events that support the item most until it is
off the slate, then puts back events that are not needed, and the result says that it may not be the
smallest. Items of the whole history stay hidden throughout: a removed event is one that the user
did not report, not an unseen item.
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
"""Maximum number of event sets scored by the exact search; beyond it the search is greedy."""
THINNED = 16
"""Maximum number of rounds in which the greedy search puts back an event; each scores every removed
event.
"""


def counterfactual(
    model: Explained,
    request: Request,
    item_id: str,
    *,
    k: int = 10,
    max_tries: int = MAX_TRIES,
    among: Sequence[int] | None = None,
) -> Counterfactual:
    """Find the smallest set of events whose removal takes `item_id` off the slate of `k`.

    Args:
        among: positions of the events that may be removed, if removing all of them is enough;
            otherwise, and by default, any event may be removed.

    Raises:
        BadInput: if the item is not on the slate in the first place, or not in the catalog.
    """
    column = int(columns_of(model, [item_id])[0])
    hidden = hidden_items(model, [request])[0]
    length = len(request.history)
    rows = list(range(length) if among is None else among)
    requests = [request, without(request, range(length)), without(request, rows)]
    is_shown, all_gone, some_gone = _stays(model, requests, hidden, column, k)
    if not is_shown:
        raise BadInput(
            f"item {item_id!r} is not among the first {k} of this request; ask about an item on "
            f"the slate or give a larger k"
        )
    if all_gone:
        removed, smallest = None, True
    else:
        rows = list(range(length)) if some_gone else rows
        removed, smallest = _search(model, request, rows, hidden, column, k, max_tries)
    after = without(request, range(length) if removed is None else removed)
    # A removed event may have been the prerequisite of another item.
    slate = top(model.score([after]), hidden[None] | hidden_items(model, [after]), k)[0]
    return Counterfactual(
        item_id=item_id,
        k=k,
        removed=removed,
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
    max_tries: int,
) -> tuple[list[int], bool]:
    """Return the removed events, and whether no smaller set exists."""
    n_tried = 0
    for size in range(1, len(rows) + 1):
        n_tried += comb(len(rows), size)
        if n_tried > max_tries and size > 1:
            return _greedy(model, request, rows, hidden, column, k), False
        removed = _first(model, request, hidden, column, k, combinations(rows, size))
        if removed is not None:
            return removed, True
    raise AssertionError("removing all of these events was seen to take the item off the slate")


def _first(
    model: Explained,
    request: Request,
    hidden: np.ndarray,
    column: int,
    k: int,
    sets: Iterator[tuple[int, ...]],
) -> list[int] | None:
    """Return, of all sets of one size that take the item off the slate, the one with the lowest
    margin; None if there is none.
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
    """Remove the events that support the item most until it is off the slate, then put back events
    without which it stays off, those that support it least first.
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
    """[B] score of the item minus the score it needs for the top k; 0 or less: off the slate.

    Ties are ordered by index, as in `relative_score.top`; an item that is in the top k by this rule
    alone has the smallest positive margin.
    """
    if hidden[column]:
        return np.full(len(requests), -np.inf)
    rivals = ~hidden
    rivals[column] = False
    if rivals.sum() < k:
        return np.full(len(requests), np.inf)
    margins = []
    for piece in pieces(requests, len(model.vocabulary)):
        scores = model.score(requests[piece]).astype(np.float64)
        of_item, others = scores[:, column, None], scores[:, rivals]
        ahead = (others > of_item).sum(axis=1) + (scores[:, :column] == of_item)[
            :, rivals[:column]
        ].sum(axis=1)
        margin = of_item[:, 0] - np.partition(others, -k, axis=1)[:, -k]
        margins.append(
            np.where(
                ahead < k, np.maximum(margin, np.finfo(np.float64).tiny), np.minimum(margin, 0.0)
            )
        )
    return np.concatenate(margins)


def _stays(
    model: Explained, requests: list[Request], hidden: np.ndarray, column: int, k: int
) -> np.ndarray:
    return _margin(model, requests, hidden, column, k) > 0

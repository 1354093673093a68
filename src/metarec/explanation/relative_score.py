"""What explanations read of a model, and the number they explain: an item's relative score for one
user.

Log-scores have no absolute zero, so every explanation speaks of an item's *relative score*: its
score minus the mean score of what would be shown to an anonymous user (items weighted as the model
itself weighs them for nobody in particular). It is linear in the score, so the parts of a score
stay parts of the relative score; and it compares with items that might really be shown, not with
the thousands that nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from metarec.data.arguments import ids_of
from metarec.data.domains import DEFAULT_POLICY
from metarec.data.schema import BadInput, Catalog, Vocabulary
from metarec.recommendation.policy.policy import PolicyCheck
from metarec.recommendation.slate import Request

MAX_CELLS = 8_000_000
"""Scores held at once: 32 MB of float32; longer lists of requests are scored in pieces of this
size.
"""


class Explained(Protocol):
    """The part of `Recommender` an explanation needs; anything with it can be explained."""

    @property
    def catalog(self) -> Catalog:
        """Items and their content, in vocabulary order."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Item id <-> column of `score`."""

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """Log-scores [B, N] of the whole catalog."""

    def score_parts(self, requests: Sequence[Request]) -> dict[str, np.ndarray]:
        """Named parts [B, N] that add up to `score`."""


def rows_at_once(n_items: int) -> int:
    """How many requests may be scored in one call without holding more than `MAX_CELLS` scores."""
    return max(1, MAX_CELLS // max(1, n_items))


def pieces(requests: Sequence[Request], n_items: int) -> Iterator[slice]:
    """Cut a list of requests so that no piece asks for more than `MAX_CELLS` scores."""
    step = rows_at_once(n_items)
    return (slice(start, start + step) for start in range(0, len(requests), step))


def anonymous_weights(model: Explained) -> np.ndarray:
    """Share [N] of attention each item gets from somebody of whom nothing is known: the softmax of
    the score; sums to 1.
    """
    return attention(model.score([Request()])[0])


def attention(scores: np.ndarray) -> np.ndarray:
    """`anonymous_weights` [N] by the scores [N] of that user."""
    scores = scores.astype(np.float64)
    shares = np.exp(scores - scores.max())
    return np.asarray(shares / shares.sum())


def relative_to_shown(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Standings [B, N] of log-scores [B, N], in float64 so that sums of parts keep their digits."""
    wide = scores.astype(np.float64)
    return np.asarray(wide - (wide @ weights)[:, None])


def relative_scores(
    model: Explained, requests: Sequence[Request], columns: np.ndarray
) -> np.ndarray:
    """Standings [B, T] of items `columns` [B, T] (indexes), scored in as few calls as memory
    allows.
    """
    found = [np.zeros((0, columns.shape[1]))]
    for piece in pieces(requests, len(model.vocabulary)):
        # The anonymous user goes along: a row of scores costs less than a call.
        scores = model.score([Request(), *requests[piece]])
        relative = relative_to_shown(scores[1:], attention(scores[0]))
        found.append(np.take_along_axis(relative, columns[piece], axis=1))
    return np.concatenate(found)


def parts_at(
    model: Explained,
    requests: Sequence[Request],
    columns: np.ndarray,
    weights: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Each part of the relative scores of items `columns` [B, T]: {part name: [B, T]}; they add up
    to `relative_scores`.

    Args:
        weights: `anonymous_weights`, where they are known.
    """
    found: dict[str, np.ndarray] = {}
    weights = anonymous_weights(model) if weights is None else weights
    for piece in pieces(requests, len(model.vocabulary)):
        for name, part in model.score_parts(
            requests[piece]
        ).items():  # a part may be there for some requests only, such as a wish
            found.setdefault(name, np.zeros(columns.shape))[piece] = np.take_along_axis(
                relative_to_shown(part, weights), columns[piece], axis=1
            )
    return found


def columns_of(model: Explained, item_ids: Sequence[str]) -> np.ndarray:
    """Index of each item, int64.

    Raises:
        BadInput: if an item is not in the catalog.
    """
    item_ids = ids_of("item_id", item_ids)
    columns = model.vocabulary.indexes(item_ids)
    if (columns < 0).any():
        missing = item_ids[int(np.argmax(columns < 0))]
        raise BadInput(
            f"item {missing!r} is not in the catalog ({len(model.vocabulary):,} items); "
            "add it with Recommender.with_items, or ask about an item of a slate"
        )
    return columns


def hidden_items(model: Explained, requests: Sequence[Request]) -> np.ndarray:
    """Items that may not be shown, bool [B, N]: by the model's policy (seen items where it has
    none), `exclude` and `allow`.
    """
    hidden = ~policy_check_of(model).allowed(requests)
    for row, request in enumerate(requests):
        hidden[row, _known(model, request.exclude)] = True
        if request.allow is not None:
            not_named = np.ones(hidden.shape[1], dtype=bool)
            not_named[_known(model, request.allow)] = False
            hidden[row] |= not_named
    return hidden


def policy_check_of(model: Explained) -> PolicyCheck:
    """The model's own policy; seen items are not shown again where it has none."""
    own = getattr(model, "policy_check", None)
    if isinstance(own, PolicyCheck):
        return own
    return PolicyCheck(getattr(model, "policy", None) or DEFAULT_POLICY, model.catalog.frame)


def top(scores: np.ndarray, hidden: np.ndarray, k: int) -> np.ndarray:
    """Indexes [B, k] of the best items not hidden, best first; equal scores by index. -1 where none
    is left.
    """
    shown = np.where(hidden, -np.inf, scores)
    order = np.argsort(-shown, axis=1, kind="stable")[:, :k]
    return np.where(np.isfinite(np.take_along_axis(shown, order, axis=1)), order, -1)


def without(request: Request, gone: Sequence[int]) -> Request:
    """The same request as if the events at positions `gone` had never happened."""
    lost = set(gone)
    return replace(
        request, history=[event for row, event in enumerate(request.history) if row not in lost]
    )


def with_events(request: Request, kept: Sequence[int]) -> Request:
    """The same request with only the events at positions `kept`, in their order."""
    return replace(request, history=[request.history[row] for row in sorted(kept)])


def known_history(model: Explained, request: Request) -> tuple[Request, list[str]]:
    """The request without events of unknown items, and a sentence for each kind of thing left
    out.
    """
    history: list[tuple[Any, ...]] = [
        event for event in request.history if str(event[0]) in model.vocabulary
    ]
    lost = len(request.history) - len(history)
    notes = (
        [
            f"{lost} of {len(request.history)} events name items the catalog does not hold; they "
            f"explain nothing."
        ]
        if lost
        else []
    )
    return replace(request, history=history), notes


def _known(model: Explained, item_ids: Sequence[Any]) -> np.ndarray:
    columns = model.vocabulary.indexes([str(i) for i in item_ids])
    return columns[columns >= 0]

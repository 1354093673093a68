"""The interface of models that explanations use, and the number they explain: an item's relative
score for one user.

Log-scores have no absolute zero, so all explanations are about an item's *relative score*: its
score minus the user's mean score over the catalog, weighted by the softmax of an anonymous user's
scores. It is linear in the score, so the components of a score are components of the relative
score; and the weights compare the item with items that are likely to be shown, not with the
thousands of unpopular ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from metarec.data.arguments import ids_of
from metarec.data.domains import DEFAULT_POLICY
from metarec.data.policies import nearest
from metarec.data.schema import BadInput, Catalog, Vocabulary
from metarec.data.unicode_forms import form_notes
from metarec.recommendation.policy.policy import PolicyCheck
from metarec.recommendation.slate import Request

MAX_CELLS = 8_000_000
"""Maximum number of scores held at once: 32 MB of float32; longer lists of requests are scored in
chunks of this size.
"""


class Explained(Protocol):
    """The methods of `Recommender` that explanations use; any object that has them can be
    explained.
    """

    @property
    def catalog(self) -> Catalog:
        """Items and their content, in vocabulary order."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Item id <-> column of `score`."""

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """Return log-scores [B, N] of the whole catalog."""

    def score_components(self, requests: Sequence[Request]) -> dict[str, np.ndarray]:
        """Return components [B, N] by name, which add up to `score`."""


def rows_at_once(n_items: int) -> int:
    """Return the number of requests per call such that at most `MAX_CELLS` scores are held."""
    return max(1, MAX_CELLS // max(1, n_items))


def pieces(requests: Sequence[Request], n_items: int) -> Iterator[slice]:
    """Yield slices of a list of requests such that each gives at most `MAX_CELLS` scores."""
    step = rows_at_once(n_items)
    return (slice(start, start + step) for start in range(0, len(requests), step))


def anonymous_weights(model: Explained) -> np.ndarray:
    """[N] softmax of an anonymous user's scores; sums to 1."""
    return attention(model.score([Request()])[0])


def attention(scores: np.ndarray) -> np.ndarray:
    """[N] softmax of scores [N], in float64."""
    scores = scores.astype(np.float64)
    shares = np.exp(scores - scores.max())
    return np.asarray(shares / shares.sum())


def relative_to_shown(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[B, N] relative scores of log-scores [B, N], in float64 so that sums of components keep their
    digits.
    """
    wide = scores.astype(np.float64)
    return np.asarray(wide - (wide @ weights)[:, None])


def relative_scores(
    model: Explained, requests: Sequence[Request], columns: np.ndarray
) -> np.ndarray:
    """[B, T] relative scores of items `columns` [B, T] (indexes), scored in as few calls as memory
    allows.
    """
    chunks = [np.zeros((0, columns.shape[1]))]
    for piece in pieces(requests, len(model.vocabulary)):
        # The anonymous user is part of the batch: a row of scores costs less than a call.
        scores = model.score([Request(), *requests[piece]])
        relative = relative_to_shown(scores[1:], attention(scores[0]))
        chunks.append(np.take_along_axis(relative, columns[piece], axis=1))
    return np.concatenate(chunks)


def components_at(
    model: Explained,
    requests: Sequence[Request],
    columns: np.ndarray,
    weights: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Return the components of the relative scores of items `columns` [B, T]: {name: [B, T]}; they
    add up to `relative_scores`.

    Args:
        weights: `anonymous_weights`, where they are known.
    """
    components: dict[str, np.ndarray] = {}
    weights = anonymous_weights(model) if weights is None else weights
    for piece in pieces(requests, len(model.vocabulary)):
        for name, component in model.score_components(
            requests[piece]
        ).items():  # a part may be there for some requests only, such as a wish
            components.setdefault(name, np.zeros(columns.shape))[piece] = np.take_along_axis(
                relative_to_shown(component, weights), columns[piece], axis=1
            )
    return components


def columns_of(model: Explained, item_ids: Sequence[str]) -> np.ndarray:
    """Return the index of each item, int64.

    Raises:
        BadInput: if an item is not in the catalog.
    """
    item_ids = ids_of("item_id", item_ids)
    columns = model.vocabulary.indexes(item_ids)
    if (columns < 0).any():
        missing = item_ids[int(np.argmax(columns < 0))]
        raise unknown_item(model, missing)
    return columns


MAX_COMPARED = 20_000
"""Number of ids above which no similar one is looked for: that would take seconds."""


def unknown_item(model: Explained, item_id: str) -> BadInput:
    """Return the error for an id that no item has: it names the most similar id, or how the ids are
    listed.
    """
    ids = model.vocabulary.ids
    if notes := form_notes([item_id], model.vocabulary):
        return BadInput(notes[0])
    near = nearest(item_id, ids) if len(ids) <= MAX_COMPARED else None
    way_out = (
        f"did you mean {near!r}?"
        if near
        else "`metarec recommend MODEL --json` names items, Recommender.with_items adds one"
    )
    return BadInput(f"item {item_id!r} is not in the catalog ({len(ids):,} items); {way_out}")


def hidden_items(model: Explained, requests: Sequence[Request]) -> np.ndarray:
    """Return a mask [B, N] of the items that may not be shown, by the model's policy (seen items
    where it has none), `exclude` and `allow`.
    """
    hidden = ~policy_check_of(model).allowed(requests)
    for row, request in enumerate(requests):
        hidden[row, _known_columns(model, request.exclude)] = True
        if request.allow is not None:
            not_named = np.ones(hidden.shape[1], dtype=bool)
            not_named[_known_columns(model, request.allow)] = False
            hidden[row] |= not_named
    return hidden


def policy_check_of(model: Explained) -> PolicyCheck:
    """Return the model's own policy; where it has none, one that hides seen items."""
    check = getattr(model, "policy_check", None)
    if isinstance(check, PolicyCheck):
        return check
    return PolicyCheck(getattr(model, "policy", None) or DEFAULT_POLICY, model.catalog.frame)


def top(scores: np.ndarray, hidden: np.ndarray, k: int) -> np.ndarray:
    """[B, k] indexes of the best items that are not hidden, best first; ties by index; -1 for
    padding.
    """
    shown = np.where(hidden, -np.inf, scores)
    order = np.argsort(-shown, axis=1, kind="stable")[:, :k]
    return np.where(np.isfinite(np.take_along_axis(shown, order, axis=1)), order, -1)


def without(request: Request, gone: Sequence[int]) -> Request:
    """Return the request without the events at positions `gone`."""
    lost = set(gone)
    return replace(
        request, history=[event for row, event in enumerate(request.history) if row not in lost]
    )


def with_events(request: Request, kept: Sequence[int]) -> Request:
    """Return the request with only the events at positions `kept`, in their order."""
    return replace(request, history=[request.history[row] for row in sorted(kept)])


def known_history(model: Explained, request: Request) -> tuple[Request, list[str]]:
    """Return the request without events of unknown items, and a note on how many were left out."""
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


def _known_columns(model: Explained, item_ids: Sequence[Any]) -> np.ndarray:
    columns = model.vocabulary.indexes([str(i) for i in item_ids])
    return columns[columns >= 0]

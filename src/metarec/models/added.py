"""Checks of models that other packages add: what they return is what the gate can use, and they
keep to what they declare. Models of this package are not checked; tests do that.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from metarec.data.extensions import broken, call, is_added
from metarec.features.behavior import Behavior
from metarec.features.histories import PER_EVENT, Histories
from metarec.features.users import UserBatch
from metarec.models.base import Evidence, Model, ReadsWords, dense
from metarec.models.diverged import diverged, no_divergence

KIND = "model"
SAMPLE = 8
"""Training users on whom a fitted model is checked."""
_EVENTS = 3
"""Most events known of each of them."""


def evidence_of(
    model: Model, users: UserBatch, n_items: int, out: np.ndarray | None = None
) -> Evidence:
    """Return the evidence of any model; that of an added one is checked.

    Raises:
        BrokenPart: if an added model fails, changes its input, or gives what is no evidence.
    """
    if not is_added(model):
        return model.evidence(users, out)
    before = _sums(users)
    evidence: Any = call(KIND, model, "evidence", users, out)
    if _sums(users) != before:
        raise broken(KIND, model, "changed the users that it was given; copy before you write")
    expected_shape = (len(users), n_items)
    if not isinstance(evidence, np.ndarray | sp.csr_matrix) or evidence.dtype.kind not in "fiub":
        raise broken(
            KIND,
            model,
            f"gave evidence of type {type(evidence).__name__}; give a NumPy array or a SciPy "
            "csr_matrix of numbers",
        )
    if evidence.shape != expected_shape:
        raise broken(
            KIND,
            model,
            f"gave evidence of shape {evidence.shape} for {expected_shape[0]} users and "
            f"{expected_shape[1]} items; give {expected_shape}",
        )
    values = evidence if isinstance(evidence, np.ndarray) else evidence.data
    low, high = (values.min(), values.max()) if values.size else (0, 0)
    if not (low >= 0 and np.isfinite(high)):
        wrong = "NaN" if np.isnan(low) else f"{low:g}" if low < 0 else "infinite values"
        raise broken(KIND, model, f"gave {wrong} as evidence; give finite numbers, at least 0")
    return evidence if values.dtype.kind == "f" else evidence.astype(np.float32)


def dense_of(model: Model, users: UserBatch, n_items: int) -> np.ndarray:
    """Return the evidence of any model as [B, N] float32, see `evidence_of`."""
    return dense(evidence_of(model, users, n_items))


def fit(
    model: type[Model],
    behavior: Behavior,
    rng: np.random.Generator,
    config: Any,
    name: str | None = None,
) -> Model:
    """Fit any model; an added one is checked on some training users.

    Args:
        name: its id, for messages; by default the name of its class.

    Raises:
        BadInput: if the training of one of this package diverges.
        BrokenPart: if an added model fails, changes its input, reads what it does not declare,
            draws when asked, or is another one after `arrays` and `from_arrays`.
    """
    if not is_added(model):
        return _fit_own(model, behavior, rng, config, name or model.__name__)
    before = _sums(behavior)
    fitted: Model = call(KIND, model, "fit", behavior, rng, config)
    if _sums(behavior) != before:
        raise broken(KIND, model, "changed the behavior it learned from; copy before you write")
    if not hasattr(fitted, "evidence"):
        raise broken(KIND, model, f"gave {fitted!r} from fit; return the fitted model")
    _check(fitted, behavior, config)
    return fitted


def _fit_own(
    model: type[Model], behavior: Behavior, rng: np.random.Generator, config: Any, name: str
) -> Model:
    with no_divergence(name):
        fitted = model.fit(behavior, rng, config)
    evidence = fitted.evidence(_some_users(behavior))
    if not np.isfinite(evidence if isinstance(evidence, np.ndarray) else evidence.data).all():
        raise diverged(name, "NaN or infinite values as evidence")
    return fitted


def restored(model: type[Model], arrays: Mapping[str, np.ndarray], config: Any) -> Model:
    """Restore any model from its arrays.

    Raises:
        BrokenPart: if an added model fails.
    """
    if not is_added(model):
        return model.from_arrays(arrays, config)
    again: Model = call(KIND, model, "from_arrays", arrays, config)
    return again


def _check(model: Model, behavior: Behavior, config: Any) -> None:
    users = _some_users(behavior)
    n_items, before = behavior.n_items, _shares(model, users, behavior.n_items)
    if not _same(_shares(model, users, n_items), before):
        fault = "gives other evidence when asked again; draw in fit, by its rng"
        raise broken(KIND, model, fault)
    others = (users.support.items + max(n_items // 2, 1)) % n_items
    moved = _support(items=lambda _: others)
    for what, change in {"item": moved, **_CHANGES}.items():
        unread = not model.reads & {what, "text"}
        if unread and not _same(_shares(model, change(users), n_items), before):
            raise broken(
                KIND, model, f"reads {what!r} of requests, which its `reads` leaves out; name it"
            )
    if not _same(_shares(_again(model, behavior, config), users, n_items), before):
        fault = "gives other evidence after from_arrays(arrays()); keep all it learned in arrays"
        raise broken(KIND, model, fault)
    content = np.concatenate([behavior.content, behavior.content[:1]])
    popularity = np.full(len(content), 1 / len(content), np.float32)
    grown: Model = call(KIND, model, "with_content", content, popularity)
    if not hasattr(grown, "evidence"):
        raise broken(KIND, model, f"gave {grown!r} from with_content; return the larger model")
    evidence_of(grown, users, len(content))


def _some_users(behavior: Behavior) -> UserBatch:
    """Return some training users with few events known of each."""
    sample = np.arange(min(SAMPLE, len(behavior.histories)))
    return behavior.batch_of(sample, behavior.histories.users(sample).first(_EVENTS))


def _again(model: Model, behavior: Behavior, config: Any) -> Model:
    """Return the model as it is after it was saved and loaded."""
    arrays = call(KIND, model, "arrays")
    kept = isinstance(arrays, Mapping) and all(
        isinstance(key, str) and isinstance(array, np.ndarray) and array.dtype.kind in "fiub"
        for key, array in arrays.items()
    )
    if not kept:
        raise broken(KIND, model, "gave arrays that are no NumPy arrays of numbers by name")
    again = restored(type(model), {key: array.copy() for key, array in arrays.items()}, config)
    if isinstance(again, ReadsWords) and behavior.words is not None:
        again = again.with_words(behavior.words)
    return again


def _shares(model: Model, users: UserBatch, n_items: int) -> np.ndarray:
    """[B, N] evidence, each row divided by its sum: all that the gate reads."""
    evidence = dense_of(model, users, n_items).astype(np.float64)
    return np.asarray(evidence / np.maximum(evidence.sum(axis=1, keepdims=True), 1e-12))


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.allclose(one, other, rtol=1e-3, atol=1e-7))


def _support(**of: Callable[[Histories], np.ndarray]) -> Callable[[UserBatch], UserBatch]:
    """Return a change of some arrays of the support."""

    def change(users: UserBatch) -> UserBatch:
        support = users.support
        changed = {name: make(support) for name, make in of.items()}
        return replace(users, support=replace(support, **changed))

    return change


def _reversed(users: UserBatch) -> UserBatch:
    """Return the users with the events of each in the opposite order."""
    support = users.support
    turned = support.offsets[support.owners] + support.offsets[support.owners + 1] - 1
    rows = turned - np.arange(len(support.items))
    arrays = {name: getattr(support, name)[rows] for name in PER_EVENT}
    return replace(users, support=replace(support, **arrays))


def _cycle(support: Histories, values: list[float]) -> np.ndarray:
    return np.resize(np.array(values, np.float32), len(support.items))


_CHANGES: Mapping[str, Callable[[UserBatch], UserBatch]] = {
    "rating": _support(values=lambda s: s.values[::-1].copy()),
    "strength": _support(strengths=lambda s: _cycle(s, [0.2, 1.0, 0.5])),
    "count": _support(counts=lambda s: _cycle(s, [1.0, 4.0, 9.0])),
    "kind": _support(kinds=lambda s: (1 - s.kinds.clip(0, 1)).astype(s.kinds.dtype)),
    "time": _support(times=lambda s: 1.7e9 + _cycle(s, [0, 60, 9e5]).astype(float).cumsum()),
    "order": _reversed,
    "profile": lambda users: replace(
        users, profiles=users.profiles[::-1].copy(), attributes=list(users.attributes)[::-1]
    ),
    "location": lambda users: replace(
        users, context=replace(users.context, location=users.context.location[::-1].copy())
    ),
    "friends": lambda users: replace(
        users, context=replace(users.context, friends=sp.csr_matrix(users.context.friends[::-1]))
    ),
    "searches": lambda users: replace(
        users, context=replace(users.context, searches=list(users.context.searches)[::-1])
    ),
    "context": lambda users: replace(
        users,
        context=replace(users.context, circumstances=users.context.circumstances[::-1].copy()),
    ),
}
"""Part of `READABLE` -> users of whom only that differs."""


def _sums(thing: Any) -> list[int]:
    """Return checksums of all arrays of a dataclass, to see whether any was changed."""
    if isinstance(thing, np.ndarray):
        if thing.dtype.hasobject or not thing.size:
            return []
        return [zlib.crc32(np.ascontiguousarray(thing).view(np.uint8).data)]
    if isinstance(thing, sp.csr_matrix):
        return _sums(thing.data) + _sums(thing.indices)
    if not is_dataclass(thing):
        return []
    return [each for one in fields(thing) for each in _sums(getattr(thing, one.name))]

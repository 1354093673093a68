"""Checks of meta-learners that other packages add: what they return is what training and serving
can use. Learners of this package are not checked; tests do that.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metarec.data.extensions import broken, call, is_added
from metarec.features.histories import Histories
from metarec.models.few_shot.functional import Params
from metarec.models.few_shot.inputs import ItemFeatures
from metarec.models.few_shot.learner import Learner, Prior, Question
from metarec.models.few_shot.tasks import Support, TaskBatch
from metarec.runtime.device import in_memory

KIND = "meta-learner"
SAMPLE = 8
"""Training users on whom a fitted learner is checked."""
_EVENTS = 3
"""Most events known of each of them."""


def start_of(learner: Learner, items: ItemFeatures, profile: int, draw: torch.Generator) -> Prior:
    """Return the untrained prior of any learner; that of an added one is checked.

    Raises:
        BrokenPart: if an added learner fails, or gives what is no prior.
    """
    if not is_added(learner):
        return learner.init(items, profile, draw)
    result: Any = call(KIND, learner, "init", items, profile, draw)
    if not _are_parameters(result) or not result:
        message = "gave no prior from init; return a dict of float tensors by name, at least one"
        raise broken(KIND, learner, message)
    check_prior(learner, result, "from init")
    kept: Prior = result
    return kept


def check_prior(learner: Learner, prior: Prior, when: str) -> None:
    """Check that the parameters of an added learner are finite.

    Raises:
        BrokenPart: if one is not; the message says which and `when`.
    """
    wrong = [name for name, value in prior.items() if not bool(value.isfinite().all())]
    if is_added(learner) and wrong:
        raise broken(
            KIND,
            learner,
            f"has NaN or infinite values in its parameter {wrong[0]!r} {when}; keep its loss and "
            "the gradient finite, or lower outer_lr",
        )


def loss_of(
    learner: Learner,
    prior: Prior,
    batch: TaskBatch,
    question: Question,
    items: ItemFeatures,
    draw: torch.Generator,
) -> Tensor:
    """Return the outer loss of any learner; that of an added one is checked.

    Raises:
        BrokenPart: if an added learner fails, changes the prior, or gives no finite scalar that
            depends on the prior.
    """
    if not is_added(learner):
        return learner.loss(prior, batch, question, items, draw)
    before = _sums(prior, batch.support)
    result: Any = call(KIND, learner, "loss", prior, batch, question, items, draw)
    _check_unchanged(learner, before, _sums(prior, batch.support), "loss")
    wrong = _wrong_in_loss(result)
    if wrong:
        raise broken(KIND, learner, f"gave a loss {wrong}")
    kept: Tensor = result
    return kept


def adapted_of(learner: Learner, prior: Prior, support: Support, items: ItemFeatures) -> Params:
    """Return the adapted parameters of any learner; those of an added one are checked.

    Raises:
        BrokenPart: if an added learner fails, changes its arguments, or gives no tensors with
            one row for each task, or NaN.
    """
    if not is_added(learner):
        return learner.adapt(prior, support, items)
    before = _sums(prior, support)
    result: Any = call(KIND, learner, "adapt", prior, support, items)
    _check_unchanged(learner, before, _sums(prior, support), "adapt")
    if not isinstance(result, Mapping) or not all(isinstance(v, Tensor) for v in result.values()):
        message = f"gave {type(result).__name__} from adapt; return a dict of tensors by name"
        raise broken(KIND, learner, message)
    for name, value in result.items():
        if not value.ndim or len(value) != len(support):
            raise broken(
                KIND,
                learner,
                f"gave {name!r} of shape {tuple(value.shape)} from adapt for {len(support)} "
                "tasks; the first axis is the tasks",
            )
        if bool(value.isnan().any()):
            message = f"gave NaN as {name!r} from adapt; give numbers"
            raise broken(KIND, learner, message)
    return dict(result)


def scores_of(
    learner: Learner, prior: Prior, params: Params, items: ItemFeatures, n_tasks: int
) -> Tensor:
    """Return the scores [B, N] of any learner for `n_tasks` tasks; those of an added one are
    checked.

    Raises:
        BrokenPart: if an added learner fails, or its scores have another shape or are not finite.
    """
    if not is_added(learner):
        return learner.score(prior, params, items)
    result: Any = call(KIND, learner, "score", prior, params, items)
    if not isinstance(result, Tensor) or not result.is_floating_point():
        message = f"gave scores of type {_type_of(result)}; return a tensor of floats"
        raise broken(KIND, learner, message)
    expected_shape = (n_tasks, len(items))
    if tuple(result.shape) != expected_shape:
        raise broken(
            KIND,
            learner,
            f"gave scores of shape {tuple(result.shape)} for {expected_shape[0]} tasks and "
            f"{expected_shape[1]} items; give {expected_shape}",
        )
    if not bool(result.isfinite().all()):
        raise broken(KIND, learner, "gave NaN or infinite values as scores; give finite numbers")
    return result


def check(
    learner: Learner,
    reads: frozenset[str],
    scores: Callable[[Histories, np.ndarray], np.ndarray],
    histories: Histories,
    profiles: np.ndarray,
) -> None:
    """Check an added learner after its training, on some training users.

    Args:
        learner: the trained learner.
        reads: parts of a request that it declares to read.
        scores: function of users and profiles that returns its float32 scores [B, N].
        histories: those of the training users.
        profiles: [users, P] float32.

    Raises:
        BrokenPart: if it gives other scores when asked again, or beside other users, as one does
            that takes padding for events; or if it reads what it does not declare.
    """
    if not is_added(learner) or not len(histories):
        return
    sample = np.arange(min(SAMPLE, len(histories)))
    users = histories.users(sample).first(_EVENTS - sample % (_EVENTS + 1))
    facts = profiles[sample]
    before = scores(users, facts)
    if not _same(scores(users, facts), before):
        raise broken(KIND, learner, "gives other scores when asked again; draw in init and loss")
    alone = [scores(users.users(sample[[one]]), facts[[one]]) for one in sample]
    if not _same(np.concatenate(alone), before):
        message = "gives a user other scores beside longer histories; leave out what is not is_real"
        raise broken(KIND, learner, message)
    changed = {
        "rating": (replace(users, values=users.values[::-1].copy()), facts),
        "order": (users.taken(_turned(users), users.offsets), facts),
        "profile": (users, facts[::-1].copy()),
    }
    for what, request in changed.items():
        if what not in reads and not _same(scores(*request), before):
            message = f"reads {what!r} of requests, which its Method leaves out; name it in `reads`"
            raise broken(KIND, learner, message)


def _turned(users: Histories) -> np.ndarray:
    """Return the events of each user in the opposite order, as indexes."""
    last = users.offsets[users.owners] + users.offsets[users.owners + 1] - 1
    return np.asarray(last - np.arange(len(users.items)))


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    slack = 1e-3 * max(float(np.abs(other).max(initial=0)), 1e-3)
    return bool(np.allclose(one, other, rtol=0, atol=slack))


def _are_parameters(values: object) -> bool:
    return isinstance(values, Mapping) and all(
        isinstance(name, str) and isinstance(value, Tensor) and value.is_floating_point()
        for name, value in values.items()
    )


def _type_of(result: object) -> str:
    return str(result.dtype) if isinstance(result, Tensor) else type(result).__name__


def _wrong_in_loss(loss: object) -> str:
    """Return what is wrong with a loss and what to do about it; empty where nothing is."""
    way_out = "return a scalar tensor computed from the prior"
    if not isinstance(loss, Tensor):
        return f"of type {type(loss).__name__}; {way_out}"
    if loss.ndim:
        return f"of shape {tuple(loss.shape)}; {way_out}"
    if not loss.requires_grad:
        return f"without a gradient; {way_out}"
    if not bool(loss.isfinite()):
        return f"of {float(loss.detach()):g}; keep it and its gradient finite, or lower outer_lr"
    return ""


def _check_unchanged(learner: Learner, before: list[int], after: list[int], method: str) -> None:
    if before != after:
        message = f"changed the prior or the support in {method}; copy before you write"
        raise broken(KIND, learner, message)


def _sums(prior: Prior, support: Support) -> list[int]:
    """Return checksums of the prior and the support, to see whether any was changed."""
    tensors = [*prior.values(), support.items, support.values, support.is_real]
    tensors += [] if support.profile is None else [support.profile]
    arrays = (np.ascontiguousarray(in_memory(tensor.detach())) for tensor in tensors)
    return [zlib.crc32(array.reshape(-1).view(np.uint8).data) for array in arrays]

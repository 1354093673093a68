"""The outer loop: one trainer for all learners, with model selection on held-out users."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metarec.models.config import setting
from metarec.models.diverged import no_divergence
from metarec.models.few_shot.added import check_prior, loss_of, start_of
from metarec.models.few_shot.inputs import ItemFeatures
from metarec.models.few_shot.inputs_config import InputsConfig
from metarec.models.few_shot.learner import Learner, Prior, question_of
from metarec.models.few_shot.tasks import Tasks
from metarec.runtime.device import on_device
from metarec.runtime.progress import Progress, silent
from metarec.runtime.training import Watch, one_of, train


@dataclass(frozen=True, kw_only=True)
class Training(InputsConfig):
    """Settings of meta-training and of the learner's inputs."""

    outer_steps: int = setting(300, at_least=1)
    """Updates of the prior (1 or more)."""
    tasks_per_step: int = setting(32, at_least=1)
    """Tasks in each meta-batch (1 or more)."""
    outer_lr: float = setting(3e-3, above=0)
    """Peak step size of AdamW (above 0): warm-up over the first tenth of the steps, then cosine
    decay.
    """
    vector_lr_factor: float = setting(3.0, above=0)
    """Step size of scalars and vectors (noise, scales, step sizes) relative to that of matrices
    (above 0): they have further to go.
    """
    weight_decay: float = setting(1e-2, at_least=0)
    """Weight decay of matrices (0 or more); vectors and scalars do not decay."""
    dropout: float = setting(0.2, at_least=0, below=1)
    """Dropout of the entries of item features, in [0, 1)."""
    evaluate_every: int = setting(50, at_least=1)
    """Steps between two validations on held-out users (1 or more); the best prior is kept."""
    candidates_most: int = setting(2048, at_least=2)
    """Maximum of items in the outer softmax (2 or more); larger catalogs are sampled."""
    no_support: float = setting(0.15, at_least=0, below=1)
    """Share of tasks with an empty support, in [0, 1), so that the prior alone is trained too."""
    query_most: int = setting(64, at_least=1)
    """Maximum of query events of a task (1 or more), drawn at random."""


def meta_train(
    learner: Learner,
    tasks: Tasks,
    items: ItemFeatures,
    *,
    training: Training,
    rng: np.random.Generator,
    profile: int = 0,
    validate: Callable[[Prior], float] | None = None,
    progress: Progress = silent,
) -> Prior:
    """Learn a prior from which tasks adapt well.

    Args:
        tasks: source of meta-batches; their item indexes are rows of `items`.
        profile: number of columns of the tasks' profiles, 0 without any.
        validate: quality of a prior on held-out users, higher is better; without it the last prior
            is kept.

    Returns:
        The prior of best quality, detached.

    Raises:
        BadInput: if the training diverges.
        BrokenPart: if a learner of another package breaks its interface.
    """
    draw = torch.Generator().manual_seed(int(rng.integers(2**62)))
    start = start_of(learner, items, profile, draw)
    prior = {name: on_device(value).requires_grad_() for name, value in start.items()}
    outer = _optimizer(prior, training)

    def loss(done: int) -> Tensor:  # noqa: ARG001
        batch = tasks.sample(training.tasks_per_step, rng)
        noisy = (batch.items or items).with_noise(training.dropout, draw)
        question = question_of(
            learner.objective, batch.query, noisy, rng, candidates_most=training.candidates_most
        )
        return loss_of(learner, prior, batch, question, noisy, draw)

    with no_divergence(learner.name):
        best = train(
            training.outer_steps,
            one_of(loss),
            outer,
            schedule=_schedule(outer, training.outer_steps),
            clip=list(prior.values()),
            watch=None if validate is None else _watch(prior, validate, training.evaluate_every),
            on_round=_reporter(learner, training, progress),
        )
    trained = best.state or _frozen(prior)
    check_prior(learner, trained, "after training")
    return trained


def _reporter(
    learner: Learner, training: Training, progress: Progress
) -> Callable[[int, float | None], None]:
    """Return what reports the progress whenever held-out users are evaluated."""

    def report(done: int, loss: float | None) -> None:
        if done % training.evaluate_every == 0 or done == training.outer_steps:
            note = f"{learner.objective} loss {loss:.3f}"
            progress(learner.name, done / training.outer_steps, note)

    return report


def _watch(prior: Prior, validate: Callable[[Prior], float], every: int) -> Watch[Prior]:
    """Return the validation on held-out users, which keeps the best prior."""
    return Watch(
        quality=lambda: validate(_frozen(prior)), state=lambda: _frozen(prior), every=every
    )


def _optimizer(prior: Prior, training: Training) -> torch.optim.Optimizer:
    """Return AdamW, with a larger step size and no weight decay for scalars and vectors."""
    matrices, others = (
        [value for value in prior.values() if (value.ndim >= 2) == wide] for wide in (True, False)
    )
    lr = training.outer_lr
    return torch.optim.AdamW(
        [
            {"params": matrices, "lr": lr, "weight_decay": training.weight_decay},
            {"params": others, "lr": training.vector_lr_factor * lr, "weight_decay": 0.0},
        ]
    )


def _schedule(outer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    return torch.optim.lr_scheduler.LambdaLR(outer, lambda step: _pace(step, steps))


def _pace(step: int, steps: int) -> float:
    """Return the share of the peak step size: linear warm-up over the first tenth of the steps,
    then cosine decay to a twentieth.
    """
    warm_up = max(1, steps // 10)
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.05 + 0.95 * 0.5 * (
        1 + float(np.cos(np.pi * (step - warm_up) / max(1, steps - warm_up)))
    )


def _frozen(prior: Prior) -> Prior:
    return {name: value.detach().clone() for name, value in prior.items()}

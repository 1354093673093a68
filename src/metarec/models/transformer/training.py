"""Pre-training of sequence Transformers, with early stopping."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metarec.data.schema import BadInput
from metarec.models.transformer.inputs import SequenceReader
from metarec.models.transformer.network import SequenceTransformer
from metarec.models.transformer.objective import Objective
from metarec.models.transformer.sizes import SequenceSizes
from metarec.models.transformer.training_set import SequenceTraining, TrainingSet
from metarec.runtime.device import device, on_device
from metarec.runtime.progress import Progress, silent
from metarec.runtime.training import Watch, one_of, train, weights_of


def train_sequence(
    data: TrainingSet,
    content: np.ndarray,
    reader: SequenceReader,
    *,
    form: str = "decoder",
    sizes: SequenceSizes | None = None,
    training: SequenceTraining | None = None,
    factors: float = 0.0,
    rng: np.random.Generator,
    validate: Callable[[SequenceTransformer], float] | None = None,
    progress: Progress = silent,
) -> SequenceTransformer:
    """Train one form and return it, with `validate` in the state of best quality.

    Args:
        content: [N, F] content features of items.
        factors: scale of the collaborative factors that initialize the item residuals; 0: small
            noise.
        validate: quality of the network, higher is better; None: train for all steps.

    Raises:
        BadInput: if no user has targets.
    """
    training, sizes = training or SequenceTraining(), sizes or SequenceSizes()
    usable = data.usable
    if not len(usable):
        raise BadInput("no training user has an event left to predict; give more events per user")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        model = SequenceTransformer(
            on_device(content.astype(np.float32)),
            sizes,
            form=form,
            kinds=reader.n_kinds,
            circumstances=reader.n_circumstances,
            profile=0 if data.profile is None else data.profile.shape[1],
        ).to(device())
        popularity = data.popularity
        with torch.no_grad():
            model.item_bias.copy_(on_device(np.log(popularity / popularity.mean())))
            if factors:
                model.items.start_at(data.factors(sizes.dim // 2, rng) * factors)
        objective = Objective.of(data, training)
        return _run(model, objective, usable, training, rng, validate, progress)


def _run(
    model: SequenceTransformer,
    objective: Objective,
    usable: np.ndarray,
    training: SequenceTraining,
    rng: np.random.Generator,
    validate: Callable[[SequenceTransformer], float] | None,
    progress: Progress,
) -> SequenceTransformer:
    """Run the training loop with gradient clipping and early stopping."""
    optimizer, schedule = optimized(model, training.steps, training)

    def loss(done: int) -> Tensor:  # noqa: ARG001
        users = rng.choice(usable, size=min(training.users_per_step, len(usable)), replace=False)
        return objective(model.train(), users, rng)

    best = train(
        training.steps,
        one_of(loss),
        optimizer,
        schedule=schedule,
        clip=list(model.parameters()),
        watch=None if validate is None else _watch(model, validate, training),
        on_round=lambda done, loss: progress(
            "pre-train", done / training.steps, f"loss {loss:.3f}"
        ),
    )
    model.load_state_dict(best.state or model.state_dict())
    return model.eval()


def optimized(
    model: nn.Module,
    steps: int,
    training: SequenceTraining,
    faster: tuple[Sequence[nn.Parameter], float] | None = None,
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Return AdamW, with weight decay for matrices other than item residuals, and a schedule of
    linear warm-up and cosine decay.

    Args:
        faster: further parameters and their larger step size; they do not decay.
    """
    plain = [p for name, p in model.named_parameters() if p.dim() < 2 or name.endswith("residual")]
    decayed = [
        p for name, p in model.named_parameters() if not (p.dim() < 2 or name.endswith("residual"))
    ]
    groups: list[dict[str, Any]] = [{"params": plain, "weight_decay": 0.0}, {"params": decayed}]
    if faster:
        groups.append({"params": list(faster[0]), "lr": faster[1], "weight_decay": 0.0})
    optimizer = torch.optim.AdamW(
        groups, lr=training.learning_rate, weight_decay=training.weight_decay
    )
    return optimizer, torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (
            min(1.0, (step + 1) / 30)
            * (0.05 + 0.95 * 0.5 * (1 + np.cos(np.pi * min(1.0, step / steps))))
        ),
    )


def _watch(
    model: SequenceTransformer,
    validate: Callable[[SequenceTransformer], float],
    training: SequenceTraining,
) -> Watch[dict[str, Tensor]]:
    def quality() -> float:
        with torch.no_grad():
            return validate(model.eval())

    return Watch(
        quality=quality,
        state=lambda: weights_of(model),
        every=training.check_every,
        patience=training.patience,
    )

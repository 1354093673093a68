"""Pre-training of sequence Transformers: what each form is asked to predict, and the loop that
stops in time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from metarec.data.schema import BadInput
from metarec.models.few_shot.inputs import collaborative_factors, unit_scaled
from metarec.models.transformer.encoders import CAUSAL
from metarec.models.transformer.inputs import SequenceInputs, SequenceReader
from metarec.models.transformer.losses import sampled_softmax_loss, samples_loss, softmax_loss
from metarec.models.transformer.network import SequenceSizes, SequenceTransformer, as_tensors
from metarec.runtime.device import device, on_device, up_to
from metarec.runtime.progress import Progress, silent
from metarec.runtime.training import Watch, one_of, train, weights_of

CANDIDATES = 256
"""Items that a large catalog is sampled to where every pair of a user and an item costs a pass of
its own.
"""


@dataclass(frozen=True, kw_only=True)
class SequenceTraining:
    """How a sequence Transformer is trained."""

    steps: int = 400
    """Gradient steps, at most."""
    users_per_step: int = 64
    """Histories in a step."""
    prefixes: int = 4
    """Prefixes of each history in a step; one of them is empty, so that the empty history is
    learned too.
    """
    learning_rate: float = 2e-3
    """AdamW; warmed up over 30 steps, then a cosine down to a twentieth."""
    weight_decay: float = 1e-2
    sampled: int = 0
    """Items sampled for the loss; 0 for the full softmax (of a large catalog the encoder-decoder
    form then samples `CANDIDATES`).
    """
    positives: int = 8
    """Things a user liked beyond the prefix, drawn anew in each step, that a sampled loss asks
    about.
    """
    masked: float = 0.3
    """Encoder form: share of events hidden."""
    check_every: int = 50
    """Steps between two validations."""
    patience: int = 4
    """Validations without a better one before training stops."""

    def __post_init__(self) -> None:
        for name in ("steps", "users_per_step", "prefixes", "positives", "check_every", "patience"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} must be 1 or more, got {getattr(self, name)}")
        if not 0 < self.masked < 1:
            raise BadInput(f"masked must lie between 0 and 1, got {self.masked}")


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """What there is to learn from: histories shown, and what each user went on to like."""

    inputs: SequenceInputs
    targets: sp.csr_matrix
    """[U, N] weights above 0 of what is to be predicted; items already in a prefix are left out of
    its targets.
    """
    profile: np.ndarray | None = None
    """[U, P] profile features."""
    copies: int = 1
    """How often each user stands here, everyone once before anyone twice."""

    @property
    def usable(self) -> np.ndarray:
        """Users who have something to predict."""
        return np.flatnonzero(np.diff(self.targets.indptr) > 0)

    @property
    def popularity(self) -> np.ndarray:
        """[N] weight of each item among the targets, a little more than it is."""
        return np.asarray(self.targets.sum(axis=0)).ravel() + 0.5

    def factors(
        self, dim: int, rng: np.random.Generator, users: np.ndarray | None = None
    ) -> np.ndarray:
        """[N, dim or fewer] factors of who (of these users, or of all) was shown or wanted what, of
        mean square length 1.
        """
        of = np.arange(self.targets.shape[0]) if users is None else users
        rows, places = np.nonzero(self.inputs.is_real[of])
        shown = sp.csr_matrix(
            (np.ones(len(rows), np.float32), (rows, self.inputs.items[of][rows, places])),
            shape=(len(of), self.targets.shape[1]),
        )
        met = (shown + self.targets[of]) > 0
        return unit_scaled(collaborative_factors(met, dim, rng=rng))

    def shown(self, users: np.ndarray) -> dict[str, Tensor]:
        """The histories of these users as the network reads them."""
        profile = None if self.profile is None else self.profile[users]
        return as_tensors(self.inputs.rows(users), profile)


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
    """Train one form; with `validate` (higher is better) the best state seen is the one given back.

    Args:
        content: [N, F] content features of items.
        factors: length of the collaborative factors at which items' own parts start; 0: noise.

    Raises:
        BadInput: if there is nothing to predict.
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
    """Clipping, early stopping."""
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
        tell=lambda done, loss: progress("pre-train", done / training.steps, f"loss {loss:.3f}"),
    )
    model.load_state_dict(best.state or model.state_dict())
    return model.eval()


def optimized(
    model: nn.Module,
    steps: int,
    training: SequenceTraining,
    faster: tuple[Sequence[nn.Parameter], float] | None = None,
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW, which decays matrices other than residuals, warmed up and along a cosine.

    Args:
        faster: parameters outside of the model that have further to go, and their step size.
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


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The loss of a step, by form."""

    data: TrainingSet
    training: SequenceTraining
    log_chance: np.ndarray

    @classmethod
    def of(cls, data: TrainingSet, training: SequenceTraining) -> Objective:
        """Items are sampled by how often they are targets."""
        return cls(data=data, training=training, log_chance=_sampling_chance(data.popularity))

    def __call__(
        self, model: SequenceTransformer, users: np.ndarray, rng: np.random.Generator
    ) -> Tensor:
        """Of these users, at prefixes drawn anew."""
        inputs = self.data.shown(users)
        lengths = self.data.inputs.is_real[users].sum(axis=1)
        prefixes = rng.integers(0, lengths[:, None] + 1, size=(len(users), self.training.prefixes))
        prefixes[:, 0] = 0
        if model.form in CAUSAL:
            return self._after_prefixes(model, inputs, users, prefixes, rng)
        prefix = prefixes[
            np.arange(len(users)), rng.integers(self.training.prefixes, size=len(users))
        ]
        if model.form == "encoder":
            return self._masked_items(model, inputs, rng) + self._after_mask(
                model, inputs, users, prefix, rng
            )
        return self._candidates(model, inputs, users, prefix, rng)

    def _after_prefixes(
        self,
        model: SequenceTransformer,
        inputs: Mapping[str, Tensor],
        users: np.ndarray,
        prefixes: np.ndarray,
        rng: np.random.Generator,
    ) -> Tensor:
        """Causal form: the token of each prefix predicts what its user likes beyond it."""
        read_BLD, _ = model.read(inputs, model.items())
        who = up_to(len(users), read_BLD)[:, None]
        users_BPD = model.out(
            read_BLD[who, on_device(prefixes)]
        )  # token k has read the first k events
        return self.softmax(
            users_BPD.flatten(0, 1),
            model.score_vectors(),
            model.item_bias,
            np.repeat(users, prefixes.shape[1]),
            self._prefix_items(inputs, prefixes),
            rng,
        )

    def _masked_items(
        self, model: SequenceTransformer, inputs: Mapping[str, Tensor], rng: np.random.Generator
    ) -> Tensor:
        """Bidirectional form: name the hidden items."""
        hidden = (
            on_device(rng.random(tuple(inputs["items"].shape)) < self.training.masked)
            & inputs["is_real"]
        )
        if not hidden.any():
            return model.item_bias.sum() * 0.0
        read_BLD, _ = model.read(inputs, model.items(), masked_BL=hidden)
        users_MD = model.out(read_BLD[:, 1:][hidden])
        return softmax_loss(
            users_MD @ model.score_vectors().T + model.item_bias, inputs["items"][hidden]
        )

    def _after_mask(
        self,
        model: SequenceTransformer,
        inputs: Mapping[str, Tensor],
        users: np.ndarray,
        prefix: np.ndarray,
        rng: np.random.Generator,
    ) -> Tensor:
        """Bidirectional form: a mask after a prefix predicts what comes, as it will when it
        serves.
        """
        users_BD = model.user_embeddings(cut(inputs, prefix))
        return self.of_users(model, users_BD, inputs, users, prefix, rng)

    def of_users(
        self,
        model: SequenceTransformer,
        users_BD: Tensor,
        inputs: Mapping[str, Tensor],
        users: np.ndarray,
        prefix: np.ndarray,
        rng: np.random.Generator,
    ) -> Tensor:
        """How badly these users, read up to a prefix each, foretell what they like beyond it."""
        seen_BN = self.seen(inputs, prefix)
        return self.softmax(users_BD, model.score_vectors(), model.item_bias, users, seen_BN, rng)

    def seen(self, inputs: Mapping[str, Tensor], prefix: np.ndarray) -> Tensor:
        """[B, N] True where an item lies in the prefix of each user."""
        return self._prefix_items(inputs, prefix[:, None])

    def _candidates(
        self,
        model: SequenceTransformer,
        inputs: Mapping[str, Tensor],
        users: np.ndarray,
        prefix: np.ndarray,
        rng: np.random.Generator,
    ) -> Tensor:
        """Encoder-decoder form: tell what is liked beyond the prefix from all items, or from
        sampled ones where those are many.
        """
        seen_BN = self._prefix_items(inputs, prefix[:, None])
        targets = self.wanted(users, seen_BN)
        if not self.training.sampled and len(self.log_chance) <= 2 * CANDIDATES:
            return softmax_loss(model.score(cut(inputs, prefix)), targets, allowed_BN=~seen_BN)
        some = targets.sum(1) > 0
        if not some.any():
            return model.item_bias.sum() * 0.0
        memory_BLD, is_real_BL = (
            read[some] for read in model.read(cut(inputs, prefix), model.items())
        )
        positive_BP, sampled_K = (
            self._drawn(targets[some]),
            self._sampled(self.training.sampled or CANDIDATES, rng),
        )
        scores_BP, scores_BK = (
            model.score_candidates(memory_BLD, is_real_BL, model.score_vectors()[asked])
            + model.item_bias[asked]
            for asked in (positive_BP, sampled_K[None])
        )
        left_out_BPK = (sampled_K == positive_BP[..., None]) | seen_BN[some][:, sampled_K][:, None]
        return samples_loss(
            scores_BP,
            scores_BK,
            on_device(self.log_chance)[sampled_K],
            left_out_BPK,
            targets[some].sum(1),
        )

    def softmax(
        self,
        users_MD: Tensor,
        scored_ND: Tensor,
        bias_N: Tensor | None,
        users: np.ndarray,
        seen_MN: Tensor,
        rng: np.random.Generator,
    ) -> Tensor:
        """How badly vectors of these users, compared with those of items, foretell what they like
        beyond what is seen.
        """
        targets = self.wanted(users, seen_MN)
        if not self.training.sampled:
            scores_MN = users_MD @ scored_ND.T
            scores_MN = scores_MN if bias_N is None else scores_MN + bias_N
            return softmax_loss(scores_MN, targets, allowed_BN=~seen_MN)
        some = targets.sum(1) > 0
        if not some.any():
            return users_MD.sum() * 0.0
        return sampled_softmax_loss(
            users_MD[some],
            scored_ND,
            self._drawn(targets[some]),
            self._sampled(self.training.sampled, rng),
            on_device(self.log_chance),
            bias_N=bias_N,
            left_out_BN=seen_MN[some],
            weights_B=targets[some].sum(1),
        )

    def wanted(self, users: np.ndarray, seen_MN: Tensor) -> Tensor:
        """[M, N] weights of what these users like beyond what is seen."""
        dense = on_device(self.data.targets[users].toarray().astype(np.float32))
        return dense.masked_fill(seen_MN, 0.0)

    def _prefix_items(self, inputs: Mapping[str, Tensor], prefixes: np.ndarray) -> Tensor:
        """[B * P, N] True where an item lies in the prefix."""
        n_items = self.data.targets.shape[1]
        inside = (
            up_to(inputs["items"].shape[1], inputs["items"])[None, None, :]
            < on_device(prefixes)[..., None]
        )
        items = torch.where(inside, inputs["items"][:, None, :], n_items).flatten(0, 1)
        seen = torch.zeros(len(items), n_items + 1, dtype=torch.bool, device=items.device)
        return seen.scatter_(1, items, torch.ones_like(items, dtype=torch.bool))[:, :n_items]

    def _drawn(self, targets_BN: Tensor) -> Tensor:
        """[B, P] things liked, by their weight; one may come twice."""
        return torch.multinomial(targets_BN, self.training.positives, replacement=True)

    def _sampled(self, count: int, rng: np.random.Generator) -> Tensor:
        chance = np.exp(self.log_chance.astype(np.float64))
        return on_device(rng.choice(len(chance), size=count, p=chance / chance.sum()))


def cut(inputs: Mapping[str, Tensor], prefix: np.ndarray) -> dict[str, Tensor]:
    """The same histories, of which only the first `prefix` events are real."""
    places = up_to(inputs["is_real"].shape[1], inputs["is_real"])
    inside = places[None, :] < on_device(prefix)[:, None]
    return {**inputs, "is_real": inputs["is_real"] & inside}


def _sampling_chance(popularity: np.ndarray) -> np.ndarray:
    """Log of the chance of each item in one draw: popularity to the power 0.75 (as word2vec draws
    words).
    """
    chance = popularity**0.75
    return np.asarray(np.log(chance / chance.sum()), np.float32)

"""Sequence models (three forms of Transformer, GRU4Rec, Caser) as scorers of the gate.

Training mirrors serving of new users: prefixes of each training user's support, the empty one
included, are the history, and the items liked after the cut are the targets. Each model is one name
in `MODELS`; the gate learns its weight.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float
from torch import Tensor

from metarec.features.behavior import Behavior
from metarec.features.users import UserBatch
from metarec.models.config import ModelConfig, setting
from metarec.models.transformer.inputs import SequenceReader
from metarec.models.transformer.losses import softmax_loss
from metarec.models.transformer.network import SequenceTransformer, as_tensors
from metarec.models.transformer.sizes import SequenceSizes
from metarec.models.transformer.training import train_sequence
from metarec.models.transformer.training_set import SequenceTraining, TrainingSet
from metarec.runtime.device import device, in_memory, on_device

AT_ONCE = 256
"""Users scored together."""
SETTINGS = "settings"


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(ModelConfig):
    """Hyper-parameters of a sequence Transformer."""

    dim: int = setting(64, at_least=2)
    """Width of tokens and embeddings (2 or more, a multiple of `heads`)."""
    layers: int = setting(1, at_least=1)
    """Blocks (1 or more)."""
    heads: int = setting(2, at_least=1)
    """Attention heads (1 or more)."""
    dropout: float = setting(0.3, at_least=0, below=1)
    """Dropout inside blocks and on tokens, in [0, 1)."""
    id_dropout: float = setting(0.5, at_least=0, below=1)
    """Probability of dropping an item's collaborative residual in a step, in [0, 1)."""
    factors: float = setting(0.0, at_least=0)
    """Scale of the collaborative factors that initialize the item residuals (0 or more); 0
    initializes them with small noise.
    """
    steps: int = setting(300, at_least=1)
    """Maximum of training steps (1 or more)."""
    users_per_step: int = setting(64, at_least=1)
    """Histories in a step (1 or more)."""
    prefixes: int = setting(4, at_least=1)
    """Prefixes of each history in a step (1 or more); one of them is empty."""
    learning_rate: float = setting(2e-3, above=0)
    """Peak step size of AdamW (above 0)."""
    weight_decay: float = setting(1e-2, at_least=0)
    """Weight decay of AdamW (0 or more)."""
    evenness: float = setting(1.0, at_least=0, at_most=1)
    """Exponent of user weighting, in [0, 1]: at 0 every target counts the same, at 1 every user."""
    sampled: int = setting(0, at_least=0)
    """Items sampled for the loss (0 or more); 0 for the full softmax."""
    positives: int = setting(8, at_least=1)
    """Positives of a user in a sampled loss, drawn anew from the later items in each step (1 or
    more).
    """
    check_every: int = setting(50, at_least=1)
    """Steps between two validations on held-out users (1 or more)."""
    patience: int = setting(2, at_least=1)
    """Validations without improvement before training stops (1 or more)."""
    held_out: float = setting(0.1, at_least=0, below=1)
    """Share of training users held out for early stopping, in [0, 1)."""
    max_held_out: int = setting(256, at_least=1)
    """Maximum of held-out users (1 or more)."""

    def sizes(self, max_events: int) -> SequenceSizes:
        """Return the sizes of the network."""
        return SequenceSizes(**_shared(self, SequenceSizes), max_events=max_events)

    def training(self) -> SequenceTraining:
        """Return the settings of training."""
        return SequenceTraining(**_shared(self, SequenceTraining))


def _shared(config: TransformerConfig, kind: Any) -> dict[str, Any]:
    """Return the settings whose names are fields of the dataclass `kind` too."""
    names = (one.name for one in fields(kind))
    return {name: getattr(config, name) for name in names if hasattr(config, name)}


@dataclass(frozen=True, kw_only=True)
class MaskedConfig(TransformerConfig):
    """Hyper-parameters of a Transformer trained on masked items."""

    masked: float = setting(0.3, above=0, below=1)
    """Share of events hidden in a step, in (0, 1)."""


@dataclass(frozen=True, kw_only=True)
class CaserConfig(TransformerConfig):
    """Hyper-parameters of Caser."""

    window: int = setting(5, at_least=1)
    """Newest events in a token's window (1 or more; L of the paper)."""
    horizontal: int = setting(16, at_least=1)
    """Filters of each height (1 or more; n of the paper)."""
    vertical: int = setting(4, at_least=1)
    """Filters over time (1 or more; n' of the paper)."""


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """Causal form: the evidence is the softmax of the scores after the newest event's token."""

    form: ClassVar[str] = "decoder"
    at_once: ClassVar[int] = AT_ONCE
    network: SequenceTransformer
    reader: SequenceReader
    config: TransformerConfig = TransformerConfig()
    reads: ClassVar[frozenset[str]] = frozenset(
        {"item", "order", "rating", "strength", "kind", "time", "context", "profile"}
    )

    @classmethod
    def fit(
        cls,
        behavior: Behavior,
        rng: np.random.Generator,
        config: TransformerConfig | None = None,
    ) -> Self:
        """Train on the training users' tasks, with early stopping on a few held-out users."""
        config, reader = config or cls.config, SequenceReader.fit(behavior)
        data, held_out = _split(behavior, reader, config, rng)
        return cls._trained(behavior, reader, data, held_out, rng, config)

    @classmethod
    def _trained(
        cls,
        behavior: Behavior,
        reader: SequenceReader,
        data: TrainingSet,
        held_out: TrainingSet,
        rng: np.random.Generator,
        config: TransformerConfig,
    ) -> Self:
        """Train on `data`, and keep the state with the best likelihood on `held_out`."""
        network = train_sequence(
            data,
            behavior.content,
            reader,
            form=cls.form,
            sizes=config.sizes(behavior.horizon.pool),
            training=config.training(),
            factors=config.factors,
            rng=rng,
            validate=_likelihood(held_out, config.max_held_out) if held_out.targets.nnz else None,
        )
        return cls(network=network, reader=reader, config=config)

    def evidence(
        self, users: UserBatch, out: Float[np.ndarray, "users items"] | None = None
    ) -> Float[np.ndarray, "users items"]:
        """Return choice probabilities [B, N], rows of sum 1."""
        parts = [torch.softmax(self.scores(shown), -1) for shown in self.shown(users)]
        evidence = (
            in_memory(torch.cat(parts))
            if parts
            else np.zeros((0, len(self.network.item_bias)), np.float32)
        )
        if out is None:
            return evidence
        out[...] = evidence
        return out

    def scores(self, shown: Mapping[str, Tensor]) -> Tensor:
        """Return log-scores [B, N] for a batch of network inputs."""
        with torch.inference_mode():
            return self.network.score(shown)

    def shown(self, users: UserBatch) -> Iterator[dict[str, Tensor]]:
        """Yield the users as network inputs, in batches of `at_once`."""
        inputs = self.reader.read(
            users.support, users.context.circumstances, self.network.sizes.max_events
        )
        has_profile = self.network.profile is not None
        for start in range(0, len(users), self.at_once):
            rows = np.arange(start, min(start + self.at_once, len(users)))
            yield as_tensors(inputs.rows(rows), users.profiles[rows] if has_profile else None)

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Self:
        """Return the model for a new `content`; new items have no residual, and their bias is set
        from `popularity`.
        """
        arrays, n_known = dict(self.arrays()), len(self.network.item_bias)
        more = len(content) - n_known
        for name, array in arrays.items():
            if name.endswith(".content"):
                arrays[name] = content.astype(np.float32)
            elif name.endswith(".residual"):
                arrays[name] = np.pad(array, ((0, more), (0, 0)))
        offset = np.mean(arrays["item_bias"] - np.log(popularity[:n_known]))
        arrays["item_bias"] = np.concatenate(
            [arrays["item_bias"], np.log(popularity[n_known:]) + offset]
        ).astype(np.float32)
        return self.from_arrays(arrays, self.config)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return weights by name; sizes as JSON in bytes."""
        profile = self.network.profile
        settings = {
            "sizes": asdict(self.network.sizes),
            "reader": self.reader.to_dict(),
            "profile": 0 if profile is None else profile.in_features,
        }
        return {
            **{name: in_memory(value) for name, value in self.network.state_dict().items()},
            SETTINGS: np.frombuffer(json.dumps(settings).encode(), np.uint8),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: TransformerConfig | None = None
    ) -> Self:
        """Return the model that `arrays()` was called on."""
        settings: dict[str, Any] = json.loads(arrays[SETTINGS].tobytes())
        weights = {
            name: on_device(np.array(value)) for name, value in arrays.items() if name != SETTINGS
        }
        reader = SequenceReader.from_dict(settings["reader"])
        with torch.random.fork_rng(devices=[]):  # the random start is overwritten at once
            network = SequenceTransformer(
                weights["items.content"],
                SequenceSizes(**settings["sizes"]),
                form=cls.form,
                kinds=reader.n_kinds,
                circumstances=reader.n_circumstances,
                profile=settings["profile"],
            )
        network.to(device()).load_state_dict(weights)
        return cls(network=network.eval(), reader=reader, config=config or cls.config)


class MaskedTransformer(Transformer):
    """Bidirectional form: trained to predict masked items; a mask after the newest event predicts
    the next ones.
    """

    form: ClassVar[str] = "encoder"
    config = MaskedConfig()


class CandidateTransformer(Transformer):
    """Encoder-decoder form: each candidate attends to the history by cross-attention."""

    form: ClassVar[str] = "encoder_decoder"


class Gru4Rec(Transformer):
    """GRU4Rec (Hidasi et al. 2016, arXiv:1511.06939), trained as the decoder is."""

    form: ClassVar[str] = "gru4rec"


class Caser(Transformer):
    """Caser (Tang & Wang 2018, arXiv:1809.07426), trained as the decoder is."""

    form: ClassVar[str] = "caser"
    config = CaserConfig()


def _targets(behavior: Behavior, evenness: float) -> sp.csr_matrix:
    """Return target weights [U, N] of the items that each user liked after the cut; mean 1.

    Metrics average over new users. With equal weights of events, users with many likes dominate:
    encoder-decoders then had .007 lower NDCG@10 on ml-100k and .003 on ibm-courses.
    """
    liked = behavior.targets
    each = np.maximum(liked.lengths, 1) ** -evenness
    each = each * (len(liked.items) / max(float((each * liked.lengths).sum()), 1e-9))
    return liked.matrix(behavior.n_items, each[liked.owners])


def _training_set(
    behavior: Behavior, reader: SequenceReader, users: np.ndarray, evenness: float
) -> TrainingSet:
    """Return histories and targets of these training users. Where events have circumstances, each
    user appears twice: without them, and with those of one event, which then select the targets.
    """
    targets, codes = _targets(behavior, evenness)[users], np.zeros((len(users), 0), np.int64)
    copies = 1
    context = behavior.context
    if context is not None and context.has_circumstances:
        circumstances = behavior.batch_of(users, behavior.pool.users(users)).context.circumstances
        codes = np.concatenate([np.zeros_like(circumstances), circumstances])
        targets = sp.vstack([targets, _taken_then(behavior, users, targets)], format="csr")
        users, copies = np.concatenate([users, users]), 2
    profile = behavior.profiles[users] if behavior.profiles.shape[1] else None
    inputs = reader.read(behavior.pool.users(users), codes, behavior.horizon.pool)
    return TrainingSet(inputs=inputs, targets=targets, profile=profile, copies=copies)


def _split(
    behavior: Behavior,
    reader: SequenceReader,
    config: TransformerConfig,
    rng: np.random.Generator,
) -> tuple[TrainingSet, TrainingSet]:
    """Return training users, and held-out users for early stopping."""
    shuffled = rng.permutation(len(behavior.histories))
    evaluated, learned = np.split(shuffled, [int(config.held_out * len(shuffled))])
    some = evaluated[behavior.targets.lengths[evaluated] > 0]
    return (
        _training_set(behavior, reader, learned, config.evenness),
        _training_set(behavior, reader, some, config.evenness),
    )


def _taken_then(behavior: Behavior, users: np.ndarray, targets: sp.csr_matrix) -> sp.csr_matrix:
    """Return `targets` [len(users), N] without the items that were taken under other circumstances
    than the stated ones.
    """
    assert behavior.context is not None
    acts, rows = behavior.context_events, []
    for start in range(0, len(users), AT_ONCE):
        some = users[start : start + AT_ONCE]
        then = behavior.context.taken_then(some, behavior.acts_on_targets, acts)
        rows.append(targets[start : start + AT_ONCE].multiply(then).tocsr())
    return sp.vstack(rows, format="csr") if rows else targets


def _likelihood(held_out: TrainingSet, max_users: int) -> Callable[[SequenceTransformer], float]:
    """Return a function from a network to its mean log-likelihood of the targets of up to
    `max_users` of these users.
    """
    rows = np.arange(held_out.targets.shape[0])
    rows = rows[:: max(1, len(rows) // max_users)][:max_users]
    targets = on_device(held_out.targets[rows].toarray().astype(np.float32))
    profile = None if held_out.profile is None else held_out.profile[rows]
    shown = as_tensors(held_out.inputs.rows(rows), profile)
    return lambda network: -float(softmax_loss(network.score(shown), targets))

"""Sequence models (three forms of Transformer, GRU4Rec, Caser) as scorers of the evidence gate:
what a network reads in a history.

Trained like a new user is served: the first events of each training user are the history, what they
liked after the pool is the target, the empty history included. Each is one name in `MODELS`; the
gate learns its weight.
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

    dim: int = setting(64, least=2)
    """Width of tokens and embeddings (2 or more, a multiple of `heads`)."""
    layers: int = setting(1, least=1)
    """Blocks (1 or more)."""
    heads: int = setting(2, least=1)
    """Attention heads (1 or more)."""
    dropout: float = setting(0.3, least=0, below=1)
    """Dropout inside blocks and on tokens, in [0, 1)."""
    id_dropout: float = setting(0.5, least=0, below=1)
    """Chance that an item's collaborative part is left out of a step, in [0, 1)."""
    factors: float = setting(0.0, least=0)
    """Length of the collaborative factors at which items' own parts start (0 or more); 0 starts at
    small noise.
    """
    steps: int = setting(300, least=1)
    """Training steps at most (1 or more)."""
    users_per_step: int = setting(64, least=1)
    """Histories in a step (1 or more)."""
    prefixes: int = setting(4, least=1)
    """Prefixes of each history in a step (1 or more); one of them is empty."""
    learning_rate: float = setting(2e-3, above=0)
    """Peak step size of AdamW (above 0)."""
    weight_decay: float = setting(1e-2, least=0)
    """Weight decay of AdamW (0 or more)."""
    evenness: float = setting(1.0, least=0, most=1)
    """How alike users count, in [0, 1]: 0 by how much they like, 1 all the same."""
    sampled: int = setting(0, least=0)
    """Items sampled for the loss (0 or more); 0 for the full softmax."""
    positives: int = setting(8, least=1)
    """Later items of a user that a sampled loss asks about, drawn anew in each step (1 or
    more).
    """
    check_every: int = setting(50, least=1)
    """Steps between two looks at held-out users (1 or more)."""
    patience: int = setting(2, least=1)
    """Looks without a better one before training stops (1 or more)."""
    held_out: float = setting(0.1, least=0, below=1)
    """Share of training users that only say when to stop, in [0, 1)."""
    max_held_out: int = setting(256, least=1)
    """Of them at most (1 or more)."""

    def sizes(self, max_events: int) -> SequenceSizes:
        """How large the network is."""
        return SequenceSizes(**_shared(self, SequenceSizes), max_events=max_events)

    def training(self) -> SequenceTraining:
        """How it learns."""
        return SequenceTraining(**_shared(self, SequenceTraining))


def _shared(config: TransformerConfig, kind: Any) -> dict[str, Any]:
    """Settings that a dataclass has a field for too."""
    names = (one.name for one in fields(kind))
    return {name: getattr(config, name) for name in names if hasattr(config, name)}


@dataclass(frozen=True, kw_only=True)
class MaskedConfig(TransformerConfig):
    """Hyper-parameters of a Transformer that learns by masked items."""

    masked: float = setting(0.3, above=0, below=1)
    """Share of events hidden in a step, in (0, 1)."""


@dataclass(frozen=True, kw_only=True)
class CaserConfig(TransformerConfig):
    """Hyper-parameters of Caser."""

    window: int = setting(5, least=1)
    """Newest events that a token sees (1 or more; L of the paper)."""
    horizontal: int = setting(16, least=1)
    """Filters of each height (1 or more; n of the paper)."""
    vertical: int = setting(4, least=1)
    """Filters over time (1 or more; n' of the paper)."""


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """Causal: evidence = the softmax of what the token of the newest event predicts."""

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
        """Train on the tasks of the training users, stopping by those of a few held-out ones."""
        config, reader = config or cls.config, SequenceReader.fit(behavior)
        data, asked = _split(behavior, reader, config, rng)
        return cls._trained(behavior, reader, data, asked, rng, config)

    @classmethod
    def _trained(
        cls,
        behavior: Behavior,
        reader: SequenceReader,
        data: TrainingSet,
        asked: TrainingSet,
        rng: np.random.Generator,
        config: TransformerConfig,
    ) -> Self:
        """The network learned from `data`, the best by `asked`."""
        network = train_sequence(
            data,
            behavior.content,
            reader,
            form=cls.form,
            sizes=config.sizes(behavior.horizon.pool),
            training=config.training(),
            factors=config.factors,
            rng=rng,
            validate=_likelihood(asked, config.max_held_out) if asked.targets.nnz else None,
        )
        return cls(network=network, reader=reader, config=config)

    def evidence(
        self, users: UserBatch, out: Float[np.ndarray, "users items"] | None = None
    ) -> Float[np.ndarray, "users items"]:
        """[B, N] chances that add up to 1."""
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
        """[B, N] log-scores of users as the network reads them."""
        with torch.inference_mode():
            return self.network.score(shown)

    def shown(self, users: UserBatch) -> Iterator[dict[str, Tensor]]:
        """Users as the network reads them, `at_once` at a time."""
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
        """New and changed items are placed by their content; how common a new one is comes from
        `popularity`.
        """
        arrays, known = dict(self.arrays()), len(self.network.item_bias)
        more = len(content) - known
        for name, array in arrays.items():
            if name.endswith(".content"):
                arrays[name] = content.astype(np.float32)
            elif name.endswith(".residual"):
                arrays[name] = np.pad(array, ((0, more), (0, 0)))
        offset = np.mean(arrays["item_bias"] - np.log(popularity[:known]))
        arrays["item_bias"] = np.concatenate(
            [arrays["item_bias"], np.log(popularity[known:]) + offset]
        ).astype(np.float32)
        return self.from_arrays(arrays, self.config)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Weights by name; sizes as JSON in bytes."""
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
        """From `arrays()`."""
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
    """Bidirectional: trained to name masked items; a mask after the newest event predicts what
    comes.
    """

    form: ClassVar[str] = "encoder"
    config = MaskedConfig()


class CandidateTransformer(Transformer):
    """Encoder-decoder: each candidate looks the history up by cross-attention."""

    form: ClassVar[str] = "encoder_decoder"


class Gru4Rec(Transformer):
    """GRU4Rec (Hidasi et al. 2016, arXiv:1511.06939), trained as the decoder is."""

    form: ClassVar[str] = "gru4rec"


class Caser(Transformer):
    """Caser (Tang & Wang 2018, arXiv:1809.07426), trained as the decoder is."""

    form: ClassVar[str] = "caser"
    config = CaserConfig()


def _targets(behavior: Behavior, evenness: float) -> sp.csr_matrix:
    """[U, N] what each user liked after the pool; mean 1 over users.

    New users are evaluated one by one. Counted by event, users who like a great deal teach most:
    encoder-decoders then stood .007 NDCG@10 lower on ml-100k and .003 on ibm-courses.
    """
    liked = behavior.targets
    each = np.maximum(liked.lengths, 1) ** -evenness
    each = each * (len(liked.items) / max(float((each * liked.lengths).sum()), 1e-9))
    return liked.matrix(behavior.n_items, each[liked.owners])


def _training_set(
    behavior: Behavior, reader: SequenceReader, users: np.ndarray, evenness: float
) -> TrainingSet:
    """What these training users show and want; where acts have circumstances everyone stands twice:
    without any, and asked for what they took under those of one act.
    """
    targets, codes = _targets(behavior, evenness)[users], np.zeros((len(users), 0), np.int64)
    copies = 1
    context = behavior.context
    if context is not None and context.has_circumstances:
        told = behavior.batch_of(users, behavior.pool.users(users)).context.circumstances
        codes = np.concatenate([np.zeros_like(told), told])
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
    """Users to learn from, and held-out ones who say when to stop."""
    shuffled = rng.permutation(len(behavior.histories))
    evaluated, learned = np.split(shuffled, [int(config.held_out * len(shuffled))])
    some = evaluated[behavior.targets.lengths[evaluated] > 0]
    return (
        _training_set(behavior, reader, learned, config.evenness),
        _training_set(behavior, reader, some, config.evenness),
    )


def _taken_then(behavior: Behavior, users: np.ndarray, targets: sp.csr_matrix) -> sp.csr_matrix:
    """`targets` [len(users), N] without what was taken under other circumstances than those
    told.
    """
    assert behavior.context is not None
    acts, rows = behavior.asked_acts, []
    for start in range(0, len(users), AT_ONCE):
        some = users[start : start + AT_ONCE]
        then = behavior.context.taken_then(some, behavior.targets, acts)
        rows.append(targets[start : start + AT_ONCE].multiply(then).tocsr())
    return sp.vstack(rows, format="csr") if rows else targets


def _likelihood(asked: TrainingSet, most: int) -> Callable[[SequenceTransformer], float]:
    """How likely the network finds what at most `most` of these users wanted."""
    rows = np.arange(asked.targets.shape[0])
    rows = rows[:: max(1, len(rows) // most)][:most]
    wanted = on_device(asked.targets[rows].toarray().astype(np.float32))
    profile = None if asked.profile is None else asked.profile[rows]
    shown = as_tensors(asked.inputs.rows(rows), profile)
    return lambda network: -float(softmax_loss(network.score(shown), wanted))

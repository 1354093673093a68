"""The three forms of sequence Transformer as experts of the evidence gate: what a network reads in
a history.

Trained like a newcomer is served: the first events of each training user are the history, what they
liked after the pool is the target, the empty history included. Each is one name in `SCORERS`; the
gate learns what it is worth.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float

from metarec.features.behaviour import Behaviour
from metarec.features.users import UserBatch
from metarec.models.transformer.inputs import SequenceReader
from metarec.models.transformer.losses import softmax_loss
from metarec.models.transformer.network import SequenceSizes, SequenceTransformer, as_tensors
from metarec.models.transformer.training import SequenceTraining, TrainingSet, train_sequence

SIZES = {"dim": 64, "layers": 1, "heads": 2, "dropout": 0.3}
TRAINING = SequenceTraining(steps=300, users_per_step=64, check_every=50, patience=2)
HELD_OUT = 0.1
"""Share of training users that only say when to stop."""
MOST_JUDGED = 256
AT_ONCE = 256
"""People scored together."""
SETTINGS = "settings"


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """Causal: evidence = the softmax of what the token of the newest event predicts."""

    form: ClassVar[str] = "decoder"
    network: SequenceTransformer
    reader: SequenceReader

    @classmethod
    def fit(cls, behaviour: Behaviour, rng: np.random.Generator) -> Self:
        """Train on the tasks of the training users, stopping by those of a few held-out ones."""
        reader = SequenceReader.fit(behaviour)
        shuffled = rng.permutation(len(behaviour.histories))
        judged, learned = np.split(shuffled, [int(HELD_OUT * len(shuffled))])
        data = _training_set(behaviour, reader, learned)
        asked = _training_set(behaviour, reader, judged[behaviour.targets.lengths[judged] > 0])
        # Dim and layers are ints, dropout a float
        sizes = SequenceSizes(**SIZES, max_events=behaviour.horizon.pool)  # type: ignore[arg-type]
        network = train_sequence(
            data,
            behaviour.content,
            reader,
            form=cls.form,
            sizes=sizes,
            training=TRAINING,
            rng=rng,
            validate=_likelihood(asked) if asked.targets.nnz else None,
        )
        return cls(network=network, reader=reader)

    def evidence(
        self, users: UserBatch, out: Float[np.ndarray, "people items"] | None = None
    ) -> Float[np.ndarray, "people items"]:
        """[B, N] chances that add up to 1."""
        support, profiles = users.support, users.profiles
        inputs = self.reader.read(
            support, users.context.circumstances, self.network.sizes.max_events
        )
        has_profile = self.network.profile is not None
        parts = []
        with torch.inference_mode():
            for start in range(0, len(support), AT_ONCE):
                rows = np.arange(start, min(start + AT_ONCE, len(support)))
                parts.append(
                    torch.softmax(
                        self.network.score(
                            as_tensors(inputs.rows(rows), profiles[rows] if has_profile else None)
                        ),
                        -1,
                    )
                )
        evidence = (
            torch.cat(parts).numpy()
            if parts
            else np.zeros((0, len(self.network.item_bias)), np.float32)
        )
        if out is None:
            return evidence
        out[...] = evidence
        return out

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
        return self.from_arrays(arrays)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Weights by name; sizes as JSON in bytes."""
        profile = self.network.profile
        settings = {
            "sizes": asdict(self.network.sizes),
            "reader": self.reader.to_dict(),
            "profile": 0 if profile is None else profile.in_features,
        }
        return {
            **{name: value.detach().numpy() for name, value in self.network.state_dict().items()},
            SETTINGS: np.frombuffer(json.dumps(settings).encode(), np.uint8),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """From `arrays()`."""
        settings: dict[str, Any] = json.loads(arrays[SETTINGS].tobytes())
        weights = {
            name: torch.from_numpy(np.array(value))
            for name, value in arrays.items()
            if name != SETTINGS
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
        network.load_state_dict(weights)
        return cls(network=network.eval(), reader=reader)


class MaskedTransformer(Transformer):
    """Bidirectional: trained to name masked items; a mask after the newest event predicts what
    comes.
    """

    form: ClassVar[str] = "encoder"


class CandidateTransformer(Transformer):
    """Encoder-decoder: each candidate looks the history up by cross-attention."""

    form: ClassVar[str] = "encoder_decoder"


def _targets(behaviour: Behaviour) -> sp.csr_matrix:
    """[U, N] what each person liked after the pool, everyone counting the same in all, however much
    they liked; mean 1.

    Newcomers are judged one by one. Counted by event, people who like a great deal teach most:
    encoder-decoders then stood .007 NDCG@10 lower on ml-100k and .003 on ibm-courses.
    """
    liked = behaviour.targets
    people = max(int(np.count_nonzero(liked.lengths)), 1)
    each: np.ndarray = len(liked.items) / people / np.maximum(liked.lengths, 1)
    return liked.matrix(behaviour.n_items, each[liked.owners])


def _training_set(behaviour: Behaviour, reader: SequenceReader, users: np.ndarray) -> TrainingSet:
    """What these training users show and want; where acts have circumstances everyone stands twice:
    without any, and asked for what they took under those of one act.
    """
    targets, codes = _targets(behaviour)[users], np.zeros((len(users), 0), np.int64)
    context = behaviour.context
    if context is not None and context.has_circumstances:
        told = behaviour.batch_of(users, behaviour.pool.users(users)).context.circumstances
        codes = np.concatenate([np.zeros_like(told), told])
        targets = sp.vstack([targets, _taken_then(behaviour, users, targets)], format="csr")
        users = np.concatenate([users, users])
    profile = behaviour.profiles[users] if behaviour.profiles.shape[1] else None
    inputs = reader.read(behaviour.pool.users(users), codes, behaviour.horizon.pool)
    return TrainingSet(inputs=inputs, targets=targets, profile=profile)


def _taken_then(behaviour: Behaviour, users: np.ndarray, targets: sp.csr_matrix) -> sp.csr_matrix:
    """`targets` [len(users), N] without what was taken under other circumstances than those
    told.
    """
    assert behaviour.context is not None
    acts, rows = behaviour.asked_acts, []
    for start in range(0, len(users), AT_ONCE):
        some = users[start : start + AT_ONCE]
        then = behaviour.context.taken_then(some, behaviour.targets, acts)
        rows.append(targets[start : start + AT_ONCE].multiply(then).tocsr())
    return sp.vstack(rows, format="csr") if rows else targets


def _likelihood(asked: TrainingSet) -> Callable[[SequenceTransformer], float]:
    """How likely the network finds what `MOST_JUDGED` of these users wanted."""
    rows = np.arange(asked.targets.shape[0])
    rows = rows[:: max(1, len(rows) // MOST_JUDGED)][:MOST_JUDGED]
    wanted = torch.from_numpy(asked.targets[rows].toarray().astype(np.float32))
    profile = None if asked.profile is None else asked.profile[rows]
    shown = as_tensors(asked.inputs.rows(rows), profile)
    return lambda network: -float(softmax_loss(network.score(shown), wanted))

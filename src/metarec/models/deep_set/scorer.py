"""The deep-set network as a scorer of the gate: its softmax probabilities are the evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int

from metarec.features.behavior import Behavior
from metarec.features.users import UserBatch
from metarec.models.base import by_columns
from metarec.models.config import configured
from metarec.models.deep_set.inference import ServedNetwork
from metarec.models.deep_set.network import DeepSetConfig, DeepSetNetwork, train_network
from metarec.runtime.device import device, in_memory, on_device
from metarec.runtime.scratch import column_pieces


@dataclass(frozen=True, kw_only=True)
class DeepSet:
    """Evidence = exp(logit - largest logit) of the network after the support."""

    network: DeepSetNetwork
    config: DeepSetConfig = DeepSetConfig()
    reads: ClassVar[frozenset[str]] = frozenset({"item", "order", "rating", "strength", "profile"})

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: DeepSetConfig | None = None
    ) -> DeepSet:
        """Train the network on the training users, shown as new users."""
        config = config or cls.config
        return cls(network=train_network(behavior, config, rng), config=config)

    def evidence(
        self, users: UserBatch, out: Float[np.ndarray, "users items"] | None = None
    ) -> Float[np.ndarray, "users items"]:
        """[B, N] evidence for every item."""
        vectors, bias = self._user_vectors(users), in_memory(self.network.bias)
        out = np.empty((len(users), len(bias)), np.float32) if out is None else out
        for piece in column_pieces(*out.shape):
            np.matmul(vectors, self._columns[:, piece], out=out[:, piece])
            out[:, piece] += bias[piece]
        out -= out.max(1, keepdims=True)
        np.exp(
            out, out=out
        )  # an unnormalized softmax; the gate normalizes the evidence of every scorer
        return out

    def evidence_of(
        self, users: UserBatch, items: Int[np.ndarray, "some"]
    ) -> Float[np.ndarray, "users some"]:
        """[B, I] evidence for the given items up to a factor per user, in float64, since the
        largest logit of the catalog is not known.
        """
        logits = self._user_vectors(users) @ self.vectors_of(items).T
        logits += in_memory(self.network.bias)[items]
        return np.asarray(np.exp(logits.astype(np.float64)))

    def vectors_of(self, items: Int[np.ndarray, "some"]) -> Float[np.ndarray, "some dim"]:
        """[I, D] embeddings of the given items."""
        return np.asarray(self._served.items[items])

    def _user_vectors(self, users: UserBatch) -> np.ndarray:
        """[B, D] user vectors; their products with item embeddings, plus the bias of each item, are
        the logits.
        """
        support, served = users.support, self._served
        # No padding beyond the longest support
        longest = min(served.pool, int(support.lengths.max(initial=1)))
        events, lengths = support.padded(longest), np.minimum(support.lengths, longest)
        return served.user_vectors(
            events.items, events.values, events.strengths, lengths, users.profiles
        )

    @cached_property
    def _served(self) -> ServedNetwork:
        """The network prepared for inference."""
        return ServedNetwork(self.network)

    @cached_property
    def _columns(self) -> np.ndarray:
        """[D, N] item embeddings, transposed by `by_columns`."""
        return by_columns(self._served.items)

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> DeepSet:
        """Return the model for a larger catalog; new items are embedded by content, without a
        collaborative residual, and get the popularity that is predicted for them.
        """
        state = self.network.state_dict()
        grown = _blank(
            content,
            self.network.profile.in_features,
            self.network.pool,
            len(state["edges"]),
            self.network.sizes,
        )
        fresh = grown.state_dict()
        more = len(content) - len(self.network.bias)
        for name, value in state.items():
            same = fresh[name].shape == value.shape
            fresh[name] = (
                value if same else torch.cat([value, value.new_zeros(more, *value.shape[1:])])
            )
        fresh["items.content"] = on_device(content)
        if more:
            shift = (self.network.bias - on_device(np.log(popularity[:-more]))).mean()
            fresh["bias"][-more:] = on_device(np.log(popularity[-more:])) + shift
        grown.load_state_dict(fresh)
        return DeepSet(network=grown.eval(), config=self.config)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Weights, and the settings as numbers (0 for default steps)."""
        sizes = [value or 0 for value in asdict(self.network.sizes).values()]
        facts = np.array([*sizes, self.network.pool], np.float64)
        return {
            **{
                f"state.{name}": in_memory(value)
                for name, value in self.network.state_dict().items()
            },
            "sizes": facts,
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: DeepSetConfig | None = None
    ) -> DeepSet:
        """Restore the model from `arrays()`."""
        *values, pool = arrays["sizes"].tolist()
        names = list(asdict(DeepSetConfig()))  # earlier versions saved only the first
        settings = dict(zip(names, values, strict=False))
        sizes = configured(
            "deep_set", DeepSetConfig(), {**settings, "steps": settings["steps"] or None}
        )
        state = {
            name.removeprefix("state."): on_device(value)
            for name, value in arrays.items()
            if name.startswith("state.")
        }
        network = _blank(
            arrays["state.items.content"],
            state["profile.weight"].shape[1],
            int(pool),
            len(state["edges"]),
            sizes,
        )
        network.load_state_dict(state)
        return cls(network=network.eval(), config=config or cls.config)


def _blank(
    content: np.ndarray, profile_columns: int, pool: int, edges: int, sizes: DeepSetConfig
) -> DeepSetNetwork:
    """A network of this size, into which trained weights are loaded."""
    assert edges < sizes.value_levels, "there are fewer edges than levels"
    with torch.random.fork_rng(devices=[]):
        return DeepSetNetwork(
            on_device(content),
            profile_columns,
            pool,
            torch.zeros(len(content)),
            torch.zeros(edges),
            sizes,
        ).to(device())

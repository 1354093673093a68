"""Content-based scoring with the taste of another data set: a linear map from text embeddings to
that data's ALS factors, learned with the prior and fixed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from metarec.features.behavior import Behavior
from metarec.features.users import UserBatch
from metarec.models.content import Content, ContentConfig, directions_of


@dataclass(frozen=True, kw_only=True)
class Transferred:
    """`Content` over transferred item vectors instead of the catalog's own content columns."""

    content: Content
    """The content model over the transferred vectors."""
    config: ContentConfig = ContentConfig()
    reads: ClassVar[frozenset[str]] = Content.reads

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: ContentConfig | None = None
    ) -> Transferred:
        """Count popularity; nothing else is learned, as `behavior.taste` comes from the prior."""
        taste = behavior.taste
        if taste is None:
            taste = np.zeros((behavior.n_items, 1), np.float32)
        config = config or cls.config
        content = Content.fit(replace(behavior, content=taste), rng, config)
        return cls(content=content, config=config)

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> np.ndarray:
        """[B, N] evidence for every item; zero for a user without support."""
        return self.content.evidence(users, out)

    def with_content(self, content: np.ndarray, popularity: np.ndarray) -> Transferred:
        """Return the model for a larger catalog; new items have no vector until `with_taste`."""
        directions = self.content.directions
        grown = np.pad(directions, ((0, len(content) - len(directions)), (0, 0)))
        content_then = replace(self.content, directions=grown, popularity=popularity)
        return replace(self, content=content_then)

    def with_taste(self, taste: np.ndarray) -> Transferred:
        """Return the model with transferred item vectors `taste` [N, D]."""
        return replace(self, content=replace(self.content, directions=directions_of(taste)))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """The arrays of the content model."""
        return self.content.arrays()

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: ContentConfig | None = None
    ) -> Transferred:
        """Restore the model from `arrays()`."""
        config = config or cls.config
        return cls(content=Content.from_arrays(arrays, config), config=config)

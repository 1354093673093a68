"""Items like those a user liked, in the taste that another data set's users showed: a map from text
to where behavior put items there, learned with the prior and fixed here.
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
    """`Content` over transferred directions in place of the catalog's own columns."""

    content: Content
    config: ContentConfig = ContentConfig()
    reads: ClassVar[frozenset[str]] = Content.reads

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: ContentConfig | None = None
    ) -> Transferred:
        """Nothing is learned here but popularity; `behavior.taste` comes from the prior."""
        taste = behavior.taste
        if taste is None:
            taste = np.zeros((behavior.n_items, 1), np.float32)
        config = config or cls.config
        content = Content.fit(replace(behavior, content=taste), rng, config)
        return cls(content=content, config=config)

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> np.ndarray:
        """[B, N]; zero for a user without support."""
        return self.content.evidence(users, out)

    def with_content(self, content: np.ndarray, popularity: np.ndarray) -> Transferred:
        """Nothing is known of new items until `with_taste` says it."""
        known = self.content.directions
        grown = np.pad(known, ((0, len(content) - len(known)), (0, 0)))
        content_then = replace(self.content, directions=grown, popularity=popularity)
        return replace(self, content=content_then)

    def with_taste(self, taste: np.ndarray) -> Transferred:
        """The same model for items at `taste` [N, D]."""
        return replace(self, content=replace(self.content, directions=directions_of(taste)))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Those of the content model."""
        return self.content.arrays()

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: ContentConfig | None = None
    ) -> Transferred:
        """From `arrays()`."""
        config = config or cls.config
        return cls(content=Content.from_arrays(arrays, config), config=config)

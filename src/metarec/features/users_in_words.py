"""Users as text, encoded by the same encoder as the items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metarec.features.encoders.added import vectors_of
from metarec.features.encoders.base import TextEncoder
from metarec.features.encoders.encode import read_once
from metarec.features.histories import Histories
from metarec.features.text import HISTORY_ITEMS, user_text


@dataclass(frozen=True, kw_only=True)
class UsersInWords:
    """Writes a user's profile and recent history as text, and encodes it."""

    encoder: TextEncoder
    titles: Sequence[str]
    """[N] title of each item, in vocabulary order."""
    liked_from: float
    """The value from which an event counts as liked."""
    template: str | None = None
    """Template of the text, as for `user_text`; None: the default form."""
    keeps: bool = False
    """Whether vectors are cached on disk, as for training users, whose texts the next fit encodes
    again.
    """

    def write(self, histories: Histories, profiles: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return one text for each user, empty where nothing is known."""
        latest = histories.after(np.maximum(histories.lengths - HISTORY_ITEMS, 0))
        cuts = latest.offsets[1:-1]
        liked = np.split(latest.values >= self.liked_from, cuts)
        return [
            user_text(profile, [self.titles[item] for item in items], marks.tolist(), self.template)
            for profile, items, marks in zip(
                profiles, np.split(latest.items, cuts), liked, strict=True
            )
        ]

    def read(self, histories: Histories, profiles: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Return the float32 embeddings [B, E] of the users' texts, encoded in one call; zeros
        where nothing is known.
        """
        if not len(histories):
            return np.zeros((0, self.encoder.dim), np.float32)
        texts = self.write(histories, profiles)
        return vectors_of(self.encoder, texts) if self.keeps else read_once(self.encoder, texts)

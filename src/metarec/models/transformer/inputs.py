"""Histories as the input of Transformers: item, kind, strength, value and time since the previous
event, and the circumstances that a request states.

Kinds and scales are learned from training histories; a kind that never occurs there is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories


@dataclass(frozen=True, kw_only=True)
class SequenceInputs:
    """Padded histories: B users, L events, oldest first; padding is at the end."""

    items: np.ndarray
    """[B, L] int64 item indexes, 0 where padded."""
    kinds: np.ndarray
    """[B, L] int64: 0 unknown, then the kinds of the training events."""
    values: np.ndarray
    """[B, L] float32, standardized over training events."""
    strengths: np.ndarray
    """[B, L] float32 in (0, 1]: weight of the event's kind; 0 where padded."""
    gaps: np.ndarray
    """[B, L] float32: log(1 + seconds since the previous event), scaled to standard deviation 1; 0
    for the first event and where the time is unknown.
    """
    is_real: np.ndarray
    """[B, L] bool, False where padded."""
    circumstances: np.ndarray
    """[B, C] float32: 1 for each circumstance that the request states."""

    def rows(self, index: np.ndarray) -> SequenceInputs:
        """Return the inputs of the users in these rows."""
        return SequenceInputs(
            **{name: getattr(self, name)[index] for name in self.__dataclass_fields__}
        )


@dataclass(frozen=True, kw_only=True)
class SequenceReader:
    """Scales and codes learned from training histories, applied to those of requests too."""

    n_kinds: int = 2
    """Number of kinds of events, the unknown one included."""
    value_mean: float = 0.0
    value_spread: float = 1.0
    gap_spread: float = 0.0
    """Standard deviation of log(1 + seconds) between events; 0 where events have no times."""
    sizes: tuple[int, ...] = ()
    """Number of codes of each column of circumstances, the unknown one included."""

    @classmethod
    def fit(cls, behavior: Behavior) -> SequenceReader:
        """Learn kinds and scales from the training histories."""
        histories, context = behavior.histories, behavior.context
        gaps = log_gaps(behavior.pool)
        has_context = context is not None and context.has_circumstances
        return cls(
            n_kinds=int(behavior.whole.kinds.max(initial=1)) + 1,
            value_mean=float(histories.values.mean()) if len(histories.values) else 0.0,
            value_spread=_spread(histories.values) or 1.0,
            gap_spread=_spread(gaps[gaps > 0]),
            sizes=tuple(context.columns.sizes.tolist())
            if has_context and context is not None
            else (),
        )

    @property
    def n_circumstances(self) -> int:
        """C, the number of columns of `SequenceInputs.circumstances`."""
        return sum(self.sizes)

    def read(self, histories: Histories, codes: np.ndarray, length: int) -> SequenceInputs:
        """Return the newest `length` events of each history as inputs, with the circumstances given
        by their `codes`, one column for each of `sizes`.
        """
        from_end = np.repeat(histories.lengths, histories.lengths) - histories.positions
        newest = histories.where(from_end <= length)
        width = max(1, int(newest.lengths.max(initial=0)))

        def padded(values: np.ndarray, kind: Any) -> np.ndarray:
            out = np.zeros((len(newest), width), kind)
            out[newest.owners, newest.positions] = values
            return out

        gaps = log_gaps(newest) / self.gap_spread if self.gap_spread else 0.0 * newest.values
        return SequenceInputs(
            items=padded(newest.items, np.int64),
            kinds=padded(np.where(newest.kinds < self.n_kinds, newest.kinds, 0), np.int64),
            values=padded((newest.values - self.value_mean) / self.value_spread, np.float32),
            strengths=padded(newest.strengths, np.float32),
            gaps=padded(gaps, np.float32),
            is_real=padded(np.ones(len(newest.items)), bool),
            circumstances=self._stated(codes, len(newest)),
        )

    def _stated(self, codes: np.ndarray, users: int) -> np.ndarray:
        """Return circumstances [B, C], one-hot per column; unknown codes are all 0."""
        one_hot = np.zeros((users, self.n_circumstances), np.float32)
        if codes.shape[1] == len(self.sizes):
            starts = np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int64)[:-1]
            rows, columns = np.nonzero(codes)
            one_hot[rows, starts[columns] + codes[rows, columns]] = 1.0
        return one_hot

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SequenceReader:
        """Return the reader that `to_dict()` was called on."""
        return cls(**{**values, "sizes": tuple(values["sizes"])})


def log_gaps(histories: Histories) -> np.ndarray:
    """Return [E] log(1 + seconds since the user's previous event); 0 for the first and where the
    time is unknown.
    """
    seconds = np.diff(histories.times, prepend=np.nan)
    seconds[histories.offsets[:-1][histories.lengths > 0]] = 0.0
    return np.asarray(np.log1p(np.maximum(np.nan_to_num(seconds), 0.0)))


def _spread(values: np.ndarray) -> float:
    return float(np.std(values)) if len(values) else 0.0

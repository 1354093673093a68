"""The evidence gate: how much to trust each kind of knowledge after 0, 1, 3, ... events.

With p the popularity of an item, r_s its statistics in general (how well it is liked, how often
met), and q_m the share of attention that scorer m gives it, the log-score is

    trust(k) log p  +  sum over s of statistics_weight_s(k) r_s  +  sum over m of  weight_m(k) log(1
    + q_m / (smoothing_m(k) p))

so every scorer's part is a lift over popularity: zero where it knows nothing, never negative. The
parts add up to the score exactly, which is what explanations show. `popularity_weight`,
`statistics_weight`, `weight` and `smoothing` are learned on held-out new users (gate_training.py)
at a few support sizes and interpolated between them in log(1 + k).

`Gate.parts` is the formula, `Gate.score` the sum of the parts in fewer passes over the catalog, and
`log_scores` that of a few candidates with gradients, for training and tuning; tests hold them
together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float, Int
from torch import Tensor

from metarec.runtime.interpolation import Interpolation
from metarec.runtime.old_names import ARRAYS, with_current_names
from metarec.runtime.scratch import column_pieces

POPULARITY, ITEM_STATISTICS = "popularity", "item_statistics"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Learned weight of each part, by number of events."""

    names: tuple[str, ...]
    """Names of the M scorers."""
    points: Int[np.ndarray, "points"]
    """[K] support sizes, ascending from 0."""
    popularity_weight: Float[np.ndarray, "points"]
    """[K] exponent of popularity."""
    statistics_weight: Float[np.ndarray, "points columns"]
    """[K, S] weight of each column of an item's statistics; any sign."""
    weight: Float[np.ndarray, "points scorers"]
    """[K, M] at least 0."""
    smoothing: Float[np.ndarray, "points scorers"]
    """[K, M] above 0: the share of popularity at which a scorer's evidence starts to count."""

    def at(self, lengths: Int[np.ndarray, "users"]) -> dict[str, np.ndarray]:
        """`popularity_weight` [B], `statistics_weight` [B, S], `weight` [B, M] and `smoothing` [B,
        M] for supports of these lengths.
        """
        found = self._by_events.after(lengths).astype(np.float32)
        columns, scorers = self.statistics_weight.shape[1], self.weight.shape[1]
        weight, log_smoothing = (
            found[:, 1 + columns : 1 + columns + scorers],
            found[:, 1 + columns + scorers :],
        )
        return {
            "popularity_weight": found[:, 0],
            "statistics_weight": found[:, 1 : 1 + columns],
            "weight": weight,
            "smoothing": np.exp(log_smoothing),
        }

    @cached_property
    def _by_events(self) -> Interpolation:
        """[1 + S + 2 M] everything that is interpolated, side by side."""
        return Interpolation.between(
            self.points,
            np.concatenate(
                [
                    self.popularity_weight[:, None],
                    self.statistics_weight,
                    self.weight,
                    np.log(self.smoothing),
                ],
                axis=1,
            ),
        )

    def parts(
        self,
        popularity: Float[np.ndarray, "items"],
        item_statistics: Float[np.ndarray, "items columns"],
        evidence: Mapping[str, Float[np.ndarray, "users items"]],
        lengths: Int[np.ndarray, "users"],
    ) -> dict[str, Float[np.ndarray, "users items"]]:
        """The addends of the log-score, by name: each [B, N] float32; popularity first, then
        item statistics.

        Args:
            popularity: [N] shares, above 0, summing to 1.
            item statistics: [N, S] what is known of each item in general.
            evidence: [B, N] of each scorer, at least 0.
            lengths: [B] events in each support.
        """
        at = self.at(lengths)
        weight, smoothing = at["weight"], at["smoothing"]
        parts = {
            POPULARITY: at["popularity_weight"][:, None] * np.log(popularity)[None, :],
            ITEM_STATISTICS: at["statistics_weight"] @ item_statistics.T,
        }
        for column, name in enumerate(self.names):
            total = evidence[name].sum(1, keepdims=True)
            share = evidence[name] / np.where(total > 0, total, 1.0)
            known = share, popularity.copy(), smoothing[:, column, None]
            parts[name] = weight[:, column, None] * lifts(*map(torch.from_numpy, known)).numpy()
        return parts

    def score(
        self,
        popularity: Float[np.ndarray, "items"],
        base: Float[np.ndarray, "rows items"],
        evidence: Iterable[Float[np.ndarray, "users items"] | sp.csr_matrix],
        lengths: Int[np.ndarray, "users"],
        *,
        out: Float[np.ndarray, "users items"],
    ) -> None:
        """The sum of `parts`, written into `out` and found with as few passes over the catalog as
        there can be.

        Args:
            popularity: [N] shares, above 0, summing to 1.
            base: [1 + S, N] log of them, and each column of the item statistics.
            evidence: [B, N] of each scorer in turn, at least 0; sparse where most is 0. Dense
                evidence is overwritten.
            lengths: [B] events in each support.
        """
        at = self.at(lengths)
        np.matmul(
            np.concatenate([at["popularity_weight"][:, None], at["statistics_weight"]], axis=1),
            base,
            out=out,
        )
        rarity = np.divide(np.float32(1.0), popularity, dtype=np.float32)
        pieces = column_pieces(*out.shape)
        # log(1 + x / c) = log(x + c) - log c: the last is one number a user, added up here and
        # taken away at the end.
        constant, ones = np.zeros(len(lengths), np.float32), np.ones(out.shape[1], np.float32)
        for column, found in enumerate(evidence):
            weight = at["weight"][:, column]
            if isinstance(found, sp.csr_matrix):
                owners = np.repeat(np.arange(len(lengths)), np.diff(found.indptr))
                scale = _scale(
                    np.bincount(owners, found.data, len(lengths)), at["smoothing"][:, column]
                )
                lifts = weight[owners] * np.log1p(
                    found.data * rarity[found.indices] / scale[owners]
                )
                out.reshape(-1)[owners * out.shape[1] + found.indices] += (
                    lifts  # each item stands once in a row
                )
                continue
            total = found @ ones  # three times faster than sum()
            if not total.any():
                continue
            scale = _scale(total, at["smoothing"][:, column])
            for piece in pieces:  # five steps over what lies in the nearest cache
                lifts = found[:, piece]
                lifts *= rarity[piece]
                lifts += scale[:, None]
                np.log(lifts, out=lifts)
                lifts *= weight[:, None]
                out[:, piece] += lifts
            constant += weight * np.log(scale)
        out -= constant[:, None]

    def score_some(
        self,
        base: Float[np.ndarray, "rows some"],
        shares: Mapping[str, Float[np.ndarray, "users some"]],
        lengths: Int[np.ndarray, "users"],
    ) -> Float[np.ndarray, "users some"]:
        """[B, I] `score` of some items.

        Args:
            base: [1 + S, I] as for `score`.
            shares: [B, I] of each scorer, its evidence over its sum in the whole catalog.
            lengths: [B] events in each support.
        """
        at = self.at(lengths)
        known = np.concatenate([at["popularity_weight"][:, None], at["statistics_weight"]], axis=1)
        out, popularity = known @ base, np.exp(base[0])
        for column, name in enumerate(self.names):
            weight, smoothing = at["weight"][:, column, None], at["smoothing"][:, column, None]
            out += weight * np.log1p(shares[name] / (smoothing * popularity))
        return np.asarray(out, np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything learned, as named arrays."""
        return {
            "points": self.points,
            "popularity_weight": self.popularity_weight,
            "statistics_weight": self.statistics_weight,
            "weight": self.weight,
            "smoothing": self.smoothing,
        }

    @classmethod
    def from_arrays(cls, names: tuple[str, ...], arrays: Mapping[str, np.ndarray]) -> Gate:
        """From `arrays()` and the scorers' names."""
        arrays = with_current_names(arrays, ARRAYS)
        return cls(
            names=names,
            **{
                name: arrays[name]
                for name in (
                    "points",
                    "popularity_weight",
                    "statistics_weight",
                    "weight",
                    "smoothing",
                )
            },
        )


def lifts(shares: Tensor, popularity: Tensor, smoothing: Tensor) -> Tensor:
    """What each share of attention adds before it is weighed: log(1 + q / (smoothing p)), the
    formula at the head of this module, which training and tuning follow too.
    """
    return torch.log1p(shares / (smoothing * popularity))


def log_scores(
    popularity_weight: Tensor,
    statistics_weight: Tensor,
    weight: Tensor,
    smoothing: Tensor,
    *,
    shares: Tensor,
    popularity: Tensor,
    item_statistics: Tensor,
) -> Tensor:
    """[T, C] log-scores of candidates at one support size: the whole formula, for gradients.

    Args:
        popularity_weight: one number; `statistics_weight` [S]; `weight` and `smoothing` [M].
        shares: [T, C, M]; `popularity` [T, C]; `item_statistics` [T, C, S].
    """
    # log(1 + x / s) = log(x + s) - log s, and the latter is the same for all: half the time.
    lift = torch.log(shares / popularity[..., None] + smoothing) @ weight
    base = popularity_weight * popularity.log() + item_statistics @ statistics_weight
    return base + (lift - smoothing.log() @ weight)


def _scale(total: np.ndarray, smoothing: np.ndarray) -> np.ndarray:
    """[B] float32 by which evidence over popularity is divided: its sum (1 where there is none)
    times the ease.
    """
    return np.asarray(np.where(total > 0, total, 1.0) * smoothing, np.float32)

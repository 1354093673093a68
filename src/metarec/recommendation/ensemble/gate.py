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
    mixing: Float[np.ndarray, "points 2"] | None = None
    """[K, 2] by what scores are divided for exp(score) to be likeliest as chances of new items, and
    the log of what these come to together; None where nothing is taken again
    (`recommendation.ensemble.repeats`).
    """

    def at(self, lengths: Int[np.ndarray, "users"]) -> dict[str, np.ndarray]:
        """`popularity_weight` [B], `statistics_weight` [B, S], `weight` [B, M] and `smoothing` [B,
        M] for supports of these lengths.
        """
        general, weight, smoothing = self._at(lengths)
        return {
            "popularity_weight": general[:, 0],
            "statistics_weight": general[:, 1:],
            "weight": weight,
            "smoothing": smoothing,
        }

    def _at(self, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """[B, 1 + S] weights of what is known of items in general, `weight` and `smoothing`."""
        found = self._by_events.after(lengths).astype(np.float32)
        general = 1 + self.statistics_weight.shape[1]
        scorers = general + self.weight.shape[1]
        return found[:, :general], found[:, general:scorers], np.exp(found[:, scorers:])

    def mixing_after(self, lengths: Int[np.ndarray, "users"]) -> Float[np.ndarray, "users 2"]:
        """[B, 2] `mixing` for supports of these lengths."""
        return self._mixing.after(lengths)

    @cached_property
    def _mixing(self) -> Interpolation:
        assert self.mixing is not None, "learned only where items are taken again"
        return Interpolation.between(self.points, self.mixing)

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
        rarity: Float[np.ndarray, "items"],
        base: Float[np.ndarray, "rows items"],
        evidence: Iterable[Float[np.ndarray, "*scorers users items"] | sp.csr_matrix],
        lengths: Int[np.ndarray, "users"],
        *,
        out: Float[np.ndarray, "users items"],
    ) -> None:
        """The sum of `parts`, written into `out` and found with as few passes over the catalog as
        there can be.

        Args:
            rarity: [N] 1 over the popularity.
            base: [1 + S, N] log of the popularity, and each column of the item statistics.
            evidence: [B, N] of each scorer in turn, at least 0, or [G, B, N] of the next G of them;
                sparse where most is 0. Dense evidence is overwritten.
            lengths: [B] events in each support.
        """
        general, weight, smoothing = self._at(lengths)
        np.matmul(general, base, out=out)
        constant, column = np.zeros(len(lengths), np.float32), 0
        for found in evidence:
            if isinstance(found, sp.csr_matrix):
                _add_few(found, weight[:, column], smoothing[:, column], rarity, out)
                column += 1
                continue
            block = found.reshape(-1, *out.shape)
            some = slice(column, column + len(block))
            constant += _add_many(block, weight[:, some].T, smoothing[:, some].T, rarity, out)
            column += len(block)
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
        learned = {
            "points": self.points,
            "popularity_weight": self.popularity_weight,
            "statistics_weight": self.statistics_weight,
            "weight": self.weight,
            "smoothing": self.smoothing,
        }
        return learned if self.mixing is None else {**learned, "mixing": self.mixing}

    @classmethod
    def from_arrays(cls, names: tuple[str, ...], arrays: Mapping[str, np.ndarray]) -> Gate:
        """From `arrays()` and the scorers' names."""
        arrays = with_current_names(arrays, ARRAYS)
        return cls(
            names=names,
            mixing=arrays.get("mixing"),
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


def _add_few(
    found: sp.csr_matrix,
    weight: np.ndarray,
    smoothing: np.ndarray,
    rarity: np.ndarray,
    out: np.ndarray,
) -> None:
    """Add what one scorer [B, N] lifts, of which each item stands once in a row."""
    owners = np.repeat(np.arange(len(weight)), np.diff(found.indptr))
    scale = _scale(np.bincount(owners, found.data, len(weight)), smoothing)
    lifts = weight[owners] * np.log1p(found.data * rarity[found.indices] / scale[owners])
    out.reshape(-1)[owners * out.shape[1] + found.indices] += lifts


def _add_many(
    block: np.ndarray,
    weight: np.ndarray,
    smoothing: np.ndarray,
    rarity: np.ndarray,
    out: np.ndarray,
) -> np.ndarray:
    """Add what G scorers [G, B, N] lift; what is to be taken away again from each row [B] is left:
    log(1 + x / c) = log(x + c) - log c, and the last is one number a user.
    """
    total = block @ np.ones(block.shape[2], np.float32)  # three times faster than sum()
    if not total.any():
        return np.zeros(len(out), np.float32)
    scale = _scale(total, smoothing)
    for piece in column_pieces(total.size, block.shape[2]):
        lifts = block[..., piece]  # each step over what lies in the nearest cache
        lifts *= rarity[piece]
        lifts += scale[..., None]
        np.log(lifts, out=lifts)
        if len(lifts) == 1:  # in place, where the array is too large for memory of its own
            lifts *= weight[..., None]
            out[:, piece] += lifts[0]
        else:
            out[:, piece] += np.einsum("gb,gbn->bn", weight, lifts)
    return np.asarray((weight * np.log(scale)).sum(0))


def _scale(total: np.ndarray, smoothing: np.ndarray) -> np.ndarray:
    """float32 by which evidence over popularity is divided: its sum (1 where there is none)
    times the ease.
    """
    return np.asarray(np.where(total > 0, total, 1.0) * smoothing, np.float32)

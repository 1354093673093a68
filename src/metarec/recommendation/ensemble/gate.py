"""The evidence gate: blending weights of popularity, item statistics and models, by the number of
known events k.

With p the popularity of an item, r_s its statistics (how well liked, how often acted on), and q_m
its share of the evidence of scorer m, the log-score is

    popularity_weight(k) log p  +  sum over s of  statistics_weight_s(k) r_s
    +  sum over m of  weight_m(k) log(1 + q_m / (smoothing_m(k) p))

so every scorer adds a lift over popularity: zero where it has no evidence, never negative. The
score is exactly the sum of these components, which explanations show. `popularity_weight`,
`statistics_weight`, `weight` and `smoothing` are learned on held-out new users (gate_training.py)
at a few support sizes and interpolated between them in log(1 + k).

`Gate.score_components` is the formula, `Gate.score` computes its sum in fewer passes over the
catalog, and `log_scores` computes it with gradients for a few candidates, for training and tuning;
tests check that all three agree.
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
    """Learned weight of each score component, by number of events."""

    names: tuple[str, ...]
    """Names of the M scorers."""
    points: Int[np.ndarray, "points"]
    """[K] support sizes, ascending from 0."""
    popularity_weight: Float[np.ndarray, "points"]
    """[K] exponent of popularity."""
    statistics_weight: Float[np.ndarray, "points columns"]
    """[K, S] weight of each column of an item's statistics; any sign."""
    weight: Float[np.ndarray, "points scorers"]
    """[K, M] weight of each scorer's lift, at least 0."""
    smoothing: Float[np.ndarray, "points scorers"]
    """[K, M] above 0: the ratio of a scorer's share to popularity at which its lift is log 2."""
    mixing: Float[np.ndarray, "points 2"] | None = None
    """[K, 2] temperature of the softmax that gives new items their choice probabilities, and the
    log of its normalizer; None where repeats are not modeled (`recommendation.ensemble.repeats`).
    """

    def at(self, lengths: Int[np.ndarray, "users"]) -> dict[str, np.ndarray]:
        """Return `popularity_weight` [B], `statistics_weight` [B, S], `weight` [B, M] and
        `smoothing` [B, M], interpolated at these support sizes.
        """
        general, weight, smoothing = self._at(lengths)
        return {
            "popularity_weight": general[:, 0],
            "statistics_weight": general[:, 1:],
            "weight": weight,
            "smoothing": smoothing,
        }

    def _at(self, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the weights of popularity and item statistics [B, 1 + S], `weight` and
        `smoothing`.
        """
        parameters = self._by_events.after(lengths).astype(np.float32)
        general = 1 + self.statistics_weight.shape[1]
        scorers = general + self.weight.shape[1]
        return (
            parameters[:, :general],
            parameters[:, general:scorers],
            np.exp(parameters[:, scorers:]),
        )

    def mixing_after(self, lengths: Int[np.ndarray, "users"]) -> Float[np.ndarray, "users 2"]:
        """Return [B, 2] `mixing`, interpolated at these support sizes."""
        return self._mixing.after(lengths)

    @cached_property
    def _mixing(self) -> Interpolation:
        assert self.mixing is not None, "learned only where items are taken again"
        return Interpolation.between(self.points, self.mixing)

    @cached_property
    def _by_events(self) -> Interpolation:
        """[1 + S + 2 M] all interpolated parameters side by side, `smoothing` as its log."""
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

    def score_components(
        self,
        popularity: Float[np.ndarray, "items"],
        item_statistics: Float[np.ndarray, "items columns"],
        evidence: Mapping[str, Float[np.ndarray, "users items"]],
        lengths: Int[np.ndarray, "users"],
    ) -> dict[str, Float[np.ndarray, "users items"]]:
        """Return the components of the log-score by name, each [B, N] float32: popularity first,
        then item statistics, then each scorer.

        Args:
            popularity: [N] shares, above 0, summing to 1.
            item_statistics: [N, S] statistics of each item, the same for all users.
            evidence: [B, N] of each scorer, at least 0.
            lengths: [B] events in each support.
        """
        at = self.at(lengths)
        weight, smoothing = at["weight"], at["smoothing"]
        components = {
            POPULARITY: at["popularity_weight"][:, None] * np.log(popularity)[None, :],
            ITEM_STATISTICS: at["statistics_weight"] @ item_statistics.T,
        }
        for column, name in enumerate(self.names):
            total = evidence[name].sum(1, keepdims=True)
            share = evidence[name] / np.where(total > 0, total, 1.0)
            arguments = share, popularity.copy(), smoothing[:, column, None]
            components[name] = (
                weight[:, column, None] * lifts(*map(torch.from_numpy, arguments)).numpy()
            )
        return components

    def score(
        self,
        rarity: Float[np.ndarray, "items"],
        base: Float[np.ndarray, "rows items"],
        evidence: Iterable[Float[np.ndarray, "*scorers users items"] | sp.csr_matrix],
        lengths: Int[np.ndarray, "users"],
        *,
        out: Float[np.ndarray, "users items"],
    ) -> None:
        """Write the sum of `score_components` into `out`, in few passes over the catalog.

        Args:
            rarity: [N] 1 over the popularity.
            base: [1 + S, N] log of the popularity, and each column of the item statistics.
            evidence: [B, N] of each scorer in turn, at least 0, or [G, B, N] of the next G scorers;
                sparse where most entries are 0. Dense evidence is overwritten.
            lengths: [B] events in each support.
        """
        general, weight, smoothing = self._at(lengths)
        np.matmul(general, base, out=out)
        constant, column = np.zeros(len(lengths), np.float32), 0
        for scores in evidence:
            if isinstance(scores, sp.csr_matrix):
                _add_few(scores, weight[:, column], smoothing[:, column], rarity, out)
                column += 1
                continue
            block = scores.reshape(-1, *out.shape)
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
        """Return [B, I] `score` of a subset of the items.

        Args:
            base: [1 + S, I] as for `score`.
            shares: [B, I] of each scorer: its evidence divided by the sum over the whole catalog.
            lengths: [B] events in each support.
        """
        at = self.at(lengths)
        base_weights = np.concatenate(
            [at["popularity_weight"][:, None], at["statistics_weight"]], axis=1
        )
        out, popularity = base_weights @ base, np.exp(base[0])
        for column, name in enumerate(self.names):
            weight, smoothing = at["weight"][:, column, None], at["smoothing"][:, column, None]
            out += weight * np.log1p(shares[name] / (smoothing * popularity))
        return np.asarray(out, np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the learned parameters as named arrays."""
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
        """Rebuild the gate from `arrays()` and the scorers' names."""
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
    """Return the unweighted lift of each share of evidence, log(1 + q / (smoothing p)): the formula
    at the head of this module, used by training and tuning too.
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
    """Return [T, C] log-scores of candidates at one support size: the whole formula,
    differentiable.

    Args:
        popularity_weight: scalar; `statistics_weight` [S]; `weight` and `smoothing` [M].
        shares: [T, C, M]; `popularity` [T, C]; `item_statistics` [T, C, S].
    """
    # log(1 + x / s) = log(x + s) - log s, and log s is the same for all candidates: half the time.
    # Each model's ratios side by side in memory: half the time again.
    ratios = (shares.permute(2, 0, 1).contiguous() / popularity).flatten(1)
    lift = (weight @ torch.log(ratios + smoothing[:, None])).view_as(popularity)
    base = popularity_weight * popularity.log() + item_statistics @ statistics_weight
    return base + (lift - smoothing.log() @ weight)


def _add_few(
    scores: sp.csr_matrix,
    weight: np.ndarray,
    smoothing: np.ndarray,
    rarity: np.ndarray,
    out: np.ndarray,
) -> None:
    """Add the weighted lifts of one scorer with sparse evidence [B, N], each item at most once a
    row.
    """
    owners = np.repeat(np.arange(len(weight)), np.diff(scores.indptr))
    scale = _scale(np.bincount(owners, scores.data, len(weight)), smoothing)
    lifts = weight[owners] * np.log1p(scores.data * rarity[scores.indices] / scale[owners])
    out.reshape(-1)[owners * out.shape[1] + scores.indices] += lifts


def _add_many(
    block: np.ndarray,
    weight: np.ndarray,
    smoothing: np.ndarray,
    rarity: np.ndarray,
    out: np.ndarray,
) -> np.ndarray:
    """Add the weighted lifts of G scorers [G, B, N] up to a constant per user, and return that
    constant [B], which the caller subtracts: log(1 + x / c) = log(x + c) - log c, and log c is one
    number per user.
    """
    total = block @ np.ones(block.shape[2], np.float32)  # three times faster than sum()
    if not total.any():
        return np.zeros(len(out), np.float32)
    scale = _scale(total, smoothing)
    for piece in column_pieces(total.size, block.shape[2]):
        lifts = block[..., piece]  # small enough that all steps work within the CPU cache
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
    """Return the float32 divisor of evidence over popularity: the sum of the evidence (1 where it
    is 0) times the smoothing.
    """
    return np.asarray(np.where(total > 0, total, 1.0) * smoothing, np.float32)

"""Slates of a catalog split into shards, which are scored separately and merged.

A shard scores the items of its slice. Scores need the sum of each model's evidence over the whole
catalog, so shards first return their partial sums (`ShardRequest.sums`) and score once they know
the total (`ShardRequest.offers`). Each offers the best items that may be shown, as many as a slate
is made from, and the items that later stages need: pins, cold items, and the new items that are
reranked after merging. `merged` places the offers in an array of scores of the whole catalog;
order, reserved positions and notes then follow as for any other slate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metarec.data.errors import BadInput
from metarec.features.users import UserBatch
from metarec.recommendation.candidates.some_items import StandIns, SubsetScorer, Sums
from metarec.recommendation.fitted import COLD_BELOW, FittedModel
from metarec.recommendation.ranking import Ranking, SlateOptions
from metarec.recommendation.slate import Request
from metarec.recommendation.stages.cold_share import CANDIDATES, cold_scores, reserved
from metarec.recommendation.stages.order import n_ordered, spread_of
from metarec.recommendation.stages.restrict import restrict
from metarec.recommendation.stages.score import part_of_words, predicted_of_given
from metarec.runtime.scratch import Scratch

BLOCKS = 32
"""Number of blocks of items per top item, in the search for the top items."""
_SCRATCH = Scratch()


@dataclass(frozen=True, kw_only=True)
class Offer:
    """Items that a shard offers for one user's slate."""

    items: np.ndarray
    """[I] catalog indexes, ascending."""
    scores: np.ndarray
    """[I] float32 log-scores, before cold items are reranked and without the query in words."""
    words: np.ndarray
    """[I] float32: score component of a query in words."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A slice of a model's catalog."""

    model: FittedModel
    items: np.ndarray
    """Its catalog indexes, consecutive."""

    @classmethod
    def of(cls, model: FittedModel, number: int, n_shards: int) -> Shard:
        """Return shard `number`, counted from 0, of `n_shards` shards of nearly equal size.

        Raises:
            BadInput: if there are more shards than items.
        """
        n_items = len(model.catalog)
        check_shards(n_shards, n_items)
        ends = n_items * np.arange(n_shards + 1) // n_shards
        return cls(model=model, items=np.arange(ends[number], ends[number + 1]))

    def with_requests(self, requests: Sequence[Request]) -> ShardRequest:
        """Return the shard with the users of these requests."""
        users, unknown = self.model.users(requests)
        of_shard = StandIns(items=self.items, weights=np.ones(len(self.items), np.float32))
        return ShardRequest(
            shard=self,
            requests=requests,
            users=users,
            unknown=unknown,
            scorer=SubsetScorer.of(self.model.ensemble, users, of_shard),
        )


def check_shards(n_shards: int, n_items: int) -> None:
    """Check that a catalog has at least one item per shard.

    Raises:
        BadInput: if not.
    """
    if n_shards > n_items:
        raise BadInput(f"{n_shards} shards of {n_items} items: give at most one shard an item")


@dataclass(frozen=True, kw_only=True)
class ShardRequest:
    """A shard and the users of some requests."""

    shard: Shard
    requests: Sequence[Request]
    users: UserBatch
    unknown: np.ndarray
    """[B] number of each user's events with unknown items."""
    scorer: SubsetScorer
    """Scores of subsets of items for these users."""

    @property
    def sums(self) -> Sums:
        """Sums of evidence over the items of this shard."""
        return self.scorer.sums

    def offers(self, options: SlateOptions, sums: Sums) -> list[Offer]:
        """Return the offer for each user; `sums` are those over all shards.

        Raises:
            BadInput: if the filter is malformed, or `within_km` cannot be applied.
        """
        items, scores = self.shard.items, self.scorer.with_sums(sums).scores(self.shard.items)
        self._add_predicted(scores)
        words = self._words()
        kept = self._kept(scores + words, options)
        return [
            Offer(items=items[of_user], scores=scores[row, of_user], words=words[row, of_user])
            for row, of_user in enumerate(kept)
        ]

    def _add_predicted(self, scores: np.ndarray) -> None:
        """Add the score component from predicted ratings of few given items, in place."""
        predicted, given = predicted_of_given(self.shard.model, self.users), self.users.given
        if predicted is None:
            return
        at = given.items - self.shard.items[0]
        is_own = (at >= 0) & (at < len(self.shard.items))
        scores[given.owners[is_own], at[is_own]] += predicted[is_own]

    def _words(self) -> np.ndarray:
        """[B, I] score component of queries in words."""
        added = np.zeros((len(self.requests), len(self.shard.items)), np.float32)
        for row, request in enumerate(self.requests):
            part = part_of_words(self.shard.model, request)
            if part is not None:
                added[row] = part[self.shard.items]
        return added

    def _kept(self, scores: np.ndarray, options: SlateOptions) -> np.ndarray:
        """[B, I] mask of the offered items: all new items that will be reranked, and the best of
        the others.
        """
        model, items = self.shard.model, self.shard.items
        ranking = self._may_be_shown(options)
        ranking.scores[:, items] += scores
        moves = _within(_reordered(model), items)
        shown = np.where(moves, -np.inf, ranking.scores[:, items])
        rank_by = shown
        if options.explore:
            spread = spread_of(model, ranking, items)
            rank_by = shown + 2.0 * options.explore * spread
        aside = len(reserved(options.cold_share, options.k)) * CANDIDATES
        kept = _best(rank_by, n_ordered(options) + len(options.rules.pin) + aside) | moves
        pins = _within(model.vocabulary.indexes(options.rules.pin), items)
        kept = kept | (pins & np.isfinite(shown))
        if options.cold_share:
            cold = np.flatnonzero(model.n_events[items] < COLD_BELOW)
            kept[:, cold] |= self._best_cold(ranking, items[cold], options) & ~moves[cold]
        return np.asarray(kept)

    def _may_be_shown(self, options: SlateOptions) -> Ranking:
        """Return a ranking with scores of 0, and -inf where an item may not be shown."""
        shape = (len(self.requests), len(self.shard.model.catalog))
        scores = _SCRATCH.array("shown", shape)
        scores[...] = 0.0
        nothing = Ranking(
            requests=self.requests, users=self.users, unknown=self.unknown, scores=scores
        )
        return restrict(self.shard.model, nothing, options)

    def _best_cold(self, shown: Ranking, cold: np.ndarray, options: SlateOptions) -> np.ndarray:
        """[B, C] mask of the cold items that reserved positions may draw, with a margin for those
        that are ranked in other positions.
        """
        if not len(cold):
            return np.zeros((len(self.requests), 0), bool)
        places = len(reserved(options.cold_share, options.k))
        return _best(cold_scores(self.shard.model, shown, cold), options.k + places * CANDIDATES)


def merged(
    model: FittedModel,
    requests: Sequence[Request],
    options: SlateOptions,
    offers: Sequence[Sequence[Offer]],
) -> Ranking:
    """Return a ranking with the scores of all offers, given in the order of the shards, where they
    may be shown; -inf elsewhere.
    """
    users, unknown = model.users(requests)
    scores = _SCRATCH.array("merged", (len(requests), len(model.catalog)))
    scores[...] = -np.inf
    for row, of_user in enumerate(zip(*offers, strict=True)):
        for offer in of_user:
            scores[row, offer.items] = offer.scores
    if model.new_items is not None:
        model.new_items.reorder(scores, users.support)
    for row, of_user in enumerate(zip(*offers, strict=True)):
        for offer in of_user:
            scores[row, offer.items] += offer.words
    ranking = Ranking(requests=requests, users=users, unknown=unknown, scores=scores)
    return restrict(model, ranking, options)


def _reordered(model: FittedModel) -> np.ndarray:
    """Indexes of the cold items that are reranked among themselves."""
    places = model.new_items
    is_needed = places is not None and places.is_needed
    return places.reordered if places is not None and is_needed else np.zeros(0, np.int64)


def _within(rows: np.ndarray, items: np.ndarray) -> np.ndarray:
    """[I] which of the consecutive `items` are among `rows`."""
    is_within = np.zeros(len(items), bool)
    at = rows - items[0]
    is_within[at[(at >= 0) & (at < len(items))]] = True
    return is_within


def _best(scores: np.ndarray, n: int) -> np.ndarray:
    """[B, I] mask of the `n` best of each row that are not -inf, including ties with the last and a
    few others: items are split into blocks, and all items are kept that reach the n-th best block
    maximum, which one pass of comparisons finds.
    """
    n_rows, n_items = scores.shape
    if n >= n_items:
        return np.asarray(np.isfinite(scores))
    depth = max(1, n_items // (BLOCKS * n))
    blocks = n_items // depth
    best = scores[:, : blocks * depth].reshape(n_rows, depth, blocks).max(1)
    border = np.partition(best, blocks - n, axis=1)[:, blocks - n, None]
    return np.asarray((scores >= border) & np.isfinite(scores))

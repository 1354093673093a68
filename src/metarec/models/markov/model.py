"""Markov chain: a regression of each event on the events before it, in which newer events weigh
more.

Single-target linear regression as in SLIST (Choi et al. 2021, "Session-aware linear item-item
models") and TALE (arXiv:2412.07382): every event is a target once, and its input is the past with
weights that decay with age. The full solution, (G + pull)^-1 C, needs a dense inverse of the Gram
matrix G of pasts. Measured, its first step C / (diag G + pull) ranks as well, and better on sparse
data, where order matters most (docs/experiments). It stays sparse and is what is fitted here: a
directed co-occurrence that shrinks rare items. They are shrunk not only towards zero: a rare item
is also assumed to be followed by items of similar text (`models/markov/alike.py`), as L3AE
(arXiv:2508.13500) pulls EASE towards text similarity. The constants are chosen on held-out training
users. Where order carries no meaning, the gate learns to give the model little weight.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.base import EVENTS, Evidence, event_weights
from metarec.models.markov.alike import Alike
from metarec.models.markov.counts import DEFAULT, Chain, Counts, MarkovConfig, ages_of, constants
from metarec.models.sparse_rows import answers, grown, sparse_arrays, sparse_from, strongest
from metarec.runtime.gains import ndcg_of_hits

MAX_CELLS = 20_000_000
"""Bound: scores (users x items) held while choosing; of a large catalog fewer users are held out.
"""


@dataclass(frozen=True, kw_only=True)
class Markov:
    """Evidence = recency-weighted sum of the weights from each event of the support to what follows
    it.
    """

    following: sp.csr_matrix
    """[N, N], row = item of the support, column = item that follows it."""
    relevant_from: float
    """Value from which an event counts as liked."""
    recency: float = DEFAULT.recencies[0]
    """Decay of the weight of an event with each later event."""
    newest: float = DEFAULT.newest
    """Extra weight of the newest event."""
    config: MarkovConfig = DEFAULT
    reads: ClassVar[frozenset[str]] = EVENTS | {"order"}

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: MarkovConfig | None = None
    ) -> Markov:
        """Choose the constants on held-out users, then count the pairs of all users with them."""
        config = config or cls.config
        # A generator of its own: later draws do not depend on what is drawn here
        near = _alike(behavior, config)
        chain = choose_chain(behavior, rng.spawn(1)[0], config, near)
        counts = Counts.of(behavior, chain.recency, config, near)
        return cls(
            following=strongest(counts.weights(chain), config.kept),
            config=config,
            relevant_from=behavior.relevant_from,
            recency=chain.recency,
            newest=config.newest,
        )

    @classmethod
    def chosen_config(
        cls, behavior: Behavior, rng: np.random.Generator, config: MarkovConfig | None = None
    ) -> MarkovConfig:
        """Return the config with the constants chosen among all users, so that further fits choose
        nothing: a gate that learned on other constants than it ranks with weighs the model wrongly.
        """
        config = config or cls.config
        chain = choose_chain(behavior, rng, config, _alike(behavior, config))
        return replace(
            config,
            alikes=(chain.alike,),
            recencies=(chain.recency,),
            pulls=(chain.pull,),
            rarities=(chain.rarity,),
        )

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> Evidence:
        """[B, N] evidence for every item, sparse if few items have any."""
        support = users.support
        strengths = event_weights(support, self.relevant_from, self.config)
        ages = ages_of(support)
        weights = strengths * self.recency**ages * np.where(ages == 0, 1.0 + self.newest, 1.0)
        return answers(support, weights, self.following, out)

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Markov:
        """Return the model for a larger catalog; new items follow no item."""
        return replace(self, following=grown(self.following, len(content)))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """The weights, the threshold of liked values, the recency, and the extra weight of the
        newest event.
        """
        return {
            **sparse_arrays(self.following),
            "relevant_from": np.array([self.relevant_from], np.float32),
            "recency": np.array([self.recency], np.float64),
            "newest": np.array([self.newest], np.float64),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: MarkovConfig | None = None
    ) -> Markov:
        """Restore the model from `arrays()`; models saved by earlier versions have the default
        recency, and no extra weight for the newest event.
        """
        config = config or cls.config
        return cls(
            following=sparse_from(arrays),
            config=config,
            relevant_from=float(arrays["relevant_from"][0]),
            recency=float(arrays.get("recency", [config.recencies[0]])[0]),
            newest=float(arrays.get("newest", [0.0])[0]),
        )


def _alike(behavior: Behavior, config: MarkovConfig) -> Alike | None:
    """Neighbors of items by text; None if there are no texts or the config does not use them.

    Compared once for all folds, among the items with events of the users who come first, in a fit
    all of them; `Alike.chances` leaves out those without events of the users that are fitted.
    """
    if behavior.text is None or not any(config.alikes):
        return None
    name = f"alike {config.alike_neighbors}"
    text, near = behavior.of_catalog.get(name, (None, None))
    if text is not behavior.text:
        counts = np.bincount(behavior.whole.items, minlength=behavior.n_items)
        near = Alike.of(behavior.text, counts, config.alike_neighbors)
        behavior.of_catalog[name] = behavior.text, near
    return cast("Alike | None", near)


def choose_chain(
    behavior: Behavior,
    rng: np.random.Generator,
    config: MarkovConfig = DEFAULT,
    near: Alike | None = None,
) -> Chain:
    """The constants with the best NDCG on held-out users, who are evaluated at the end of their
    support pool on everything they wanted later, and before their last event on that event.

    The constants are chosen one after the other; another value than the first must be better by
    `min_t` standard errors.

    Args:
        near: neighbors of items by text, None without.
    """
    best = Chain.of(config)
    if all(len(values) == 1 for values in constants(config).values()):
        return best
    tasks = [*_held_out(behavior, rng, config)]
    if not tasks:
        return best
    held_out = np.unique(np.concatenate([users for users, _, _ in tasks]))
    others = behavior.users(np.setdiff1d(np.arange(len(behavior.histories)), held_out))
    counts = Counts.of(others, best.recency, config, near)

    def quality(chain: Chain, counts: Counts) -> np.ndarray:
        ndcg = [_ndcg(chain, counts, *task[1:]) for task in tasks]
        return np.asarray(np.mean(ndcg, axis=0))

    reached = quality(best, counts)
    for name, values in constants(config).items():
        for value in values[1:]:
            candidate = replace(best, **{name: value})
            if candidate.alike and near is None:
                continue
            fitted = (
                counts
                if candidate.recency == counts.recency
                else counts.again(others, candidate.recency)
            )
            ndcg = quality(candidate, fitted)
            gain = ndcg - reached
            if gain.mean() > config.min_t * gain.std() / np.sqrt(len(gain)):
                best, reached, counts = candidate, ndcg, fitted
            del fitted  # frees memory for the counts of the next recency
    return best


def choosing(users: int, n_items: int, config: MarkovConfig) -> int:
    """Number of held-out users among `users` who choose the constants; 0 where the first values
    stay.
    """
    n_held_out = min(config.held_out, int(config.held_out_share * users), MAX_CELLS // n_items)
    return n_held_out if n_held_out >= config.min_held_out else 0


def _held_out(
    behavior: Behavior, rng: np.random.Generator, config: MarkovConfig
) -> Iterator[tuple[np.ndarray, Histories, Histories]]:
    """Yield (users, support, wanted) at the end of the support pool, and before the last event."""
    able = np.flatnonzero((behavior.histories.lengths >= 3) & (behavior.targets.lengths > 0))
    n_held_out = choosing(len(able), behavior.n_items, config)
    if not n_held_out:
        return
    users = np.sort(rng.choice(able, n_held_out, replace=False))
    histories, pools = behavior.histories.users(users), behavior.pools[users]
    yield users, histories.first(pools), behavior.targets.users(users)
    before = histories.lengths - 1
    yield users, histories.first(before), histories.after(before)


def _ndcg(chain: Chain, counts: Counts, support: Histories, targets: Histories) -> np.ndarray:
    """[B] NDCG of `targets` among all items outside of `support`."""
    n_items, places = len(counts.total), counts.config.ndcg_places
    newest = support.where(ages_of(support) < counts.config.window)
    pasts = newest.matrix(n_items, chain.recency ** ages_of(newest))
    scores, wanted = counts.after(pasts, chain), np.zeros((len(support), n_items), bool)
    scores[support.owners, support.items] = 0.0
    wanted[targets.owners, targets.items] = True
    best, at = torch.from_numpy(scores).topk(min(places, n_items), 1)  # faster than NumPy's
    hits = np.take_along_axis(wanted, at.numpy(), axis=1) & (best.numpy() > 0)
    return ndcg_of_hits(hits, targets.lengths)

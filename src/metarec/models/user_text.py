"""Users written as text as a scorer of the gate: `u* = encoder(u)` from profile and recent
history in words.

Trained like a new user is served: training users are written down at several lengths of history,
the empty one included, and a ridge maps what the encoder reads to what they liked after their pool
(`UserTextTower`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from metarec.data.schema import BadInput
from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.features.users_in_words import UsersInWords
from metarec.models.config import ModelConfig, setting
from metarec.runtime.old_names import ARRAYS, with_current_names

NO_ENCODER = "none"
"""Names the encoder that reads nothing."""


@dataclass(frozen=True, kw_only=True)
class UserTextConfig(ModelConfig):
    """Hyper-parameters of users written as text."""

    max_users: int = setting(1000, least=2)
    """Training users written as text, at most (2 or more); each is read at up to three lengths of
    history.
    """
    few_events: int = setting(3, least=1)
    """The length between no event and the whole pool (1 or more)."""
    rank: int = setting(40, least=1)
    """Leading directions that targets are compressed to (1 or more)."""
    regularizations: tuple[float, ...] = setting((0.01, 0.1, 1.0, 10.0, 100.0), above=0)
    """Pulls towards the average user that are tried (each above 0), in units of the mean squared
    singular value, chosen by generalized cross-validation.
    """


@dataclass(frozen=True, kw_only=True)
class UserText:
    """Evidence = expected share of users described like this who will like each item."""

    tower: UserTextTower
    users: tuple[int, int]
    """Training users written as text, and all there were to write."""
    words: UsersInWords | None = None
    """Who writes and reads; not saved with the scorer, as the item encoder is the model's
    (`with_words`).
    """
    config: UserTextConfig = UserTextConfig()
    reads: ClassVar[frozenset[str]] = frozenset({"item", "order", "rating", "profile", "text"})

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: UserTextConfig | None = None
    ) -> UserText:
        """Read training users at up to three lengths of history, and learn what they liked after
        their pool.

        Raises:
            BadInput: if no encoder reads them.
        """
        config, words = config or cls.config, _words_of(behavior)
        able = np.flatnonzero(behavior.targets.lengths > 0)
        rows = np.sort(rng.choice(able, min(config.max_users, len(able)), replace=False))
        targets = behavior.targets.users(rows).matrix(behavior.n_items)
        supports = _supports(behavior, rows, config.few_events)
        told = behavior.told_of(rows) * len(supports)
        vectors = words.read(Histories.concat(supports), told)
        own = None if behavior.weights is None else behavior.weights_of(rows)
        try:
            tower = UserTextTower.fit(
                vectors,
                sp.vstack([targets] * len(supports)).tocsr(),
                weights=None if own is None else np.tile(own, len(supports)),
                seed=int(rng.integers(2**31)),
                config=config,
            )
        except NobodyToRead:  # in a fold of a handful of users; the gate sees what that is worth
            tower = UserTextTower.blank(words.encoder.dim, behavior.n_items)
        return cls(tower=tower, users=(len(rows), len(able)), words=words, config=config)

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> np.ndarray:
        """[B, N] from histories and what users stated of themselves.

        Raises:
            BadInput: if the encoder is not there: it lies outside a model's folder.
        """
        assert self.words is not None, "a model from arrays is given its words before it is asked"
        told = users.attributes or [{}] * len(users)
        return self.tower.evidence(self.words.read(users.support, told), out)

    def with_words(self, words: UsersInWords) -> UserText:
        """The same scorer with this writer and reader."""
        return replace(self, words=words)

    # Who goes on to an item comes from events alone
    def with_content(self, content: np.ndarray, popularity: np.ndarray) -> UserText:
        """New items are known to nobody yet; what to call them in a history comes with the next
        `with_words`.
        """
        return replace(self, tower=self.tower.with_more_items(len(content) - len(self.tower.mean)))

    @property
    def note(self) -> str:
        """How many users it was learned from."""
        written, able = self.users
        return f"users written as text: {written:,} of {able:,}"

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Everything learned."""
        return {**self.tower.arrays(), "users": np.array(self.users)}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: UserTextConfig | None = None
    ) -> UserText:
        """From `arrays()`; `with_words` before it is asked."""
        arrays = with_current_names(arrays, ARRAYS)
        written, able = arrays["users"].tolist()
        return cls(
            tower=UserTextTower.from_arrays(arrays),
            users=(written, able),
            config=config or cls.config,
        )


class NobodyToRead(BadInput):
    """Too few users have a text to learn from."""


@dataclass(frozen=True, kw_only=True)
class UserTextTower:
    """Evidence = expected share of users described like this who will like each item, cut at
    zero.
    """

    center: np.ndarray
    """[E] mean of the training users' vectors."""
    weights: np.ndarray
    """[E, R] from a vector to compressed targets."""
    directions: np.ndarray
    """[R, N]."""
    mean: np.ndarray
    """[N] share of training users who liked each item."""
    ridge: float
    """The one chosen."""

    @classmethod
    def fit(
        cls,
        vectors: np.ndarray,
        targets: sp.csr_matrix,
        *,
        weights: np.ndarray | None = None,
        seed: int = 0,
        config: UserTextConfig | None = None,
    ) -> UserTextTower:
        """Learn the map from users' vectors to what they liked afterwards.

        Args:
            vectors: [T, E], one for each task: a user at some length of history, read by an
                encoder; the same user may stand there several times, with longer and longer
                histories. Zeros where there was nothing to read.
            targets: [T, N] above 0 where the user liked the item after that history.
            weights: [T] how much each task counts; all the same by default.

        Raises:
            BadInput: if rows do not match.
            NobodyToRead: if fewer than two tasks have a text and a target.
        """
        from sklearn.utils.extmath import randomized_svd

        config = config or UserTextConfig()
        usable = _usable(vectors, targets)
        counted = np.ones(len(usable)) if weights is None else weights[usable]
        liked = sp.csr_matrix(targets[usable] > 0, dtype=np.float32)
        mean = np.asarray(liked.T @ (counted / counted.sum()), np.float32).ravel()
        center = np.average(vectors[usable], axis=0, weights=counted).astype(np.float32)
        root = np.sqrt(counted / counted.mean()).astype(np.float32)[:, None]
        dense = root * (liked.toarray() - mean)
        left, strength, directions = randomized_svd(
            dense, min(config.rank, min(dense.shape) - 1) or 1, random_state=seed, n_iter=3
        )
        read = root * (vectors[usable] - center)
        found, ridge = _ridge(read, left * strength, config.regularizations)
        return cls(
            center=center,
            weights=found.astype(np.float32),
            directions=directions.astype(np.float32),
            mean=mean,
            ridge=ridge,
        )

    @classmethod
    def blank(cls, width: int, n_items: int) -> UserTextTower:
        """A tower that has learned from nobody and says nothing, for vectors of this width."""
        return cls(
            center=np.zeros(width, np.float32),
            weights=np.zeros((width, 1), np.float32),
            directions=np.zeros((1, n_items), np.float32),
            mean=np.zeros(n_items, np.float32),
            ridge=float("inf"),
        )

    def evidence(self, vectors: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """[B, N] float32, at least 0; popularity where nothing is known of a user."""
        told = (vectors - self.center) * (vectors != 0).any(axis=1, keepdims=True)
        shares: np.ndarray = np.matmul(told @ self.weights, self.directions, out=out)
        shares += self.mean
        np.maximum(shares, 0.0, out=shares)
        return shares

    def with_more_items(self, more: int) -> UserTextTower:
        """The same tower with items appended of which users' texts say nothing yet."""
        return UserTextTower(
            center=self.center,
            weights=self.weights,
            directions=np.pad(self.directions, ((0, 0), (0, more))),
            mean=np.pad(self.mean, (0, more)),
            ridge=self.ridge,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """All parts."""
        return {
            "center": self.center,
            "weights": self.weights,
            "directions": self.directions,
            "mean": self.mean,
            "ridge": np.array([self.ridge]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> UserTextTower:
        """From `arrays()`."""
        parts = {name: arrays[name] for name in ("center", "weights", "directions", "mean")}
        return cls(**parts, ridge=float(arrays["ridge"].item()))


def _ridge(x: np.ndarray, y: np.ndarray, tried: tuple[float, ...]) -> tuple[np.ndarray, float]:
    """Weights of the ridge with the least generalized cross-validation error (Golub, Heath & Wahba
    1979), and its strength.
    """
    left, strength, right = np.linalg.svd(x.astype(np.float64), full_matrices=False)
    turned, best = left.T @ y, (np.inf, tried[0])
    scale = float((strength**2).mean())
    for candidate in (scale * factor for factor in tried):
        shrunk = strength**2 / (strength**2 + candidate)
        error = (
            float(((y - left @ (shrunk[:, None] * turned)) ** 2).sum())
            / (1 - min(shrunk.sum() / len(x), 0.999)) ** 2
        )
        best = min(best, (error, candidate))
    shrunk = strength / (strength**2 + best[1])
    return right.T @ (shrunk[:, None] * turned), best[1]


def _words_of(behavior: Behavior) -> UsersInWords:
    """Who writes users and reads them.

    Raises:
        BadInput: if no encoder reads anything.
    """
    words = behavior.words
    if words is None or not words.encoder.dim:
        raise nobody_reads(NO_ENCODER if words is None else words.encoder.name)
    return words


def nobody_reads(encoder: str) -> BadInput:
    """What to say where users are to be written for an encoder that reads nothing."""
    return BadInput(
        f"users cannot be written as text with encoder {encoder!r}, which reads nothing; name one, "
        f"such as minilm or tfidf"
    )


def _supports(behavior: Behavior, rows: np.ndarray, few: int) -> list[Histories]:
    """What these users show after no events, a few, and all of the pool."""
    pool, users, pools = behavior.horizon.pool, behavior.histories.users(rows), behavior.pools
    lengths = sorted({0, min(few, pool), pool})
    return [users.first(np.minimum(length, pools[rows])) for length in lengths]


def _usable(vectors: np.ndarray, targets: sp.csr_matrix) -> np.ndarray:
    """Tasks with a text that is read and something liked.

    Raises:
        BadInput: if rows do not match.
        NobodyToRead: if there are fewer than two.
    """
    if len(vectors) != targets.shape[0]:
        raise BadInput(
            f"there are {len(vectors):,} texts and {targets.shape[0]:,} rows of targets; give "
            f"one row for each text"
        )
    usable = (
        np.flatnonzero((targets.getnnz(axis=1) > 0) & (vectors != 0).any(axis=1))
        if vectors.shape[1]
        else np.zeros(0, np.int64)
    )
    if len(usable) < 2:
        raise NobodyToRead(
            f"only {len(usable)} of {len(vectors):,} tasks have a text that the encoder reads "
            f"and something liked "
            "afterwards; at least 2 are needed"
        )
    return usable

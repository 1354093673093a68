"""Users written as text, as a scorer of the gate: `u* = encoder(u)` from profile and recent history
in words.

Training matches serving: training users are written at several lengths of history, the empty one
included, and a ridge regression maps their embeddings to what they liked after their support pool
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
from metarec.runtime.decomposition import truncated_svd
from metarec.runtime.old_names import ARRAYS, with_current_names

NO_ENCODER = "none"
"""Name of the encoder that reads nothing."""


@dataclass(frozen=True, kw_only=True)
class UserTextConfig(ModelConfig):
    """Hyper-parameters of users written as text."""

    max_users: int = setting(1000, at_least=2)
    """Training users written as text, at most (2 or more); each is read at up to three lengths of
    history.
    """
    few_events: int = setting(3, at_least=1)
    """Length of history between none and the whole support pool (1 or more)."""
    rank: int = setting(40, at_least=1)
    """Number of leading singular directions that targets are compressed to (1 or more)."""
    regularizations: tuple[float, ...] = setting((0.01, 0.1, 1.0, 10.0, 100.0), above=0)
    """L2 penalties that are tried (each above 0), in units of the mean squared singular value; the
    best is chosen by generalized cross-validation.
    """


@dataclass(frozen=True, kw_only=True)
class UserText:
    """Evidence = expected share of users with a similar description who will like each item."""

    tower: UserTextTower
    users: tuple[int, int]
    """Number of training users written as text, and number of those with targets."""
    words: UsersInWords | None = None
    """Writer and encoder of users; set by `with_words` and not saved with the scorer, as the
    encoder is that of the items.
    """
    config: UserTextConfig = UserTextConfig()
    reads: ClassVar[frozenset[str]] = frozenset({"item", "order", "rating", "profile", "text"})

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: UserTextConfig | None = None
    ) -> UserText:
        """Encode training users at up to three lengths of history, and learn what they liked after
        their support pool.

        Raises:
            BadInput: if there is no encoder.
        """
        config, words = config or cls.config, _words_of(behavior)
        able = np.flatnonzero(behavior.targets.lengths > 0)
        rows = np.sort(rng.choice(able, min(config.max_users, len(able)), replace=False))
        targets = behavior.targets.users(rows).matrix(behavior.n_items)
        supports = _supports(behavior, rows, config.few_events)
        attributes = behavior.attributes_of(rows) * len(supports)
        vectors = words.read(Histories.concat(supports), attributes)
        weights = None if behavior.weights is None else behavior.weights_of(rows)
        try:
            tower = UserTextTower.fit(
                vectors,
                sp.vstack([targets] * len(supports)).tocsr(),
                weights=None if weights is None else np.tile(weights, len(supports)),
                seed=int(rng.integers(2**31)),
                config=config,
            )
        except NobodyToRead:  # in a fold of few users; the gate learns the weight of an empty tower
            tower = UserTextTower.blank(words.encoder.dim, behavior.n_items)
        return cls(tower=tower, users=(len(rows), len(able)), words=words, config=config)

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> np.ndarray:
        """[B, N] evidence from histories and what users stated of themselves.

        Raises:
            BadInput: if the encoder cannot be loaded; it is not part of a model's folder.
        """
        assert self.words is not None, "a model from arrays is given its words before it is asked"
        attributes = users.attributes or [{}] * len(users)
        return self.tower.evidence(self.words.read(users.support, attributes), out)

    def with_words(self, words: UsersInWords) -> UserText:
        """Return the scorer with this writer and encoder of users."""
        return replace(self, words=words)

    # Evidence is learned from events, which new items do not have
    def with_content(self, content: np.ndarray, popularity: np.ndarray) -> UserText:
        """Return the scorer for a larger catalog; new items have no evidence, and get their titles
        in histories with the next `with_words`.
        """
        return replace(self, tower=self.tower.with_more_items(len(content) - len(self.tower.mean)))

    @property
    def note(self) -> str:
        """Note on the number of users it was learned from."""
        written, able = self.users
        return f"users written as text: {written:,} of {able:,}"

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Everything learned."""
        return {**self.tower.arrays(), "users": np.array(self.users)}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: UserTextConfig | None = None
    ) -> UserText:
        """Restore the scorer from `arrays()`; it needs `with_words` before use."""
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
    """Ridge regression from embeddings of users to items: evidence is the expected share of users
    with a similar description who will like each item, cut at zero.
    """

    center: np.ndarray
    """[E] mean embedding of the training users."""
    weights: np.ndarray
    """[E, R] regression weights from an embedding to compressed targets."""
    directions: np.ndarray
    """[R, N] singular directions that expand compressed targets to items."""
    mean: np.ndarray
    """[N] share of training tasks in which the user liked each item afterwards."""
    ridge: float
    """L2 penalty that was chosen."""

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
        """Learn the map from users' embeddings to what they liked afterwards.

        Args:
            vectors: [T, E] embeddings, one for each task: a user at some length of history; the
                same user may appear several times, with longer and longer histories. Zeros where
                there was nothing to read.
            targets: [T, N] above 0 where the user liked the item after that history.
            weights: [T] how much each task counts; all the same by default.
            seed: of the randomized singular value decomposition.

        Raises:
            BadInput: if the numbers of rows differ.
            NobodyToRead: if fewer than two tasks have a text and a target.
        """
        config = config or UserTextConfig()
        usable = _usable(vectors, targets)
        counted = np.ones(len(usable)) if weights is None else weights[usable]
        liked = sp.csr_matrix(targets[usable] > 0, dtype=np.float32)
        mean = np.asarray(liked.T @ (counted / counted.sum()), np.float32).ravel()
        center = np.average(vectors[usable], axis=0, weights=counted).astype(np.float32)
        root = np.sqrt(counted / counted.mean()).astype(np.float32)[:, None]
        dense = root * (liked.toarray() - mean)
        rank = min(config.rank, min(dense.shape) - 1) or 1
        left, strength, directions = truncated_svd(dense, rank, seed)
        read = root * (vectors[usable] - center)
        weights_of_text, ridge = _ridge(read, left * strength, config.regularizations)
        return cls(
            center=center,
            weights=weights_of_text.astype(np.float32),
            directions=directions.astype(np.float32),
            mean=mean,
            ridge=ridge,
        )

    @classmethod
    def blank(cls, width: int, n_items: int) -> UserTextTower:
        """Return an untrained tower for embeddings of this width, whose evidence is zero."""
        return cls(
            center=np.zeros(width, np.float32),
            weights=np.zeros((width, 1), np.float32),
            directions=np.zeros((1, n_items), np.float32),
            mean=np.zeros(n_items, np.float32),
            ridge=float("inf"),
        )

    def evidence(self, vectors: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """[B, N] float32, at least 0; `mean` where nothing is known of a user."""
        centered = (vectors - self.center) * (vectors != 0).any(axis=1, keepdims=True)
        shares: np.ndarray = np.matmul(centered @ self.weights, self.directions, out=out)
        shares += self.mean
        np.maximum(shares, 0.0, out=shares)
        return shares

    def with_more_items(self, more: int) -> UserTextTower:
        """Return the tower with `more` items appended, which have no evidence."""
        return UserTextTower(
            center=self.center,
            weights=self.weights,
            directions=np.pad(self.directions, ((0, 0), (0, more))),
            mean=np.pad(self.mean, (0, more)),
            ridge=self.ridge,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays."""
        return {
            "center": self.center,
            "weights": self.weights,
            "directions": self.directions,
            "mean": self.mean,
            "ridge": np.array([self.ridge]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> UserTextTower:
        """Restore the tower from `arrays()`."""
        parts = {name: arrays[name] for name in ("center", "weights", "directions", "mean")}
        return cls(**parts, ridge=float(arrays["ridge"].item()))


def _ridge(x: np.ndarray, y: np.ndarray, factors: tuple[float, ...]) -> tuple[np.ndarray, float]:
    """Weights and L2 penalty of the ridge regression with the smallest generalized cross-validation
    error (Golub, Heath & Wahba 1979).
    """
    left, strength, right = np.linalg.svd(x.astype(np.float64), full_matrices=False)
    turned, best = left.T @ y, (np.inf, factors[0])
    scale = float((strength**2).mean())
    for candidate in (scale * factor for factor in factors):
        shrunk = strength**2 / (strength**2 + candidate)
        error = (
            float(((y - left @ (shrunk[:, None] * turned)) ** 2).sum())
            / (1 - min(shrunk.sum() / len(x), 0.999)) ** 2
        )
        best = min(best, (error, candidate))
    shrunk = strength / (strength**2 + best[1])
    return right.T @ (shrunk[:, None] * turned), best[1]


def _words_of(behavior: Behavior) -> UsersInWords:
    """Return the writer and encoder of users.

    Raises:
        BadInput: if there is no encoder.
    """
    words = behavior.words
    if words is None or not words.encoder.dim:
        raise no_reader_error(NO_ENCODER if words is None else words.encoder.name)
    return words


def no_reader_error(encoder: str) -> BadInput:
    """Return the error for an encoder that reads nothing."""
    return BadInput(
        f"users cannot be written as text with encoder {encoder!r}, which reads nothing; name one, "
        f"such as minilm or tfidf"
    )


def _supports(behavior: Behavior, rows: np.ndarray, few: int) -> list[Histories]:
    """Histories of these users after no events, a few, and the whole support pool."""
    pool, users, pools = behavior.horizon.pool, behavior.histories.users(rows), behavior.pools
    lengths = sorted({0, min(few, pool), pool})
    return [users.first(np.minimum(length, pools[rows])) for length in lengths]


def _usable(vectors: np.ndarray, targets: sp.csr_matrix) -> np.ndarray:
    """Indexes of the tasks with a text and a target.

    Raises:
        BadInput: if the numbers of rows differ.
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

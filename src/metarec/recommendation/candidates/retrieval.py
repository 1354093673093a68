"""Candidate generation for a large catalog: the items that are scored, instead of all.

Each model contributes candidates: a model with evidence for few items contributes these, the
strongest first; models of item vectors contribute the cells of similar items that score best
(`cells`). Always included are the most popular items, those with the strongest upward trend, and
every item added or changed since the fit. The gate then scores candidates as it scores the whole
catalog.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from metarec.recommendation.candidates.cells import Cells, Vectors
from metarec.recommendation.candidates.some_items import StandIns, SubsetScorer
from metarec.recommendation.ensemble.blend import Ensemble

SIZES = (2_000, 4_000, 8_000, 16_000, 32_000)
"""Numbers of candidates from cells, tried in this order."""
MAX_SPARSE = 1_000
"""Maximum number of candidates from models with evidence for few items."""
ALWAYS = 2_000
"""Number of most popular items, at each support size of the gate, and of items with the strongest
trend, that are always candidates.
"""
SHARE = 1 / 100
"""Maximum share of one cell in the candidates from cells."""
COLD_CELLS, COLD_EACH = 50, 20
"""Number of best cells whose least popular members are also candidates, and how many of each."""
BEST, DEEPER = 20, 300
"""Second search: in the cells of the `BEST` best candidates, up to `DEEPER` members of each are
added.
"""
MIN_OVERLAP = 0.98
"""Minimum overlap of the top ten with the exact top ten; below it the whole catalog is scored."""
MAX_LATE = 5_000
"""Maximum number of items added or changed since the cells were built; beyond it they are
rebuilt.
"""
SAMPLED = 4_096
"""Number of items on which vector lengths are compared."""


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Index and parameters of candidate generation."""

    cells: Cells
    """Cells of similar items."""
    always: np.ndarray
    """[A] items that are candidates of every request, ascending."""
    stand_ins: StandIns
    """Sample of items on which sums of evidence are estimated."""
    late: np.ndarray
    """Items added or changed since the cells were built, ascending."""
    size: int
    """Number of candidates from cells per request."""
    overlap: float = float("nan")
    """Mean overlap of the top ten with the exact top ten, measured on training users; NaN if it was
    not measured.
    """
    users: int = 0
    """Number of users it was measured on."""

    @classmethod
    def of(cls, ensemble: Ensemble, rng: np.random.Generator, size: int = SIZES[0]) -> Retrieval:
        """Build the index."""
        cells = Cells.of(item_vectors(ensemble, rng), ensemble.popularity, rng)
        return cls(
            cells=cells,
            always=_always(ensemble),
            stand_ins=StandIns.of(ensemble.popularity, cells),
            late=np.zeros(0, np.int64),
            size=size,
        )

    def candidates(
        self, scorer: SubsetScorer, allowed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return candidates for one user, ascending, and their log-scores.

        Args:
            allowed: [N] bool, items that may be shown; only these are candidates.
        """
        is_narrow = 2 * np.count_nonzero(allowed) < len(allowed)
        cells = self.cells.among(allowed[: self.cells.n_items]) if is_narrow else self.cells
        order, per_cell = self._liked(scorer), max(1, int(self.size * SHARE))
        sizes = np.minimum(np.diff(cells.starts)[order], per_cell)
        enough = int(np.searchsorted(np.cumsum(sizes), self.size)) + 1
        offered = [
            self.always,
            self.late,
            _sparse_candidates(scorer),
            np.zeros(0, np.int64) if scorer.repeated is None else scorer.repeated.columns,
            cells.first_of(order[:enough], per_cell),
            cells.last_of(order[:COLD_CELLS], COLD_EACH),
        ]
        items = _those(offered, allowed)
        scores = scorer.scores(items)[0]
        more = _those([self._deeper(cells, items, scores)], allowed, but=items)
        return joined(items, scores, more, scorer.scores(more)[0])

    def _liked(self, scorer: SubsetScorer) -> np.ndarray:
        """[C] cells, best first by the higher score of their two leaders."""
        leaders, place = self._leaders
        scores = scorer.scores(leaders)[0][place].reshape(2, -1).max(0)
        return np.argsort(-scores, kind="stable")

    @cached_property
    def _leaders(self) -> tuple[np.ndarray, np.ndarray]:
        """All leaders, ascending and unique, and the position of each cell's leaders among them."""
        leaders, place = np.unique(self.cells.leaders, return_inverse=True)
        return leaders, place

    def _deeper(self, cells: Cells, items: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return more members of the cells that contain the best items."""
        best = items[np.argsort(-scores, kind="stable")[:BEST]]
        best = best[best < self.cells.n_items]
        return cells.first_of(np.unique(self.cells.cell_of[best]), DEEPER)

    def with_items(
        self, touched: np.ndarray, ensemble: Ensemble, rng: np.random.Generator
    ) -> Retrieval:
        """Return the index for a catalog in which the items `touched` were added or changed;
        rebuilt where they are many.
        """
        late = np.union1d(self.late, touched)
        if len(late) <= MAX_LATE:
            return replace(self, late=late)
        anew = Retrieval.of(ensemble, rng, self.size)
        return replace(anew, overlap=self.overlap, users=self.users)

    @property
    def is_near(self) -> bool:
        """Whether slates from candidates are close enough to the exact ones."""
        return self.overlap >= MIN_OVERLAP

    @property
    def note(self) -> str:
        """Sentence on this overlap for the model card."""
        overlap = (
            f"{self.overlap:.1%} of the ten best items are the exact ones ({self.users} users)"
        )
        if not self.is_near:
            return f"large catalog: every item is scored, since of candidates only {overlap}"
        return (
            f"large catalog: candidates are scored, {self.size:,} by what they are like; {overlap}"
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all fields as named arrays."""
        return {
            **self.cells.arrays(),
            "always": self.always,
            "drawn": self.stand_ins.items,
            "weights": self.stand_ins.weights,
            "late": self.late,
            "facts": np.array([self.size, self.overlap, self.users], np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Retrieval:
        """Rebuild from `arrays()`."""
        size, overlap, users = arrays["facts"].tolist()
        return cls(
            cells=Cells.from_arrays(arrays),
            always=arrays["always"],
            stand_ins=StandIns(items=arrays["drawn"], weights=arrays["weights"]),
            late=arrays["late"],
            size=int(size),
            overlap=overlap,
            users=int(users),
        )


def joined(
    items: np.ndarray, scores: np.ndarray, more: np.ndarray, more_scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Merge `items` and `more` in ascending order, with their scores."""
    both = np.concatenate([items, more])
    ascending = np.argsort(both, kind="stable")
    return both[ascending], np.concatenate([scores, more_scores])[ascending]


def _those(
    offered: Sequence[np.ndarray], allowed: np.ndarray, but: np.ndarray | None = None
) -> np.ndarray:
    """Return the offered items that are allowed, unique and ascending, without those in `but`,
    which ascend.
    """
    items = each_once(offered)
    items = np.asarray(items[allowed[items]])
    if but is None or not len(but):
        return items
    at = np.minimum(np.searchsorted(but, items), len(but) - 1)
    return np.asarray(items[but[at] != items])


def each_once(offered: Sequence[np.ndarray]) -> np.ndarray:
    """Return the unique values of these arrays, ascending. For some thousand values this is several
    times faster than `np.unique`.
    """
    items = np.sort(np.concatenate(offered))
    return np.asarray(items[np.diff(items, prepend=-1) > 0])


def item_vectors(ensemble: Ensemble, rng: np.random.Generator) -> Vectors:
    """Return a function that gives the concatenated vectors of all models for items, each model's
    scaled to the same mean squared length. The log of popularity, at a small scale, is a further
    column, so that an ensemble without such models has vectors too.
    """
    models = ensemble.scoring_some.values()
    n_items = len(ensemble.popularity)
    drawn = rng.permutation(n_items)[:SAMPLED]
    scales = [max(float(np.square(m.vectors_of(drawn)).sum(1).mean()) ** 0.5, 1e-9) for m in models]

    def vectors(items: np.ndarray) -> np.ndarray:
        parts = [m.vectors_of(items) / scale for m, scale in zip(models, scales, strict=True)]
        return np.concatenate([np.log(ensemble.popularity[items])[:, None] / n_items, *parts], 1)

    return vectors


def _always(ensemble: Ensemble) -> np.ndarray:
    """Return the items with the highest popularity, or with the strongest trend."""
    gate = ensemble.gate
    weights = np.concatenate([gate.popularity_weight[:, None], gate.statistics_weight], axis=1)
    scores = [ensemble.base[0], *(row @ ensemble.base for row in weights.astype(np.float32))]
    if ensemble.trend is not None:
        scores.append(ensemble.base[0] + ensemble.trend.lifts[-1])
    n_always = min(ALWAYS, len(ensemble.popularity))
    return np.unique([np.argpartition(-row, n_always - 1)[:n_always] for row in scores])


def _sparse_candidates(scorer: SubsetScorer) -> np.ndarray:
    """Return the candidates from models with evidence for few items, for one user: those with the
    highest scores by these models and popularity.
    """
    by_model = scorer.sparse_evidence
    items = each_once([np.zeros(0, np.int64), *(e.indices for e in by_model.values())])
    if len(items) <= MAX_SPARSE:
        return items
    weight = scorer.ensemble.gate.at(scorer.users.support.lengths)["popularity_weight"][0]
    scores = scorer.lifts(items, by_model)[0] + weight * scorer.ensemble.base_of(items)[0]
    return items[np.argpartition(-scores, MAX_SPARSE - 1)[:MAX_SPARSE]]

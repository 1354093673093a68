"""Candidates of a large catalog: the items that are asked about, instead of all.

Each model offers what it knows: models that know few items at a time all of these, the strongest
first; models of vectors the cells of items alike that they like best (`cells`). What is popular,
what is on the rise, and every item added or changed since the fit is always among them. The gate
then scores them as it scores the whole catalog.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from metarec.recommendation.candidates.cells import Cells, Vectors
from metarec.recommendation.candidates.some_items import Asking, StandIns
from metarec.recommendation.ensemble.blend import Ensemble

SIZES = (2_000, 4_000, 8_000, 16_000, 32_000)
"""Members of cells that are asked about, tried in this order."""
SPOKEN_FOR = 1_000
"""Items that models of few items offer."""
ALWAYS = 2_000
"""Most popular items, and those most on the rise, that are always asked about; of popularity as
many at each support size of the gate.
"""
SHARE = 1 / 100
"""Of the members asked about, those of one cell at most."""
COLD_CELLS, COLD_EACH = 50, 20
"""Cells of which the least popular members are asked about too, and so many of each."""
BEST, DEEPER = 20, 300
"""The cells of the best items found are looked into again, up to so many members of each."""
MIN_OVERLAP = 0.98
"""Share of the ten best items that must be the exact ones; else the whole catalog is scored."""
MAX_LATE = 5_000
"""Items added or changed since the cells were found; with more they are found anew."""
SAMPLED = 4_096
"""Items on which the lengths of vectors are compared."""


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """How the candidates of a large catalog are found."""

    cells: Cells
    always: np.ndarray
    """[A] items asked about at every request, ascending."""
    stand_ins: StandIns
    late: np.ndarray
    """Items added or changed since, ascending."""
    size: int
    """Members of cells asked about at a request."""
    overlap: float = float("nan")
    """Share of the ten best items that are the exact ones too, on training users."""
    users: int = 0
    """Users it was measured on."""

    @classmethod
    def of(cls, ensemble: Ensemble, rng: np.random.Generator, size: int = SIZES[0]) -> Retrieval:
        """Cells and all the rest, found anew."""
        cells = Cells.of(item_vectors(ensemble, rng), ensemble.popularity, rng)
        return cls(
            cells=cells,
            always=_always(ensemble),
            stand_ins=StandIns.of(ensemble.popularity, cells),
            late=np.zeros(0, np.int64),
            size=size,
        )

    def candidates(self, asking: Asking, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Items for one user, ascending, and their log-scores.

        Args:
            allowed: [N] which items may be shown; no other is a candidate.
        """
        is_narrow = 2 * np.count_nonzero(allowed) < len(allowed)
        cells = self.cells.among(allowed[: self.cells.n_items]) if is_narrow else self.cells
        order, most = self._liked(asking), max(1, int(self.size * SHARE))
        sizes = np.minimum(np.diff(cells.starts)[order], most)
        enough = int(np.searchsorted(np.cumsum(sizes), self.size)) + 1
        offered = [
            self.always,
            self.late,
            _spoken_for(asking),
            np.zeros(0, np.int64) if asking.repeated is None else asking.repeated.columns,
            cells.first_of(order[:enough], most),
            cells.last_of(order[:COLD_CELLS], COLD_EACH),
        ]
        items = _those(offered, allowed)
        scores = asking.scores(items)[0]
        more = _those([self._deeper(cells, items, scores)], allowed, but=items)
        return joined(items, scores, more, asking.scores(more)[0])

    def _liked(self, asking: Asking) -> np.ndarray:
        """[C] cells by the score of the better of their two leaders."""
        asked, place = self._leaders
        scores = asking.scores(asked)[0][place].reshape(2, -1).max(0)
        return np.argsort(-scores, kind="stable")

    @cached_property
    def _leaders(self) -> tuple[np.ndarray, np.ndarray]:
        """Leaders, ascending, and the place of each cell's among them."""
        asked, place = np.unique(self.cells.leaders, return_inverse=True)
        return asked, place

    def _deeper(self, cells: Cells, items: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """More members of the cells in which the best items lie."""
        best = items[np.argsort(-scores, kind="stable")[:BEST]]
        best = best[best < self.cells.n_items]
        return cells.first_of(np.unique(self.cells.cell_of[best]), DEEPER)

    def with_items(
        self, touched: np.ndarray, ensemble: Ensemble, rng: np.random.Generator
    ) -> Retrieval:
        """The same for a catalog in which these items were added or changed; found anew where they
        are many.
        """
        late = np.union1d(self.late, touched)
        if len(late) <= MAX_LATE:
            return replace(self, late=late)
        anew = Retrieval.of(ensemble, rng, self.size)
        return replace(anew, overlap=self.overlap, users=self.users)

    @property
    def is_near(self) -> bool:
        """Whether slates of candidates are near enough to the exact ones."""
        return self.overlap >= MIN_OVERLAP

    @property
    def note(self) -> str:
        """How near they come, for the model card."""
        found = f"{self.overlap:.1%} of the ten best items are the exact ones ({self.users} users)"
        if not self.is_near:
            return f"large catalog: every item is scored, since of candidates only {found}"
        return f"large catalog: candidates are scored, {self.size:,} by what they are like; {found}"

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it, by name."""
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
        """From `arrays()`."""
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
    """Items and `more` items, ascending, with the scores of both."""
    both = np.concatenate([items, more])
    ascending = np.argsort(both, kind="stable")
    return both[ascending], np.concatenate([scores, more_scores])[ascending]


def _those(
    offered: Sequence[np.ndarray], allowed: np.ndarray, but: np.ndarray | None = None
) -> np.ndarray:
    """Items that are offered and allowed, each once, ascending; none of those of `but`, which
    ascend.
    """
    items = each_once(offered)
    items = np.asarray(items[allowed[items]])
    if but is None or not len(but):
        return items
    at = np.minimum(np.searchsorted(but, items), len(but) - 1)
    return np.asarray(items[but[at] != items])


def each_once(offered: Sequence[np.ndarray]) -> np.ndarray:
    """All of these rows, ascending. Of some thousands this is several times faster than
    `np.unique`.
    """
    items = np.sort(np.concatenate(offered))
    return np.asarray(items[np.diff(items, prepend=-1) > 0])


def item_vectors(ensemble: Ensemble, rng: np.random.Generator) -> Vectors:
    """What models multiply with a user, side by side, the vectors of each as long as any other's;
    of an ensemble without any the log of popularity.
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
    """Items that are popular or on the rise."""
    gate = ensemble.gate
    weights = np.concatenate([gate.popularity_weight[:, None], gate.statistics_weight], axis=1)
    scores = [ensemble.base[0], *(row @ ensemble.base for row in weights.astype(np.float32))]
    if ensemble.trend is not None:
        scores.append(ensemble.base[0] + ensemble.trend.lifts[-1])
    most = min(ALWAYS, len(ensemble.popularity))
    return np.unique([np.argpartition(-row, most - 1)[:most] for row in scores])


def _spoken_for(asking: Asking) -> np.ndarray:
    """Items that models of few items offer one user, those with the best scores by these alone."""
    known = asking.spoken_for
    items = each_once([np.zeros(0, np.int64), *(e.indices for e in known.values())])
    if len(items) <= SPOKEN_FOR:
        return items
    weight = asking.ensemble.gate.at(asking.users.support.lengths)["popularity_weight"][0]
    scores = asking.lifts(items, known)[0] + weight * asking.ensemble.base_of(items)[0]
    return items[np.argpartition(-scores, SPOKEN_FOR - 1)[:SPOKEN_FOR]]

"""Models of other packages: what breaks the interface is refused by one line that names the class,
and what keeps it is let through as it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from metarec import ModelConfig
from metarec.data.errors import BrokenPart
from metarec.features.behavior import Behavior
from metarec.models.added import evidence_of, fit
from world import behavior_of

N = 6


class Counts:
    """Evidence = number of training users with the item."""

    reads: Any = frozenset()
    config = ModelConfig()

    def __init__(self, counts: np.ndarray) -> None:
        self.counts = counts

    @classmethod
    def fit(cls, behavior: Any, rng: Any, config: Any = None) -> Any:
        found = np.bincount(behavior.whole.items, minlength=behavior.n_items)
        return cls(found.astype(np.float32))

    def evidence(self, users: Any, out: Any = None) -> Any:
        return np.tile(self.counts, (len(users), 1))

    def with_content(self, content: Any, popularity: Any) -> Any:
        return type(self)(np.pad(self.counts, (0, len(content) - len(self.counts))))

    def arrays(self) -> Any:
        return {"counts": self.counts}

    @classmethod
    def from_arrays(cls, arrays: Any, config: Any = None) -> Any:
        return cls(arrays["counts"])


class Sparse(Counts):
    def evidence(self, users: Any, out: Any = None) -> Any:
        return sp.csr_matrix(super().evidence(users))


class Whole(Counts):
    def evidence(self, users: Any, out: Any = None) -> Any:
        return super().evidence(users).astype(np.int64)


class Short(Counts):
    def evidence(self, users: Any, out: Any = None) -> Any:
        return super().evidence(users)[:, 1:]


class OneRow(Counts):
    def evidence(self, users: Any, out: Any = None) -> Any:
        return self.counts[None]


class Listed(Counts):
    def evidence(self, users: Any, out: Any = None) -> Any:
        return super().evidence(users).tolist()


class NotANumber(Counts):
    def evidence(self, users: Any, out: Any = None) -> Any:
        return super().evidence(users) * np.float32(np.nan)


class Endless(Counts):
    def evidence(self, users: Any, out: Any = None) -> Any:
        return super().evidence(users) * np.float32(np.inf)


class Negative(Counts):
    def evidence(self, users: Any, out: Any = None) -> Any:
        return super().evidence(users) - 1.5


class SparseNegative(Counts):
    def evidence(self, users: Any, out: Any = None) -> Any:
        return sp.csr_matrix(super().evidence(users) - 1.5)


class Fails(Counts):
    def evidence(self, users: Any, out: Any = None) -> Any:
        weights: dict[str, Any] = {}
        return weights["weights"]


class WithoutOut(Counts):
    def evidence(self, users: Any) -> Any:  # type: ignore[override]
        return super().evidence(users)


class Draws(Counts):
    def evidence(self, users: Any, out: Any = None) -> Any:
        return np.random.default_rng().random((len(users), N))


class Writes(Counts):
    def evidence(self, users: Any, out: Any = None) -> Any:
        users.support.items[:] = 0
        return super().evidence(users)


class WritesInFit(Counts):
    @classmethod
    def fit(cls, behavior: Any, rng: Any, config: Any = None) -> Any:
        behavior.whole.items[:1] = 3
        return super().fit(behavior, rng, config)


class FailsInFit(Counts):
    @classmethod
    def fit(cls, behavior: Any, rng: Any, config: Any = None) -> Any:
        raise RuntimeError("no license")


class NothingFitted(Counts):
    @classmethod
    def fit(cls, behavior: Any, rng: Any, config: Any = None) -> Any:
        return None


class LosesArrays(Counts):
    @classmethod
    def from_arrays(cls, arrays: Any, config: Any = None) -> Any:
        return cls(np.arange(N, dtype=np.float32))


class FailsToLoad(Counts):
    @classmethod
    def from_arrays(cls, arrays: Any, config: Any = None) -> Any:
        return cls(arrays["total"])


class ListedArrays(Counts):
    def arrays(self) -> Any:
        return {"counts": self.counts.tolist()}


class NeverGrows(Counts):
    def with_content(self, content: Any, popularity: Any) -> Any:
        return self


class ReadsLast(Counts):
    """Evidence for the newest item of each user; reads items and order."""

    reads = frozenset({"item"})

    def evidence(self, users: Any, out: Any = None) -> Any:
        found = super().evidence(users)
        found[np.arange(len(users)), users.support.items[users.support.offsets[1:] - 1]] += 9
        return found


class ReadsItems(Counts):
    """Declares nothing, and reads which items are known."""

    def evidence(self, users: Any, out: Any = None) -> Any:
        return super().evidence(users) + users.support.matrix(len(self.counts)).toarray()


class ReadsRatings(Counts):
    reads = frozenset({"item", "order"})

    def evidence(self, users: Any, out: Any = None) -> Any:
        return super().evidence(users) + users.support.values[users.support.offsets[:-1], None] * (
            np.arange(len(self.counts)) == 1
        )


@pytest.fixture
def behavior() -> Behavior:
    rows = [np.array(row) for row in ([0, 1, 2, 4], [2, 3, 0, 1], [4, 0, 1], [5, 2, 0])]
    learned = behavior_of(rows, N)
    values = np.linspace(1, 5, len(learned.histories.items)).astype(np.float32)
    histories = replace(learned.histories, values=values)
    return replace(learned, histories=histories, whole=histories)


def _fit(model: Any, behavior: Behavior) -> Any:
    return fit(model, behavior, np.random.default_rng(0), None)


@pytest.mark.parametrize("model", [Counts, Sparse, Whole])
def test_a_right_model_is_fitted_and_asked(model: Any, behavior: Behavior) -> None:
    fitted, users = _fit(model, behavior), behavior.batch_of(np.arange(2), behavior.histories)
    found = evidence_of(fitted, users, N)
    found = found if isinstance(found, np.ndarray) else found.toarray()
    np.testing.assert_array_equal(found, np.tile([4, 3, 3, 1, 2, 1], (4, 1)))
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Short, r"Short gave evidence of shape \(4, 5\) for 4 users and 6 items; give \(4, 6\)"),
        (OneRow, r"OneRow gave evidence of shape \(1, 6\) for 4 users"),
        (Listed, "Listed gave evidence of type list; give a NumPy array"),
        (NotANumber, "NotANumber gave NaN as evidence; give finite numbers, at least 0"),
        (Endless, "Endless gave infinite values as evidence"),
        (Negative, r"Negative gave -0\.5 as evidence"),
        (SparseNegative, r"SparseNegative gave -1\.5 as evidence|gave -0\.5 as evidence"),
        (Fails, r"Fails failed in evidence: KeyError: 'weights', test_added\.py line \d+"),
        (WithoutOut, "WithoutOut failed in evidence: TypeError: .*positional argument"),
        (Draws, "Draws gives other evidence when asked again; draw in fit, by its rng"),
        (Writes, "Writes changed the users that it was given; copy before you write"),
        (WritesInFit, "WritesInFit changed the behavior it learned from"),
        (FailsInFit, r"FailsInFit failed in fit: RuntimeError: no license, test_added\.py"),
        (NothingFitted, "NothingFitted gave None from fit; return the fitted model"),
        (LosesArrays, r"LosesArrays gives other evidence after from_arrays\(arrays\(\)\)"),
        (FailsToLoad, "FailsToLoad failed in from_arrays: KeyError: 'total'"),
        (ListedArrays, "ListedArrays gave arrays that are no NumPy arrays of numbers"),
        (NeverGrows, r"NeverGrows gave evidence of shape \(4, 6\) for 4 users and 7 items"),
        (ReadsLast, "ReadsLast reads 'order' of requests, which its `reads` leaves out"),
        (ReadsItems, "ReadsItems reads 'item' of requests, which its `reads` leaves out"),
        (ReadsRatings, "ReadsRatings reads 'rating' of requests"),
    ],
)
def test_a_wrong_model_is_refused_by_its_name(model: Any, said: str, behavior: Behavior) -> None:
    with pytest.raises(BrokenPart, match=f"^the model {said}") as refused:
        _fit(model, behavior)
    assert str(refused.value).endswith("(see docs/guide/extending.md)")
    assert "\n" not in str(refused.value)


def test_a_model_that_fails_later_is_refused_when_asked(behavior: Behavior) -> None:
    fitted, users = _fit(Counts, behavior), behavior.batch_of(np.arange(2), behavior.histories)
    fitted.counts = fitted.counts * np.nan
    with pytest.raises(BrokenPart, match="the model Counts gave NaN as evidence"):
        evidence_of(fitted, users, N)

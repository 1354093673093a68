"""Mapping between ids (outside) and indexes (inside).

Below `MANY` ids, a dictionary is used. From there on, a dictionary and Python strings would take
hundreds of bytes per id in each worker of the service, so the ids stay a polars column and are
looked up by sorted hashes. Ids added later follow the column and have a dictionary of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import overload

import numpy as np
import polars as pl

MANY = 200_000
"""Number of ids from which on they stay a column."""
HELD, AT_ONCE = 20_000, 1_000
"""Size of a column's lookup cache, in ids, and the largest lookup that uses it: most ids are looked
up again, and hashing a few costs as much as a matrix product for a user.
"""


def _hashes(ids: pl.Series) -> np.ndarray:
    """[N] uint32 lower half of each id's hash: it separates ids well enough in half the memory."""
    return ids.hash().to_numpy().astype(np.uint32)


class Column(Sequence[str]):
    """Sequence of ids kept as a polars column, with lookup by hash."""

    def __init__(self, ids: pl.Series) -> None:
        """Sort the hashes of `ids`, a column of texts."""
        self._ids = ids.rechunk()
        hashes = _hashes(self._ids)
        self._order = np.argsort(hashes, kind="stable").astype(np.int32)
        self._hashes = hashes[self._order]
        self._held: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[str]: ...

    def __getitem__(self, place: int | slice) -> str | Sequence[str]:
        ids = self._ids[place]
        return ids.to_list() if isinstance(ids, pl.Series) else str(ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids.to_list())

    def at(self, rows: Sequence[int]) -> list[str]:
        """Return the ids at these rows."""
        return self._ids[list(rows)].to_list()

    def rows(self, ids: Sequence[str]) -> np.ndarray:
        """[I] int64 row of each id; -1 for an unknown id. Small lookups are cached."""
        if len(ids) > AT_ONCE:
            return self._look_up(ids)
        rows = [self._held.get(one) for one in ids]
        new = list(dict.fromkeys(one for one, row in zip(ids, rows, strict=True) if row is None))
        if not new:
            return np.array(rows, np.int64)
        row_of = dict(zip(new, self._look_up(new).tolist(), strict=True))
        if len(self._held) + len(row_of) > HELD:
            self._held = {}
        self._held.update(row_of)
        return np.array(
            [row_of.get(one, row) for one, row in zip(ids, rows, strict=True)], np.int64
        )

    def _look_up(self, ids: Sequence[str]) -> np.ndarray:
        """[I] rows as of `rows`, without the cache. Ids are compared one by one in Python: most
        lookups are small, and a column operation would cost more.
        """
        texts = pl.Series([i if isinstance(i, str) else None for i in ids], dtype=pl.Utf8)
        hashes = _hashes(texts)
        place, row_of = np.searchsorted(self._hashes, hashes), np.full(len(ids), -1)
        while len(open_ := np.flatnonzero((row_of < 0) & (place < len(self)))):
            at = place[open_]
            same = self._hashes[at] == hashes[open_]
            rows = self._order[at].astype(np.int64)
            names = zip(self.at(rows.tolist()), open_.tolist(), strict=True)
            same_name = np.fromiter((name == ids[one] for name, one in names), bool, len(rows))
            row_of[open_[same & same_name]] = rows[same & same_name]
            place[open_] = np.where(same, at + 1, len(self))  # of equal hashes the next
        return row_of


class Joined(Sequence[str]):
    """Sequence of ids made of two: the first ids, then the late ones."""

    def __init__(self, first: Sequence[str], late: Sequence[str]) -> None:
        """Concatenate `first` and `late` without copying them."""
        self.first, self.late = first, late

    def __len__(self) -> int:
        return len(self.first) + len(self.late)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[str]: ...

    def __getitem__(self, place: int | slice) -> str | Sequence[str]:
        if isinstance(place, slice):
            return [self[row] for row in range(*place.indices(len(self)))]
        row, count = range(len(self))[place], len(self.first)
        return self.first[row] if row < count else self.late[row - count]

    def __iter__(self) -> Iterator[str]:
        return chain(self.first, self.late)


@dataclass(frozen=True)
class Vocabulary:
    """Mapping between ids and indexes: `ids[index]` and `indexes(ids)`."""

    ids: Sequence[str]
    _index: dict[str, int] = field(init=False, repr=False, compare=False)
    """Index of each id; of the late ids alone where the first ones are a column."""

    def __post_init__(self) -> None:
        first, late = self._first, self._late
        object.__setattr__(self, "_index", {name: row for row, name in enumerate(late, len(first))})
        assert len(self._index) == len(late), "a vocabulary holds each id once"

    @classmethod
    def of(cls, ids: pl.Series) -> Vocabulary:
        """Build a vocabulary from a column of distinct ids."""
        if len(ids) < MANY:
            return cls(ids.to_list())
        assert ids.n_unique() == len(ids), "a vocabulary holds each id once"
        return cls(Column(ids))

    def joined_by(self, ids: Sequence[str]) -> Vocabulary:
        """Return a vocabulary with further ids at the end. A column of first ids is shared, not
        hashed again.
        """
        if not ids:
            return self
        if not isinstance(self._first, Column):
            return Vocabulary([*self.ids, *ids])
        return Vocabulary(Joined(self._first, [*self._late, *ids]))

    @property
    def _first(self) -> Sequence[str]:
        """The first ids where they are a column, else no ids."""
        if isinstance(self.ids, Joined):
            return self.ids.first
        return self.ids if isinstance(self.ids, Column) else ()

    @property
    def _late(self) -> Sequence[str]:
        """All ids that are not in the column."""
        if isinstance(self.ids, Joined):
            return self.ids.late
        return () if isinstance(self.ids, Column) else self.ids

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._index or bool(self.indexes([item_id])[0] >= 0)

    def indexes(self, ids: Iterable[str]) -> np.ndarray:
        """Return the int64 index of each id; -1 for an unknown id. A column of many events is
        looked up by its distinct ids.
        """
        if isinstance(ids, pl.Series):
            return self._indexes_of(ids)
        first = self._first
        if not isinstance(first, Column):
            return np.fromiter((self._index.get(i, -1) for i in ids), dtype=np.int64)
        id_list = list(ids)
        late = np.fromiter((self._index.get(i, -1) for i in id_list), dtype=np.int64)
        return np.where(late >= 0, late, first.rows(id_list)) if id_list else late

    def _indexes_of(self, ids: pl.Series) -> np.ndarray:
        """Return the index of each id of a column."""
        distinct = ids.unique()
        row_of_id = pl.DataFrame({"id": distinct, "row": self.indexes(distinct.to_list())})
        rows = pl.DataFrame({"id": ids}).join(
            row_of_id, on="id", how="left", maintain_order="left", nulls_equal=True
        )
        return rows["row"].to_numpy(writable=True)

    def names(self, indexes: Iterable[int]) -> list[str]:
        """Return the id at each index."""
        if isinstance(self.ids, Column):
            return self.ids.at(list(indexes))
        return [self.ids[i] for i in indexes]

"""Events as they happened, and the rule that joins repeated events on an item to one entry of a
history.

Of all events of a user on an item since the last undo the strongest counts, of equally strong ones
the latest: a viewed and then bought item is bought, a returned one is refused. Refused items are
kept apart: models learn from accepted ones, and the gate lowers the scores of items similar to
refused ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from metarec.data.arguments import check_seconds, id_text, seconds_of, shown
from metarec.data.errors import BadInput
from metarec.data.kinds import Kinds
from metarec.data.schema import Interactions, Vocabulary
from metarec.features.histories import PER_EVENT, Histories, offsets_of


@dataclass(frozen=True, kw_only=True)
class Events:
    """Events of B users in order, before repeated ones are joined; neutral events are left out."""

    n_users: int
    owners: np.ndarray
    """[E] int64 index of the user, ascending."""
    items: np.ndarray
    """[E] int64 item indexes."""
    is_refusal: np.ndarray
    """[E] bool: whether the event is negative."""
    is_undo: np.ndarray
    """[E] bool: whether the event takes back all earlier ones of the user on the same item."""
    values: np.ndarray
    strengths: np.ndarray
    is_rated: np.ndarray
    is_target: np.ndarray
    kinds: np.ndarray
    times: np.ndarray

    def where(self, keep: np.ndarray) -> Events:
        """Return the events where `keep` [E] is True."""
        if keep.all():
            return self
        arrays = {name: getattr(self, name)[keep] for name in _ARRAYS}
        return Events(n_users=self.n_users, **arrays)

    def users(self, indexes: np.ndarray) -> Events:
        """Return the events of these users, in this order."""
        start = np.searchsorted(self.owners, np.arange(self.n_users + 1))
        lengths = np.diff(start)[indexes]
        offsets = offsets_of(lengths)
        take = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - start[indexes], lengths)
        arrays = {name: getattr(self, name)[take] for name in _ARRAYS}
        arrays["owners"] = np.repeat(np.arange(len(indexes)), lengths)
        return Events(n_users=len(indexes), **arrays)

    @cached_property
    def _pairs(self) -> np.ndarray:
        """[E] int64: one number for each pair (user, item)."""
        return np.asarray(self.owners * (int(self.items.max(initial=0)) + 1) + self.items)

    def joined(self, *, newest_last: bool = False) -> tuple[Histories, Histories]:
        """Return histories of the accepted and of the refused items of each user, each item once.

        Args:
            newest_last: order items by their last event; otherwise by their first.
        """
        joined = self._joined()
        if joined is None:  # no item is repeated or undone
            refused = self.is_refusal
            if not refused.any():
                return self._alone(~refused), Histories.nothing(self.n_users)
            return self._alone(~refused), self._alone(refused)
        arrays, rank, refused = joined
        order = np.argsort(rank["last" if newest_last else "first"], kind="stable")
        return self._histories(arrays, order[~refused[order]]), self._histories(
            arrays, order[refused[order]]
        )

    def _joined(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray] | None:
        """Join the events of each pair (user, item) that is not undone. Return the joined arrays,
        the indexes of first and last event, and whether the pair is refused; None where no event
        is repeated or undone.
        """
        pairs = np.sort(self._pairs)
        if not self.is_undo.any() and (pairs[1:] > pairs[:-1]).all():
            return None
        _, pair = np.unique(self._pairs, return_inverse=True)
        n_pairs, place = int(pair.max(initial=-1)) + 1, np.arange(len(pair))
        undone = np.full(n_pairs, -1)
        np.maximum.at(undone, pair[self.is_undo], place[self.is_undo])
        stands = place > undone[pair]
        if n_pairs == len(pair) and stands.all():
            return None
        rows = place[stands]
        of = np.unique(pair[rows], return_inverse=True)[1]
        size = int(of.max(initial=-1)) + 1
        first, last = np.full(size, len(pair)), np.full(size, -1)
        np.minimum.at(first, of, rows)
        np.maximum.at(last, of, rows)
        ranked = np.lexsort((rows, self.strengths[rows], of))
        strongest = rows[ranked[np.append(np.diff(of[ranked]) > 0, True)[: len(ranked)]]]
        rated = np.full(size, -1)  # a rating is kept, whatever other events follow
        np.maximum.at(rated, of[self.is_rated[rows]], rows[self.is_rated[rows]])
        spoken = np.where((rated >= 0) & ~self.is_refusal[strongest], rated, strongest)
        aimed = np.zeros(size, bool)
        np.logical_or.at(aimed, of, self.is_target[rows])
        arrays = {name: getattr(self, name)[strongest] for name in _OWN}
        arrays |= {name: getattr(self, name)[spoken] for name in ("values", "is_rated")}
        arrays |= {"is_target": aimed, "times": self.times[last]}
        arrays["counts"] = np.bincount(of, minlength=size).astype(np.float32)
        return arrays, {"first": first, "last": last}, self.is_refusal[strongest]

    def _alone(self, keep: np.ndarray) -> Histories:
        """Return histories of the events where `keep` [E] is True, none of which is repeated;
        without a copy where all are kept.
        """
        arrays = {name: getattr(self, name) for name in _OWN}
        arrays["counts"] = np.ones(len(keep), np.float32)
        return self._histories(arrays, slice(None) if keep.all() else np.flatnonzero(keep))

    def _histories(self, arrays: Mapping[str, np.ndarray], chosen: np.ndarray | slice) -> Histories:
        lengths = np.bincount(arrays["owners"][chosen], minlength=self.n_users)
        return Histories(
            offsets=offsets_of(lengths),
            **{name: arrays[name][chosen] for name in PER_EVENT},
        )

    def cut(self, pools: np.ndarray) -> np.ndarray:
        """Return a mask [E] of the events before each user accepts the first new item after
        `pools` [B] accepted ones.
        """
        accepted = np.flatnonzero(~self.is_refusal & ~self.is_undo)
        _, first = np.unique(self._pairs[accepted], return_index=True)
        is_new = np.zeros(len(self.items), bool)
        is_new[accepted[first]] = True
        start = np.searchsorted(self.owners, np.arange(self.n_users))
        n_accepted = np.cumsum(is_new)
        before = np.concatenate([[0], n_accepted])[start]
        return np.asarray(n_accepted - before[self.owners] <= pools[self.owners])


_ARRAYS = tuple(name for name in Events.__dataclass_fields__ if name != "n_users")
_OWN = ("owners", *(name for name in PER_EVENT if name != "counts"))
_ACT = np.dtype(
    [
        ("sign", np.int64),
        ("is_undo", bool),
        ("values", np.float32),
        ("strengths", np.float32),
        ("is_rated", bool),
        ("is_target", bool),
        ("kinds", np.int16),
    ]
)
"""Fields of an event of a request, in the order of `EventReader._act`."""
_LARGEST = float(np.finfo(np.float32).max)
_SAID = tuple(name for name in _ACT.names or () if name != "sign")
"""Fields of `_ACT` that are copied to `Events` unchanged."""


class _Meaning(NamedTuple):
    """Meaning of the events of one kind, whatever their value."""

    sign: int
    is_undo: bool
    strength: float
    is_rating: bool
    is_target: bool
    code: int


@dataclass(frozen=True, kw_only=True)
class EventReader:
    """Interprets events of one data set, in training and in requests alike."""

    kinds: Kinds = field(default_factory=Kinds.default)
    names: tuple[str, ...] = ()
    """Kinds of the training events, in the order of their codes."""
    targets: frozenset[str] = frozenset()
    """Target kinds, which recommendations are for."""
    has_ratings: bool = False
    """Whether values are ratings; otherwise they are amounts."""
    low: float = 1.0
    """Smallest rating."""
    high: float = 1.0
    """Largest rating."""
    relevant_from: float = -np.inf
    """The rating from which an event counts as liked."""
    strongest: float = 1.0
    """Strength of the strongest positive kind of training, by which strengths are divided."""

    @classmethod
    def of(cls, interactions: Interactions) -> EventReader:
        """Return the reader of these events."""
        acts, kinds = interactions.acts(), interactions.kinds
        positive = acts.filter((acts["sign"] > 0) & ~acts["is_undo"])["strength"]
        low, high = interactions.value_range
        return cls(
            kinds=kinds,
            names=tuple(sorted(set(map(kinds.key, interactions.frame["kind"].unique().to_list())))),
            targets=frozenset(map(kinds.key, interactions.target_kinds)),
            has_ratings=interactions.has_values,
            low=low,
            high=high,
            relevant_from=interactions.relevant_from,
            strongest=float(positive.max() or 1.0),  # type: ignore[arg-type]  # any literal
        )

    def of_interactions(
        self, interactions: Interactions, vocabulary: Vocabulary
    ) -> tuple[Events, list[str]]:
        """Return the events of all users, and the user ids in order."""
        users = interactions.frame["user_id"].unique(maintain_order=True)
        table = self._non_neutral(interactions, vocabulary)
        amount = table["value"].cast(pl.Float32).fill_null(float("nan")).to_numpy()
        rating = table["rating"].cast(pl.Float32).fill_null(float("nan")).to_numpy()
        strength = (table["strength"].to_numpy() / self.strongest).astype(np.float32)
        is_rated = ~np.isnan(rating)
        return Events(
            n_users=len(users),
            owners=table["owner"].to_numpy().astype(np.int64),
            items=table["item"].to_numpy().astype(np.int64),
            is_refusal=(table["sign"] < 0).to_numpy(),
            is_undo=table["is_undo"].to_numpy(),
            values=np.where(is_rated, rating, self._level(amount, strength)).astype(np.float32),
            strengths=strength,
            is_rated=is_rated,
            is_target=table["is_target"].to_numpy(writable=True),
            kinds=table["code"].to_numpy(writable=True),
            times=table["timestamp"].to_numpy(writable=True)
            if interactions.has_time
            else np.full(table.height, np.nan),
        ), users.to_list()

    def _non_neutral(self, interactions: Interactions, vocabulary: Vocabulary) -> pl.DataFrame:
        """Return a row for each event that is not neutral, in order, with items, users and kinds as
        numbers.
        """
        frame = interactions.frame
        ids = pl.DataFrame(
            {"item_id": list(vocabulary.ids), "item": np.arange(len(vocabulary))},
            schema_overrides={"item_id": pl.Utf8},
        )
        codes = {name: self._code(name) for name in frame["kind"].unique().to_list()}
        # Only columns of numbers are filtered, not those of text.
        items = frame.select("item_id").join(ids, on="item_id", how="left", maintain_order="left")[
            "item"
        ]
        table = interactions.acts().with_columns(
            frame["timestamp"],
            frame["value"],
            items,
            frame["user_id"].rle_id().alias("owner"),
            frame["kind"].replace_strict(codes, return_dtype=pl.Int16).alias("code"),
        )
        tells = (table["sign"] != 0) | table["is_undo"]
        return table if tells.all() else table.filter(tells)

    def of_requests(
        self, histories: Sequence[Sequence[Any]], vocabulary: Vocabulary
    ) -> tuple[Events, np.ndarray]:
        """Return the events of requests (see `Request.history`), and for each request the number of
        its events on unknown items.
        """
        owners = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
        events = [parts_of(event) for history in histories for event in history]
        items = vocabulary.indexes(str(event[0]) for event in events)
        unknown = np.bincount(owners[items < 0], minlength=len(histories))
        stated = [(value, kind) for _, value, kind, _ in events]
        places = {one: place for place, one in enumerate(dict.fromkeys(stated))}
        named = {kind for _, kind in places if kind is not None}
        kinds: dict[str | None, _Meaning] = {kind: self._meaning(kind) for kind in named}
        kinds[None] = self._unnamed
        acts = [self._act(value, kinds[kind]) for value, kind in places]  # few are distinct
        table = np.array(acts, _ACT)[[places[one] for one in stated]]
        arrays = Events(
            n_users=len(histories),
            owners=owners,
            items=items,
            is_refusal=table["sign"] < 0,
            times=np.array([np.nan if at is None else at for *_, at in events], np.float64),
            **{name: np.ascontiguousarray(table[name]) for name in _SAID},
        )
        tells = (table["sign"] != 0) | table["is_undo"]
        return arrays.where((items >= 0) & tells), unknown

    def off_scale(self, history: Sequence[Any]) -> int:
        """Return the number of ratings in a request's history outside of the training range."""
        if not self.has_ratings:
            return 0
        acts = [act for act in history if not isinstance(act, str | int) and len(act) > 1]
        odd = [act for act in acts if act[1] is not None and not self._is_within(float(act[1]))]
        stated = [(value, kind or "event") for _, value, kind, _ in map(parts_of, odd)]
        return sum(value is not None and self.kinds.is_rating(kind) for value, kind in stated)

    def _is_within(self, value: float) -> bool:
        return self.low <= value <= self.high

    def accepted(self, histories: Sequence[Sequence[Any]], vocabulary: Vocabulary) -> Histories:
        """Return the accepted items of requests, the newest last; unknown items are left out."""
        return self.of_requests(histories, vocabulary)[0].joined(newest_last=True)[0]

    @cached_property
    def _unnamed(self) -> _Meaning:
        """Meaning of events without a stated kind."""
        return self._meaning(None)

    def _meaning(self, kind: str | None) -> _Meaning:
        """Return the meaning of the events of one kind, whatever their value."""
        name = kind or "event"
        entry = self.kinds.of(name)
        return _Meaning(
            sign={"positive": 1, "negative": -1}.get(entry.sign, 0),
            is_undo=entry.sign == "undo",
            strength=min(entry.strength / self.strongest, 1.0),
            is_rating=self.has_ratings and self.kinds.is_rating(name),
            is_target=self.kinds.key(name) in self.targets,
            code=self._code(kind),
        )

    def _act(
        self, value: float | None, kind: _Meaning
    ) -> tuple[int, bool, float, float, bool, bool, int]:
        """Return sign, is_undo, value, strength, is_rated, is_target and code of an event."""
        sign, strength = kind.sign, kind.strength
        if value is not None and kind.is_rating:
            # Ratings beyond the training range are clipped, as models would extrapolate linearly
            rating = min(max(float(value), self.low), self.high)
            return 1, False, rating, strength, True, True, kind.code
        if value is not None and not self.has_ratings and value <= 0 < sign:
            sign = -1
        amount = np.float32("nan" if value is None else min(max(value, -_LARGEST), _LARGEST))
        level = float(self._level(amount, np.float32(strength)))
        return sign, kind.is_undo, level, strength, False, kind.is_target, kind.code

    def _level(
        self, amounts: np.ndarray | np.float32, strengths: np.ndarray | np.float32
    ) -> np.ndarray:
        """Return [E] equivalent values of events without a rating: on a rating scale, between the
        liked threshold and the highest rating, in proportion to strength; otherwise the stated
        amount (1 if none) times the strength.
        """
        if self.has_ratings:
            return np.asarray(self.relevant_from + strengths * (self.high - self.relevant_from))
        return np.asarray(np.where(np.isnan(amounts), 1.0, np.abs(amounts)) * strengths)

    def _code(self, kind: str | None) -> int:
        return self._codes.get(self.kinds.key(kind or "event"), 0)

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {name: place + 1 for place, name in enumerate(self.names)}


def parts_of(event: Any) -> tuple[Any, float | None, str | None, float | None]:
    """Return item, value, kind and time of an event of a request, which may be an item id alone.

    Raises:
        BadInput: if a part is of another type, or a number is not finite.
    """
    if isinstance(event, str | int):
        return event, None, None, None
    if not 1 <= len(event) <= 4:
        raise BadInput(f"an event is (item_id, value, kind, timestamp) or less, got {shown(event)}")
    item, value, kind, at = [*event, None, None, None][:4]
    if not isinstance(kind, str | None):
        raise BadInput(f"the kind of an event is a text such as 'view', got {shown(event)}")
    if not isinstance(item, str):
        item = id_text("history", item)
    try:
        number = None if value is None or value != value else float(value)
        moment = at if at is None or type(at) is float else seconds_of(at)
    except (TypeError, ValueError, OverflowError) as error:
        raise _no_numbers(event) from error
    if number is not None and not isfinite(number):
        raise _no_numbers(event)
    if moment is not None and isfinite(moment):
        check_seconds("the timestamp of an event", moment)
    return item, number, kind, moment


def _no_numbers(event: Any) -> BadInput:
    return BadInput(
        "value and timestamp of an event must be numbers (or the timestamp a datetime), got "
        f"{shown(event)}"
    )

"""Reads of one user: events, attributes, friends, searches, slates."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from metarec.data.relations import MAX_SEARCHES
from metarec.data.unicode_forms import other_forms
from metarec.feedback.events import (
    Event,
    KnownBeside,
)
from metarec.feedback.store import tables
from metarec.feedback.store.connections import Connections
from metarec.feedback.store.rows import EVENT_FIELDS, event_of

RECENT_SECONDS = 86_400.0
"""Seconds for which a user is assumed to be where their newest located event happened."""

_NOW = "COALESCE((SELECT user_id FROM merges WHERE digest = :digest), :user_id)"
"""SQL expression of the current id of a user."""
_OWN = (
    f"SELECT item_id, value, kind, timestamp FROM events WHERE user_id = {_NOW} AND query IS NULL"
)
_NEWEST_FIRST = "ORDER BY timestamp DESC, sequence DESC LIMIT :last"
_HISTORY = sa.text(f"{_OWN} {_NEWEST_FIRST}")
_HISTORY_WITHOUT = sa.text(f"{_OWN} AND kind NOT IN :without {_NEWEST_FIRST}").bindparams(
    sa.bindparam("without", expanding=True)
)
_ACTED_ON = sa.text(
    f"SELECT DISTINCT item_id, kind FROM (SELECT item_id, kind FROM events WHERE user_id = {_NOW} "
    "AND query IS NULL ORDER BY timestamp DESC, sequence DESC LIMIT :last) AS latest"
)
_FRIENDS = sa.text(
    f"SELECT friend_id, weight FROM friends WHERE user_id = {_NOW} ORDER BY friend_id"
)
_SEARCHES = sa.text(
    f"SELECT query, timestamp FROM events WHERE user_id = {_NOW} AND query IS NOT NULL "
    f"{_NEWEST_FIRST}"
)
_PLACED = sa.text(
    f"SELECT context FROM events WHERE user_id = {_NOW} AND timestamp >= :since "
    "AND context LIKE :placed ORDER BY timestamp DESC, sequence DESC LIMIT 1"
)
_PROFILE = sa.text(f"SELECT profile FROM users WHERE user_id = {_NOW}")


class UserReads(Connections):
    """Reads of one user, by the current id or any merged one."""

    def id_now(self, user_id: str) -> str:
        """Return the user that a user was merged into, or the user itself."""
        with self.reading() as connection:
            current_id = connection.execute(sa.select(self._now(user_id))).scalar_one()
        return str(current_id)

    def events_of(self, user_id: str, last: int | None = None) -> list[Event]:
        """Return the events of a user, oldest first; only the `last` ones if given."""
        columns = [tables.events.c[name] for name in EVENT_FIELDS]
        newest_first = (tables.events.c.timestamp.desc(), tables.events.c.sequence.desc())
        query = (
            sa.select(*columns)
            .where(tables.events.c.user_id == self._now(user_id))
            .order_by(*newest_first)
            .limit(last)
        )
        with self.reading() as connection:
            rows = connection.execute(query).all()
        return [event_of(row) for row in reversed(rows)]

    def other_form_of(self, user_id: str) -> str | None:
        """Return the id in another Unicode form of which there are events, if there is one."""
        forms = other_forms(user_id)
        if not forms:
            return None
        of_events = tables.events.c.user_id
        with self.reading() as connection:
            query = sa.select(of_events).where(of_events.in_(forms)).limit(1)
            return connection.execute(query).scalar()

    def profile_of(self, user_id: str) -> dict[str, Any]:
        """Return the attributes of a user; empty if there are none."""
        with self.reading() as connection:
            profile = connection.execute(_PROFILE, self._named(user_id)).scalar()
        return json.loads(profile) if profile else {}

    def slates_of(self, user_id: str) -> int:
        """Return the number of stored slates shown to a user."""
        query = (
            sa.select(sa.func.count())
            .select_from(tables.slates)
            .where(tables.slates.c.user_id == self._now(user_id))
        )
        with self.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def user(
        self, user_id: str, last: int, without: Collection[str] = ()
    ) -> tuple[list[tuple[str, float | None, str, float]], dict[str, Any]]:
        """Read what a recommendation needs of a user.

        Args:
            last: largest number of events.
            without: kinds of events that are passed over.

        Returns:
            The `last` events as `(item_id, value, kind, timestamp)`, oldest first, and the
            attributes.
        """
        ids = self._named(user_id)
        parameters = ids | {"last": last}
        with self.reading() as connection:
            rows = (
                connection.execute(_HISTORY_WITHOUT, parameters | {"without": [*without]})
                if without
                else connection.execute(_HISTORY, parameters)
            ).all()
            profile = connection.execute(_PROFILE, ids).scalar()
        return [(row[0], row[1], row[2], row[3]) for row in reversed(rows)], json.loads(
            profile
        ) if profile else {}

    def acted_on(self, user_id: str, latest: int) -> list[tuple[str, str]]:
        """Return (item, kind) of the `latest` events of a user, each pair once."""
        parameters = self._named(user_id) | {"last": latest}
        with self.reading() as connection:
            return [(item, kind) for item, kind in connection.execute(_ACTED_ON, parameters)]

    def arms_of(self, user_id: str) -> dict[str, str]:
        """Return experiment -> arm that the user saw."""
        rows = tables.exposures.c
        query = sa.select(rows.experiment, rows.arm).where(rows.user_id == self._now(user_id))
        with self.reading() as connection:
            return {name: arm for name, arm in connection.execute(query)}

    def known_beside(self, user_id: str) -> KnownBeside:
        """Return friends, newest searches, and the location of a user's newest event of the last
        day that has one.
        """
        ids = self._named(user_id)
        with self.reading() as connection:
            friends = connection.execute(_FRIENDS, ids).all()
            searches = connection.execute(_SEARCHES, ids | {"last": MAX_SEARCHES}).all()
            since = time.time() - RECENT_SECONDS
            placed = ids | {"since": since, "placed": '%"latitude"%'}
            context = connection.execute(_PLACED, placed).scalar()
        return KnownBeside(
            friends={friend: weight for friend, weight in friends},
            searches=[(query, at) for query, at in reversed(searches)],
            location=None if context is None else _place_in(context),
        )

    def friends_of(self, user_id: str) -> dict[str, float]:
        """Return friend -> weight of the friendship; empty if the user has no friends."""
        with self.reading() as connection:
            rows = connection.execute(_FRIENDS, self._named(user_id)).all()
        return {friend: weight for friend, weight in rows}


def _place_in(context: str) -> tuple[float, float] | None:
    """Return the location of an event from its context (JSON); None if it has none."""
    stated = json.loads(context)
    place = (stated.get("latitude"), stated.get("longitude"))
    return place if all(isinstance(degree, int | float) for degree in place) else None

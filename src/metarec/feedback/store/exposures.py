"""Records of which user saw which arm of an experiment, written in the transactions that store
slates and events, so that later counts miss nothing, whichever process is killed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from metarec.feedback.events import Impression
from metarec.feedback.store import tables


def note_exposures(connection: sa.Connection, slates: Sequence[Impression]) -> None:
    """Record the users of new slates and mark them to be counted again; users with an open window
    who see another arm are marked as crossed over.
    """
    first = {
        (slate.user_id, slate.exposure.experiment): {
            "user_id": slate.user_id,
            "experiment": slate.exposure.experiment,
            "arm": slate.exposure.arm,
            "is_new": int(slate.exposure.is_new),
            "closes_at": slate.exposure.closes_at,
        }
        for slate in reversed(slates)
        if slate.exposure is not None
    }
    if not first:
        return
    rows = tables.exposures.c
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    insert = dialect.insert(tables.exposures)
    is_other = (rows.arm != insert.excluded.arm) & (rows.is_closed == 0)
    crossed = sa.case((is_other, 1), else_=rows.is_crossed)
    noted = insert.on_conflict_do_update(
        index_elements=["user_id", "experiment"],
        set_={"to_count": 1, "is_crossed": crossed},
    )
    connection.execute(noted, [first[key] for key in sorted(first)])


def mark_answered(connection: sa.Connection, user_ids: Iterable[str]) -> None:
    """Mark users who answered a slate to be counted again, if their window in an experiment is
    open.
    """
    rows, users = tables.exposures.c, sorted(set(user_ids))
    for start in range(0, len(users), 500):
        part = users[start : start + 500]
        is_open = rows.user_id.in_(part) & (rows.is_closed == 0) & (rows.to_count == 0)
        # Rows are locked in one order, so that two writers cannot deadlock
        held = sa.select(rows.user_id, rows.experiment).where(is_open).order_by(rows.user_id)
        if connection.execute(held.with_for_update()).first() is not None:
            connection.execute(sa.update(tables.exposures).where(is_open).values(to_count=1))


def merge_exposures(connection: sa.Connection, user_id: str, into: str) -> None:
    """Move the exposures of a merged user to the other user. If both were in an experiment, one
    record stays; a user with an open window who saw two arms is marked as crossed over.
    """
    table, rows = tables.exposures, tables.exposures.c
    theirs = dict(
        connection.execute(sa.select(rows.experiment, rows.arm).where(rows.user_id == into)).all()
    )
    mine = sa.select(rows.experiment, rows.arm).where(rows.user_id == user_id)
    for experiment, arm in connection.execute(mine).all():
        my_row, their_row = (
            (rows.user_id == user) & (rows.experiment == experiment) for user in (user_id, into)
        )
        if experiment not in theirs:
            connection.execute(sa.update(table).where(my_row).values(user_id=into, to_count=1))
            continue
        connection.execute(sa.delete(table).where(my_row))
        crossed = {} if arm == theirs[experiment] else {"is_crossed": 1}
        open_one = sa.update(table).where(their_row, rows.is_closed == 0)
        connection.execute(open_one.values(to_count=1, **crossed))

"""How a store is read: connections that see what is committed, and queries' answers as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import polars as pl
import sqlalchemy as sa

from metarec.feedback.events import (
    StoreUnavailable,
)
from metarec.feedback.store import tables
from metarec.feedback.store.engines import (
    STATEMENT_SECONDS,
)
from metarec.feedback.store.tombstones import digest_of, read_key
from metarec.feedback.store.writer import explained, first_line


class Connections:
    """A store's engines, and how they are asked."""

    url: sa.URL
    _engine: sa.Engine
    """For writes, and for long reads of a server."""
    _reads: sa.Engine
    """Answers at once."""

    @property
    def is_sqlite(self) -> bool:
        """True for the file of one machine; False for a server, whose answers take a network's
        time.
        """
        return self.url.get_backend_name() == "sqlite"

    def frame(self, query: sa.Select[Any], schema: Mapping[str, Any]) -> pl.DataFrame:
        """A query's rows as a table, read in pieces so that ten million rows do not pass through
        Python at once.
        """
        pieces = [pl.DataFrame(schema=dict(schema))]
        with self.reading(long=True) as connection:
            for part in (
                connection.execution_options(stream_results=True).execute(query).partitions(100_000)
            ):
                pieces.append(
                    pl.DataFrame([tuple(row) for row in part], schema=dict(schema), orient="row")
                )
        return pl.concat(pieces)

    @cached_property
    def _key(self) -> bytes:
        with self.reading() as connection:
            return read_key(connection)

    def _named(self, user_id: str) -> dict[str, Any]:
        """What the queries below need of a user."""
        return {"user_id": user_id, "digest": digest_of(self._key, user_id)}

    def _now(self, user_id: str) -> sa.ColumnElement[str]:
        """The id that a user has now, as part of a query."""
        merges, digest = tables.merges.c, digest_of(self._key, user_id)
        became = sa.select(merges.user_id).where(merges.digest == digest).scalar_subquery()
        return sa.func.coalesce(became, user_id)

    @contextmanager
    def reading(self, *, long: bool = False) -> Iterator[sa.Connection]:
        """A connection that sees what is committed; a `long` read may come in pieces (a server
        keeps its place in a transaction).

        Raises:
            StoreUnavailable: if the store is away.
        """
        engine = self._engine if long and not self.is_sqlite else self._reads
        try:
            with engine.connect() as connection:
                if long and not self.is_sqlite:
                    seconds = STATEMENT_SECONDS["long"]
                    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {seconds * 1e3:.0f}")
                yield connection
        except sa.exc.OperationalError as error:
            raise StoreUnavailable(
                f"the store does not answer ({first_line(error)}); try again later"
            ) from error
        except sa.exc.DatabaseError as error:
            raise explained(error) from error

"""Reading a store: connections that see committed data, and query results as tables."""

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
    """Engines of a store, and reads through them."""

    url: sa.URL
    _engine: sa.Engine
    """Engine for writes, and for long reads of a server."""
    _reads: sa.Engine
    """Engine for short reads."""

    @property
    def is_sqlite(self) -> bool:
        """True for a local file; False for a server, whose answers take a network round trip."""
        return self.url.get_backend_name() == "sqlite"

    def frame(self, query: sa.Select[Any], schema: Mapping[str, Any]) -> pl.DataFrame:
        """Return a query's rows as a table, read in batches so that ten million rows do not pass
        through Python at once.
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
        """Return the parameters of a query about one user: id and digest."""
        return {"user_id": user_id, "digest": digest_of(self._key, user_id)}

    def _now(self, user_id: str) -> sa.ColumnElement[str]:
        """Return the current id of a user as an SQL expression."""
        merges, digest = tables.merges.c, digest_of(self._key, user_id)
        became = sa.select(merges.user_id).where(merges.digest == digest).scalar_subquery()
        return sa.func.coalesce(became, user_id)

    @contextmanager
    def reading(self, *, long: bool = False) -> Iterator[sa.Connection]:
        """Open a connection that sees committed data. A `long` read may be fetched in batches and
        has a longer statement timeout (a server keeps its cursor in a transaction).

        Raises:
            StoreUnavailable: if the store does not answer.
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

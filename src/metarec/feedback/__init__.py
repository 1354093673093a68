"""Stage 6: what was shown and what came of it, kept durably; when to retrain; whom to forget.

The loop closes by data, not by imports: feedback writes events, the next `fit` or `fold_in` reads
them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metarec.feedback.store import Store

__all__ = ["open_store"]


def open_store(url: str, *, create: bool = True, as_it_is: bool = False) -> Store:
    """Open the event store at `url`, creating or migrating its tables.

    Args:
        url: a path to a SQLite file, `sqlite:///file`, or
            `postgresql://user:password@host/database`, with `?schema=NAME` where its tables do
            not lie in the schema `metarec`.
        create: whether a file that is not there is made.
        as_it_is: neither create nor migrate tables, as to look at a store.

    Raises:
        FileNotFoundError: if it is a file that is not there and is not to be made.
        MissingExtra: without the extra that reads such a store; the message names it.
        metarec.data.schema.BadInput: if the url names a store that metarec does not know.
    """
    from metarec.runtime.extras import require

    require("sqlalchemy", "serve")
    if url.startswith("postgres"):
        require("psycopg", "postgres")
    from metarec.feedback.store import Store, file_of

    file = file_of(url)
    if not create and file is not None and not file.is_file():
        raise FileNotFoundError(
            f"there is no event store at {str(file)!r}; name yours with --store"
        )
    return Store(url, as_it_is=as_it_is)

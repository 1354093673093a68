"""Tables beside a TOML file that it does not name are not left out without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

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

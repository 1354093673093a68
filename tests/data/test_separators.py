"""Tables whose cells are parted by `::` or spaces, that have no line of names, or that name the
item above its ratings: as research data are published.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from data.exports import one_file, told
from metarec.data.cleaning import read_clean
from metarec.data.errors import BadInput
from metarec.data.findings import Finding
from metarec.data.ingest import ingest

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")
START = 978_300_000


def ratings(form: str, n_rows: int = 35) -> str:
    """A row for each rating, written as `form` says."""
    cells = ((n % 5 + 1, n % 7 + 1, n % 4 + 1, START + n) for n in range(n_rows))
    return "".join(form.format(*row) + "\n" for row in cells)


def says(findings: list[Finding], text: str) -> bool:
    return any(text in f.why for f in findings)


@pytest.mark.parametrize(
    "text",
    [
        "UserID::MovieID::Rating::Timestamp\n" + ratings("{}::{}::{}::{}"),
        "user   item  rating   time\n" + ratings("{:<6}{:>4}  {}.0 {}"),
        '"user" "item" "rating" "time"\n' + ratings('"{}" "{}" {} {}'),
        "user item rating time\n" + "".join(
            f'"{n + 1}" {row}\n' for n, row in enumerate(ratings("{} {} {} {}").splitlines())
        ),
    ],
)  # fmt: skip
def test_cells_parted_by_colons_and_spaces(tmp_path: Path, text: str) -> None:
    for name in ("r.txt", "ratings.dat"):
        data, _ = one_file(tmp_path, text, name)
        events = data.interactions
        assert (len(events), events.has_values, events.has_time) == (35, True, True)
        assert events.context_columns == [] and set(events.frame["item_id"]) == set("1234567")
    ingest(tmp_path / "r.txt", tmp_path / "out")
    assert pl.read_parquet(tmp_path / "out" / "interactions.parquet").height == 35


@pytest.mark.parametrize("form", ["{}::{}::{}::{}", "{}\t{}\t{}\t{}", "{},{},{}.0,{}", "{} {} {}"])
def test_ratings_without_names_are_known_by_their_cells_and_told(tmp_path: Path, form: str) -> None:
    data, found = one_file(tmp_path, ratings(form), "train.dat")
    events = data.interactions
    assert (len(events), events.has_values, events.has_time) == (35, True, form.count("{}") == 4)
    assert events.frame["user_id"].n_unique() == 5 and says(found, "has no line of names")
    ingest(tmp_path / "train.dat", tmp_path / "out")
    assert pl.read_parquet(tmp_path / "out" / "interactions.parquet").height == 35


def test_where_an_item_stands_first_by_the_form_of_its_ids(tmp_path: Path) -> None:
    for form in ("A{:013d},B00{:07d},{}.0,{}", "B00{:07d},A{:013d},{}.0,{}"):
        data, _ = one_file(tmp_path, ratings(form), "ratings.csv.txt")
        assert all(item.startswith("B00") for item in data.interactions.frame["item_id"])


@pytest.mark.parametrize(
    "form",
    [
        "{0},{1}",  # either may be the user
        "{0},{1},{3}",  # a number of what?
        "{0},{1},word {2}",
        "{0},{1},{2},{2}0",  # no time
        "{0},{1},1",  # always the same
    ],
)
def test_other_tables_without_names_are_refused(tmp_path: Path, form: str) -> None:
    with pytest.raises(BadInput, match="names = "):
        one_file(tmp_path, ratings(form), "r.csv")


def test_a_number_of_the_row_before_ids_is_no_user(tmp_path: Path) -> None:
    rows = "".join(f"{n},u{n % 5},{n % 4 + 1}\n" for n in range(35))
    with pytest.raises(BadInput, match="names = "):
        one_file(tmp_path, rows, "r.csv")
    rows = "".join(f"{n},u{n % 5},x{n % 7},{n % 4 + 1}\n" for n in range(35))
    data, found = one_file(tmp_path, f"user,item,rating\n{rows}", "r.csv")
    assert data.interactions.frame["user_id"].n_unique() == 5 and says(found, "numbers the rows")


def test_two_colons_and_spaces_within_cells_part_nothing(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},fe80::{n % 7},{n % 4}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,rating\n{rows}", "r.csv")
    assert "fe80::3" in set(data.interactions.frame["item_id"])
    rows = "".join(f"u{n % 5},The {n % 7}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user id,item id\n{rows}", "r.csv")
    assert "The 3" in set(data.interactions.frame["item_id"])
    with pytest.raises(BadInput, match="no column 'user_id'"):  # a time of two words, or an item?
        one_file(tmp_path, "user item time\n" + ratings("{} {} 2024-01-01 08:00:0{}"), "r.txt")


def test_ratings_below_their_item(tmp_path: Path) -> None:
    text = "".join(
        f"{item}:\n" + "".join(f"{n},{n % 5 + 1},2005-09-{n:02d}\n" for n in range(1, 9))
        for item in (1, 2, 30)
    )
    data, found = one_file(tmp_path, text + "9\n", "combined_data_1.txt")
    assert len(data.interactions) == 24 and data.interactions.has_time
    assert set(data.interactions.frame["item_id"]) == {"1", "2", "30"}
    assert told(found, "blocks") == [0] and told(found, "unreadable_rows") == [1]
    ingest(tmp_path / "combined_data_1.txt", tmp_path / "out")
    assert pl.read_parquet(tmp_path / "out" / "interactions.parquet").height == 24


def test_a_folder_of_dat_files_is_read_by_its_columns(tmp_path: Path) -> None:
    for name, text in {
        "user_artists.dat": "userID\tartistID\tweight\n" + ratings("{}\t{}\t{}"),
        "artists.dat": "id\tname\n" + "".join(f"{n}\tBand {n}\n" for n in range(1, 8)),
        "user_friends.dat": "userID\tfriendID\n1\t2\n2\t3\n",
    }.items():
        (tmp_path / name).write_text(text)
    data, _ = read_clean(tmp_path)
    assert data.items.frame["title"].to_list() == [f"Band {n}" for n in range(1, 8)]
    assert len(data.interactions) == 35 and data.relations.friends.height

"""Ratings of 0 that are none, and states beside ratings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from data.exports import one_file, told
from metarec.data.findings import Finding

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")

WISH = [("to-read", "0", ""), ("read", "4", "2024-01-05"), ("read", "2", "2024-02-07")]
READ = [*WISH, ("read", "0", "2024-03-01"), ("read", "5", "2024-03-04")]


def read(
    folder: Path, rows: Sequence[Sequence[str]], names: str = "shelf,rating,finished"
) -> tuple[list[float | None], Counter[str], list[Finding]]:
    cells = [",".join(rows[(n // 5 + n // 3) % len(rows)]) for n in range(35)]
    text = "".join(f"u{n % 5},x{n % 7},{cell}\n" for n, cell in enumerate(cells))
    data, found = one_file(folder, f"user,item,{names}\n{text}")
    ratings = data.interactions.acts()["rating"].to_list()
    return ratings, Counter(data.interactions.frame["kind"]), found


def test_a_zero_is_no_rating_where_all_that_is_only_wished_for_has_it(tmp_path: Path) -> None:
    ratings, kinds, found = read(tmp_path, READ)
    assert 0.0 not in ratings and None in ratings and {*ratings} == {None, 2, 4, 5}
    assert kinds["to-read"] and kinds["rating"] and len(told(found, "zero_ratings")) == 1
    zeros = [(state.replace("to-read", "想读"), *rest) for state, *rest in READ]
    ratings, kinds, _ = read(tmp_path, zeros, "状态,评分,日期")
    assert 0.0 not in ratings and kinds["想读"]


def test_a_zero_is_no_rating_where_all_without_a_date_have_it(tmp_path: Path) -> None:
    rows = [("a", *rest) for _, *rest in (*WISH, *READ)]
    ratings, _, found = read(tmp_path, rows, "edition,rating,date read")
    assert 0.0 not in ratings
    assert any("all rows without 'date read'" in f.why for f in found)


def test_a_zero_stays_a_rating_without_such_a_sign(tmp_path: Path) -> None:
    for rows in (
        [("read", *rest) for _, *rest in READ],  # no state says so
        [*READ, ("to-read", "3", "")],  # what is wished for is rated
        [("a", rating, "2024-01-05") for _, rating, _ in READ],
    ):
        names = "edition,rating,day of print"
        ratings, _, found = read(tmp_path, rows, names)
        is_told = any("are read as no rating" in f.why for f in found)
        assert 0.0 in ratings and not is_told, rows


def test_who_says_that_the_scale_begins_at_0_is_believed(tmp_path: Path) -> None:
    read(tmp_path, READ)
    toml = '[[sources]]\npath = "interactions.csv"\n[cleaning]\nvalue_scale = [0, 5]\n'
    data, _ = one_file(tmp_path, toml, "data.toml")
    assert 0.0 in data.interactions.acts()["rating"].to_list()


def test_beside_a_rating_a_state_takes_nothing_from_it(tmp_path: Path) -> None:
    rows = [
        ("Dropped", "3", "x"),
        ("Completed", "8", "x"),
        ("Dropped", "", "x"),
        ("On Hold", "6", "x"),
    ]
    ratings, kinds, found = read(tmp_path, rows, "my_status,score,x")
    assert sum(r is not None for r in ratings) == kinds["rating"] > 20
    assert set(kinds) == {"rating", "Dropped"}
    assert any("it is the kind of rows without a rating" in f.why for f in found)


def test_when_a_program_wrote_a_row_is_no_time_of_it(tmp_path: Path) -> None:
    rows = [(f"2024-01-{n:02}", f"2024-03-{n:02}", "a") for n in range(10, 18)]
    text = "".join(f"u{n % 5},x{n % 7},{','.join(rows[n % 8])}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,updated_at,listened_at,b\n{text}")
    assert data.interactions.has_time and "updated_at" in data.interactions.context_columns

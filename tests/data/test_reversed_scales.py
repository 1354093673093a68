"""Scales on which the lowest is the best, and codes of surveys on short scales."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.exports import one_file, told

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")

MARKS = "1,0 1,3 1,7 2,0 2,3 3,0 3,7 4,0 5,0".split()


@pytest.mark.parametrize(
    "names",
    [
        "Matrikelnummer;Modul;Note",
        "user_id;item_id;Note",
        "student;course;grade",
        "Schüler;Kurs;Schulnote",
        "student;course;Modulnote",
    ],
)
def test_marks_of_which_one_is_the_best_are_no_ratings_and_told(tmp_path: Path, names: str) -> None:
    rows = "".join(f"1{n % 5};x{n % 7};{MARKS[n % 9]}\n" for n in range(63))
    data, found = one_file(tmp_path, f"{names}\n{rows}")
    assert not data.interactions.has_values
    assert any("1 is the best" in f.why and "6 minus the mark" in f.why for f in found)


def test_grade_points_stay_ratings(tmp_path: Path) -> None:
    points = "4.0 3.7 3.3 2.7 2.3 1.0 0.0".split()
    rows = "".join(f"1{n % 5},x{n % 7},{points[(n + n // 7) % 7]}\n" for n in range(63))
    data, found = one_file(tmp_path, f"student,course,grade\n{rows}")
    assert data.interactions.has_values and not any("1 is the best" in f.why for f in found)


@pytest.mark.parametrize(("top", "codes"), [(3, (8, 9)), (7, (9,)), (4, (8,)), (5, (9,))])
def test_a_code_of_a_survey_after_a_gap_is_no_rating(
    tmp_path: Path, top: int, codes: tuple[int, ...]
) -> None:
    scale = [*range(1, top + 1)] * (40 // top)
    cells = [*scale, *(c for c in codes for _ in range(3))]
    rows = "".join(f"u{n % 7},x{n // 7},{cell}\n" for n, cell in enumerate(cells))
    data, found = one_file(tmp_path, f"user,item,rating\n{rows}")
    assert data.interactions.frame["value"].max() == top
    assert told(found, "stray_values") == [3] * len(codes)


def test_whole_scales_to_eight_and_nine_keep_their_ends(tmp_path: Path) -> None:
    for top in (8, 9, 10):
        cells = [*range(1, top + 1)] * 5
        rows = "".join(f"u{n % 7},x{n // 7},{cell}\n" for n, cell in enumerate(cells))
        data, found = one_file(tmp_path, f"user,item,rating\n{rows}")
        assert data.interactions.frame["value"].max() == top and not told(found, "stray_values")


def test_ratings_of_several_scales_in_one_column_are_told(tmp_path: Path) -> None:
    tops = {"imdb": 10, "letterboxd": 5, "rt": 100}
    rows = "".join(
        f"u{n % 9},x{n // 9},{(n * 7 % 5 + 1) * tops[site] / 5},{site}\n"
        for n, site in enumerate([*tops] * 30)
    )
    _, found = one_file(tmp_path, f"user,item,rating,source\n{rows}")
    (told_of,) = (f for f in found if f.rule == "scales")
    assert "5 where 'source' is 'letterboxd' and to 100 where it is 'rt'" in told_of.why
    rows = "".join(f"u{n % 9},x{n // 9},{n * 7 % 5 + 1},{'ab'[n % 2]}\n" for n in range(90))
    _, found = one_file(tmp_path, f"user,item,rating,source\n{rows}")
    assert not told(found, "scales")


def test_ranks_are_told(tmp_path: Path) -> None:
    rows = "".join(f"u{n // 7},x{n * 3 % 11},{n % 7 + 1}\n" for n in range(63))
    data, found = one_file(tmp_path, f"user,item,rank\n{rows}")
    assert data.interactions.context_columns == ["rank"]
    assert any("holds ranks of each user, 1 the best" in f.why for f in found)
    rows = "".join(f"u{n // 7},x{n * 3 % 11},{n % 2 + 1}\n" for n in range(63))
    _, found = one_file(tmp_path, f"user,item,rank\n{rows}")
    assert not any("holds ranks" in f.why for f in found)


def test_words_of_analysts_are_ratings(tmp_path: Path) -> None:
    words = ["Strong Buy", "Buy", "Hold", "Underperform", "Sell"]
    rows = "".join(f"a{n % 6},T{n // 6},{words[n % 5]}\n" for n in range(60))
    data, _ = one_file(tmp_path, f"analyst_id,ticker,recommendation\n{rows}")
    values = data.interactions.frame["value"].value_counts().sort("value").rows()
    assert values == [(1, 12), (2, 12), (3, 12), (4, 12), (5, 12)]
    rows = "".join(f"a{n % 6},T{n // 6},{('Buy', 'Sell', 'Hold')[n % 3]}\n" for n in range(60))
    data, _ = one_file(tmp_path, f"account_id,ticker,action\n{rows}")
    assert not data.interactions.has_values


@pytest.mark.parametrize("word", ["S/N", "Sin nota", "pas de note"])
def test_a_word_beside_numbers_is_no_rating(tmp_path: Path, word: str) -> None:
    cells = ["4,5", "1,0", "3,5", word]
    rows = "".join(f"u{n % 5};x{n % 7};{cells[(n * 5 // 3) % 4]}\n" for n in range(35))
    data, found = one_file(tmp_path, f"usuario;producto;valoración\n{rows}")
    assert data.interactions.frame["value"].null_count() in (8, 9)
    assert data.interactions.frame["value"].max() == 4.5
    assert any("are read as no rating" in f.why for f in found)


def test_negative_shares_are_sales(tmp_path: Path) -> None:
    rows = "".join(f"{n % 5},DE{n % 7},{'(5.000)' if n % 3 else '5.000'}\n" for n in range(35))
    data, found = one_file(tmp_path, f"account_id,isin,shares\n{rows}")
    assert (data.interactions.acts()["sign"] < 0).sum() == 23 and told(found, "amounts") == [23]

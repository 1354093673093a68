"""Surveys with a column for each item, times that cannot be read, lines without a cell."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from data.exports import one_file, titles, told
from metarec.data.cleaning import read_clean

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")

ITEMS = ("Mug", "Red Cup", "Pen")


@pytest.mark.parametrize("who", ["Email Address", "您的编号", None])
def test_a_question_of_many_items_is_an_event_for_each_answer(
    tmp_path: Path, who: str | None
) -> None:
    words = ("Dissatisfied", "Neutral", "Very satisfied", "")
    first = [] if who is None else [who]
    names = [*first, *(f"Please rate [{item}]" for item in ITEMS), "Comments [optional]"]
    rows = [
        ",".join([*[f"{u}@x.org"][: len(first)], *(words[(u + n) % 4] for n in range(3)), "fine"])
        for u in range(12)
    ]
    data, found = one_file(tmp_path, "\n".join([",".join(names), *rows]) + "\n")
    frame, acts = data.interactions.frame, data.interactions.acts()
    assert set(frame["item_id"]) == set(ITEMS) and frame["user_id"].n_unique() == 12
    assert set(acts["rating"]) == {2, 3, 5} and told(found, "matrix") == [27]


def test_one_column_in_brackets_is_no_survey(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{n}\n" for n in range(35))
    data, found = one_file(tmp_path, f"user,item,weight [kg]\n{rows}")
    assert len(data.interactions.frame) == 35 and not told(found, "matrix")


def test_a_time_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},Q{n % 4 + 1}/24 week {n},W{n}\n" for n in range(35))
    data, found = one_file(tmp_path, f"user,item,Sale Date,Paid On Date\n{rows}")
    assert not data.interactions.has_time
    assert any("'Sale Date' of interactions.csv is called like the time" in f.why for f in found)


def test_a_line_without_a_cell_before_the_names_is_left_out(tmp_path: Path) -> None:
    rows = "".join(f'"u{n % 5}","x{n % 7}","{n % 4}"\n' for n in range(35))
    data, _ = one_file(tmp_path, f'\n"user","item","quantity"\n\n{rows}')
    assert data.interactions.frame.height == 35


def test_an_event_value_in_json_is_an_envelope(tmp_path: Path) -> None:
    rows = "".join(
        f'u{n % 5},af_purchase,"{{""af_content_id"": ""x{n % 7}"", ""af_price"": {n}}}"\n'
        for n in range(35)
    )
    data, _ = one_file(tmp_path, f"Customer User ID,Event Name,Event Value\n{rows}")
    assert set(data.interactions.frame["item_id"]) == {f"x{n}" for n in range(7)}
    assert "af_price" in {*data.items.frame.columns, *data.interactions.context_columns}


@pytest.mark.parametrize(
    "name",
    ["Taste (1-5)", "Answer (1 = strongly disagree, 5 = strongly agree)", "Geschmack (1 bis 5)"],
)
def test_a_scale_in_brackets_says_that_it_is_a_rating(tmp_path: Path, name: str) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{(n // 5 + n // 3) % 5 + 1}\n" for n in range(35))
    data, _ = one_file(tmp_path, f'user,item,"{name}"\n{rows}')
    assert set(data.interactions.acts()["rating"]) == {1, 2, 3, 4, 5}
    data, _ = one_file(tmp_path, f"user,item,length (m)\n{rows}")
    assert set(data.interactions.acts()["rating"]) == {None}


def test_stars_behind_a_word_are_counted(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},star{(n // 5 + n // 3) % 5 + 1}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"用户,商品,评分\n{rows}")
    assert set(data.interactions.acts()["rating"]) == {1, 2, 3, 4, 5}


def test_an_episode_is_called_as_itself_not_as_its_podcast(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},g{n % 7},Pod {n % 7 % 2},Talk {n % 7}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,episode_guid,podcast_title,episode_title\n{rows}")
    assert titles(data) == {f"g{n}": f"Talk {n}" for n in range(7)}


def test_a_negative_feedback_says_no_in_chinese_too(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{n % 2},{int(n % 4 == 0)}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"用户编号,文章编号,是否点击,是否负反馈\n{rows}")
    assert (data.interactions.acts()["sign"] < 0).sum() == 9


def test_a_table_in_dutch(tmp_path: Path) -> None:
    states = ("Verzonden", "Geannuleerd", "Retour ontvangen")
    rows = "".join(
        f"{n % 5};8{n % 7};Boek {n % 7};{n % 9 + 13}-02-2024 10:00;"
        f"{states[(n // 5 + n // 3) % 3]}\n"
        for n in range(35)
    )
    data, _ = one_file(tmp_path, f"Klantnummer;Productnummer;Titel;Besteldatum;Status\n{rows}")
    assert data.interactions.has_time and titles(data)["80"] == "Boek 0"
    assert (data.interactions.acts()["sign"] < 0).sum() > 20


def test_an_export_of_qualtrics_has_three_lines_of_names(tmp_path: Path) -> None:
    names = ["StartDate", "Status", "Progress", "ResponseId", "LocationLatitude", "Q1_1", "Q1_2"]
    dishes = [f"How do you rate\nthese dishes? - {dish}" for dish in ("Mac - Cheese", "Sushi")]
    ids = [json.dumps({"ImportId": name}) for name in names]
    rows = [
        [
            f"2024-03-{n + 1:02d} 10:00:00",
            "IP Address",
            "100",
            f"R_{n}",
            "40.1",
            f"{n % 5 + 1}",
            "4",
        ]
        for n in range(12)
    ]
    rows.append(["2024-02-01 10:00:00", "Survey Preview", "100", "R_me", "", "5", "5"])
    file = tmp_path / "survey.csv"
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([names, [*names[:5], *dishes], ids, *rows])
    data, report = read_clean(file)
    frame = data.interactions.frame
    assert set(frame["item_id"]) == {"Mac - Cheese", "Sushi"}
    assert set(frame["user_id"]) == {f"R_{n}" for n in range(12)}
    assert frame.filter(user_id="R_3", item_id="Mac - Cheese")["value"].to_list() == [4.0]
    assert [f.rows for f in report.findings if f.rule == "no_acts"] == [1]

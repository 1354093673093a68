"""Surveys with a column for each item, times that cannot be read, lines without a cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.exports import one_file, told

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

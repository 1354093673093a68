"""Rows of exports that say less, or other, than their neighbors: tests and failures among events,
ids that stand for nobody or for rows, values whose texts are escaped, and lines of names.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from data.exports import one_file, told
from metarec.data.cleaning import read_clean
from metarec.data.dataset import Dataset
from metarec.data.errors import BadInput

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def kinds(data: Dataset) -> dict[str, int]:
    return dict(data.interactions.frame["kind"].value_counts().iter_rows())


def rows(names: str, *cells: str, n: int = 48) -> str:
    """A table of users and items, with further cells that take turns, out of step with both."""
    lines = [f"u{i * 5 % 7},x{i * 3 % 11},{cells[i % len(cells)]}" for i in range(n)]
    return "\n".join([f"user_id,item_id,{names}", *lines]) + "\n"


@pytest.mark.parametrize("name", ["failed", "is_error", "expired", "Abandoned"])
def test_a_yes_of_failure_is_no_act(tmp_path: Path, name: str) -> None:
    data, found = one_file(tmp_path, rows(name, "false", "true", "false"))
    assert kinds(data)["fail"] == 16
    assert 16 in told(found, "kinds")


@pytest.mark.parametrize("name", ["test_order", "isTestUser", "is_duplicate", "fraudulent"])
def test_rows_of_tests_copies_and_frauds_are_left_out(tmp_path: Path, name: str) -> None:
    _, found = one_file(tmp_path, rows(name, "0", "1", "0"))
    assert told(found, "no_acts") == [16]


@pytest.mark.parametrize(
    ("name", "odd"),
    [("success", "false"), ("is_valid", "false"), ("approved", "false"), ("is_test", "true")],
)
def test_flags_that_leave_an_event_open_are_told(tmp_path: Path, name: str, odd: str) -> None:
    other = {"true": "false", "false": "true"}[odd]
    data, found = one_file(tmp_path, rows(name, other, odd, other))
    assert kinds(data) == {"event": data.interactions.frame.height}
    notes = [f for f in found if f.rule == "kinds" and repr(name) in f.why]
    assert [f.rows for f in notes] == [16] and repr(odd) in notes[0].why


@pytest.mark.parametrize("name", ["fulfillment", "title", "is_gift", "testimonial", "validity"])
def test_other_yes_and_no_is_context(tmp_path: Path, name: str) -> None:
    data, found = one_file(tmp_path, rows(name, "false", "true", "false"))
    assert kinds(data) == {"event": data.interactions.frame.height}
    assert not told(found, "kinds") and not told(found, "no_acts")


def test_a_user_that_is_blocked_refuses_nothing(tmp_path: Path) -> None:
    text = "user_id,item_id,blocked\n" + "".join(
        f"u{i % 7},x{i * 3 % 11},{i % 7 == 2}\n" for i in range(48)
    )
    data, _ = one_file(tmp_path, text)
    assert kinds(data) == {"event": data.interactions.frame.height}


def test_items_that_users_blocked_are_refused(tmp_path: Path) -> None:
    data, _ = one_file(tmp_path, rows("blocked", "0", "1", "0"))
    assert data.interactions.acts()["sign"].to_list().count(-1) == kinds(data)["block"] > 0


@pytest.mark.parametrize(("first", "is_told"), [(500, True), (1, False), (10, True)])
def test_user_zero_is_told_where_no_other_id_is_small(
    tmp_path: Path, first: int, is_told: bool
) -> None:
    text = "customer_id,product_id\n" + "".join(
        f"{0 if i % 8 == 0 else first + i % 7},x{i * 3 % 11}\n" for i in range(48)
    )
    _, found = one_file(tmp_path, text)
    assert told(found, "shared_users") == ([6] if is_told else [])


def test_numbers_of_bookings_are_no_items(tmp_path: Path) -> None:
    text = "Book number,Booker,Property name,Booked on\n" + "".join(
        f"30{i:05d},g{i % 7},Hotel {i * 3 % 5},2024-03-{i % 28 + 1:02d} 10:00:00\n"
        for i in range(40)
    )
    data, found = one_file(tmp_path, text)
    assert set(data.interactions.frame["item_id"]) == {f"Hotel {n}" for n in range(5)}
    assert any("'Book number'" in f.why for f in found)


@pytest.mark.parametrize(
    "head",
    [
        "Customer,Customer,Product,Product,Review\nid,city,id,name,stars\n",
        "Report of reviews\nas of 2024-04-01\n\nCustomer,,Product,,Stars\nid,city,id,name,\n",
    ],
)
def test_names_in_two_lines(tmp_path: Path, head: str) -> None:
    text = head + "".join(f"K{i % 7},Rome,A{i * 3 % 11},Desk,{i % 5 + 1}\n" for i in range(40))
    data, _ = one_file(tmp_path, text)
    frame = data.interactions.frame
    assert set(frame["user_id"]) == {f"K{n}" for n in range(7)}
    assert set(frame["item_id"]) == {f"A{n}" for n in range(11)}
    assert set(frame["value"]) == {1.0, 2.0, 3.0, 4.0, 5.0}


def test_a_column_twice_is_no_second_line_of_names(tmp_path: Path) -> None:
    text = "user,item,tag,tag,year\n" + "".join(
        f"u{i % 7},x{i * 3 % 11},{('red', 'old')[i % 2]},blue,{1990 + i % 9}\n" for i in range(40)
    )
    data, _ = one_file(tmp_path, text)
    assert "u0" in set(data.interactions.frame["user_id"])
    assert "year" in (*data.interactions.frame.columns, *data.items.frame.columns)


DUMP = "CREATE TABLE {0}r{0} ({0}user_id{0} text, {0}item_id{0} text, {0}rating{0} int);\n"


@pytest.mark.parametrize("mark", ["`", ""])
@pytest.mark.parametrize("title", ["it\\'s", 'the \\"best\\"', "a\\\\b"])
def test_escaped_texts_of_a_mysql_dump(tmp_path: Path, mark: str, title: str) -> None:
    values = ",".join(f"('u{i % 7}','x{i * 3 % 11} {title}',{i % 5 + 1})" for i in range(48))
    text = f"{DUMP.format(mark)}INSERT INTO {mark}r{mark} VALUES {values};\n"
    if mark == "" and "'" not in title:  # standard SQL: a backslash is a backslash
        title = title.replace("\\", "\\\\")
    data, _ = one_file(tmp_path, text, "dump.sql")
    meant = title.replace("\\\\", "\0").replace("\\", "").replace("\0", "\\")
    assert set(data.interactions.frame["item_id"]) == {f"x{n} {meant}" for n in range(11)}
    assert set(data.interactions.frame["user_id"]) == {f"u{n}" for n in range(7)}


def test_a_path_ends_in_a_backslash_in_standard_sql(tmp_path: Path) -> None:
    values = ",".join(f"('u{i % 7}','C:\\',{i % 5 + 1})" for i in range(14))
    data, _ = one_file(tmp_path, f"{DUMP.format('')}INSERT INTO r VALUES {values};\n", "dump.sql")
    assert set(data.interactions.frame["item_id"]) == {"C:\\"}
    assert set(data.interactions.frame["user_id"]) == {f"u{n}" for n in range(7)}


def test_a_statement_that_is_read_by_half_is_refused(tmp_path: Path) -> None:
    values = ",".join(f"('u{i % 7}','dogs\\' home',{i % 5 + 1})" for i in range(14))
    path = tmp_path / "dump.sql"
    path.write_text(f"{DUMP.format('')}INSERT INTO r VALUES {values};\n")
    with pytest.raises(BadInput, match="cannot be read from its INSERT"):
        read_clean(path)


@pytest.mark.parametrize(
    ("name", "form", "first"),
    [
        ("date", "2024{:03d}", 1704067200.0),
        ("주문일자", "2024. 01. {:02d}. 오전 08:00", 1704096000.0),
        ("주문일시", "2024. 1. {}", 1704067200.0),
    ],
)
def test_days_of_the_year_and_dates_with_points(
    tmp_path: Path, name: str, form: str, first: float
) -> None:
    days = [form.format(n) for n in range(1, 29)]
    data, _ = one_file(tmp_path, rows(name, *days))
    assert data.interactions.frame["timestamp"].min() == first


@pytest.mark.parametrize("hour", [-10, 0, 13])
def test_the_time_of_day_of_dates_is_read(tmp_path: Path, hour: int) -> None:
    lines = [
        f"u{i % 7},x{i * 3 % 11},2022{4:02d}{i % 20 + 1:02d},"
        f"{(1648771200 + i % 20 * 86400 + hour * 3600 + i * 61) * 1000}\n"
        for i in range(48)
    ]
    data, found = one_file(tmp_path, "user_id,item_id,date,time_ms\n" + "".join(lines))
    assert data.interactions.frame["timestamp"].min() == 1648771200 + hour * 3600
    assert any("it says the time of day for the days in 'date'" in f.why for f in found)


@pytest.mark.parametrize("name", ["valid_until_ts", "updated_ts", "phone"])
def test_other_numbers_do_not_replace_the_date(tmp_path: Path, name: str) -> None:
    lines = [
        f"u{i % 7},x{i * 3 % 11},2022-04-{i % 20 + 1:02d},{1648771200 + i % 20 * 86400 + i * 61}\n"
        for i in range(48)
    ]
    data, _ = one_file(tmp_path, f"user_id,item_id,date,{name}\n" + "".join(lines))
    assert (data.interactions.frame["timestamp"] % 86_400 == 0).all()

"""Acts that were taken back, refused or came to their end, as exports of clinics, fleets, courses,
banks, venues and libraries say it; and which of their columns says on what and when they were.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from metarec.data.cleaning import read_clean
from metarec.data.dataset import Dataset
from metarec.data.findings import Finding
from metarec.data.opening import open_tables

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")

ROWS = 40
START = datetime(2024, 3, 5, 8, 15)
USERS = [f"u{n % 7}" for n in range(ROWS)]
ITEMS = [f"i{n // 7 + n % 3}" for n in range(ROWS)]
TIMES = [f"{START + timedelta(hours=7 * n):%Y-%m-%d %H:%M:%S}" for n in range(ROWS)]


def read(
    folder: Path, user: str = "user_id", item: str | None = "item_id", **columns: list[str]
) -> tuple[Dataset, list[Finding]]:
    ids = {user: USERS} if item is None else {user: USERS, item: ITEMS}
    pl.DataFrame({**ids, **columns}).write_csv(folder / "events.csv")
    data, report = read_clean(folder / "events.csv")
    return data, report.findings


def over(*cells: str) -> list[str]:
    return [cells[n % len(cells)] for n in range(ROWS)]


def signs(data: Dataset, column: list[str]) -> dict[str, set[int]]:
    """The signs of the acts by what a column says, as rows are in time."""
    found: dict[str, set[int]] = {}
    times, acts = data.interactions.frame["timestamp"], data.interactions.acts()["sign"]
    for cell, sign in zip(column, acts.gather(times.arg_sort()), strict=True):
        found.setdefault(cell, set()).add(int(sign))
    return found


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("response", {"ACCEPTED": 1, "DECLINED": -1, "TIMEOUT": 0, "NO_RESPONSE": 0}),
        ("outcome", {"Seen": 1, "Booked": 1, "DNA": -1, "Cancelled by Patient": -1}),
        ("attendee_status", {"Attending": 1, "Not Attending": -1, "Checked In": 1, "Deleted": -1}),
        ("transaction", {"BUY": 1, "SELL": -1, "DIVIDEND": 0, "REINVESTED": 1}),
        ("transaction", {"CHECKOUT": 1, "CHECKIN": 0, "HOLD": 1, "CANCEL HOLD": -1, "RENEW": 1}),
        ("action", {"loan": 1, "return": 0, "renewal": 1}),
    ],
)
def test_states_and_acts_say_what_became_of_them(
    tmp_path: Path, name: str, meant: dict[str, int]
) -> None:
    if "BUY" in meant:
        name = "type"
    column = over(*meant)
    data, findings = read(tmp_path, timestamp=TIMES, **{name: column})
    assert signs(data, column) == {cell: {sign} for cell, sign in meant.items()}
    assert any(f.rule == "kinds" for f in findings)


def test_a_return_of_what_was_bought_says_no(tmp_path: Path) -> None:
    column = over("purchase", "return")
    data, _ = read(tmp_path, timestamp=TIMES, action=column)
    assert signs(data, column) == {"purchase": {1}, "return": {-1}}


def test_a_sale_that_was_cancelled_says_nothing(tmp_path: Path) -> None:
    side, status = over("Buy", "Sell"), over("Filled", "Filled", "Cancelled", "Cancelled")
    data, _ = read(tmp_path, timestamp=TIMES, side=side, status=status)
    both = [f"{a} {b}" for a, b in zip(side, status, strict=True)]
    meant = {"Buy Filled": {1}, "Sell Filled": {-1}, "Buy Cancelled": {-1}, "Sell Cancelled": {0}}
    assert signs(data, both) == meant


@pytest.mark.parametrize("name", ["removed_at", "Date cancelled", "unenrolledOn"])
def test_a_date_of_a_removal_takes_an_act_back(tmp_path: Path, name: str) -> None:
    gone = [time if n % 4 == 0 else "" for n, time in enumerate(TIMES)]
    data, findings = read(tmp_path, added_at=TIMES, **{name: gone})
    said = ["gone" if time else "there" for time in gone]
    assert signs(data, said) == {"gone": {-1}, "there": {1}}
    assert any("came to an end" in f.why and name in f.why for f in findings)


def test_a_date_of_a_return_alone_says_nothing(tmp_path: Path) -> None:
    back = [time if n % 4 else "" for n, time in enumerate(TIMES)]
    data, _ = read(tmp_path, borrowed_at=TIMES, returned_at=back)
    assert {int(sign) for sign in data.interactions.acts()["sign"]} == {1}


def test_what_does_not_go_on_was_left(tmp_path: Path) -> None:
    active = over("1", "1", "0")
    data, _ = read(tmp_path, created=TIMES, is_active=active)
    assert signs(data, active) == {"1": {1}, "0": {-1}}


@pytest.mark.parametrize(
    "name", ["removed", "is_deleted", "unfollowed", "unenrolled", "已删除", "is_hate", "gelöscht"]
)
def test_a_yes_to_whether_an_act_was_taken_back_says_no(tmp_path: Path, name: str) -> None:
    gone = over("0", "0", "1")
    data, findings = read(tmp_path, saved_at=TIMES, **{name: gone})
    assert signs(data, gone) == {"0": {1}, "1": {-1}}
    assert any(name in f.why for f in findings)


@pytest.mark.parametrize("mark", ["x", "yes", "1", "✓", "Ja"])
def test_a_mark_beside_blanks_says_that_an_act_was_taken_back(tmp_path: Path, mark: str) -> None:
    gone = over("", "", mark)
    data, findings = read(tmp_path, saved_at=TIMES, removed=gone)
    assert signs(data, gone) == {"": {1}, mark: {-1}}
    assert any("came to an end" in f.why and "removed" in f.why for f in findings)


@pytest.mark.parametrize("mark", ["x", "yes", "1"])
def test_a_blank_does_not_say_that_an_act_was_left(tmp_path: Path, mark: str) -> None:
    data, _ = read(tmp_path, created=TIMES, is_active=over(mark, mark, ""))
    assert {*data.interactions.acts()["sign"]} == {1}


def test_what_was_taken_away_is_no_act_where_it_says_something_else(tmp_path: Path) -> None:
    of_item = [str(int(item) % 2) for item in (i.removeprefix("i") for i in ITEMS)]
    data, _ = read(tmp_path, saved_at=TIMES, removed=of_item)
    assert {*data.interactions.acts()["sign"]} == {1}
    data, _ = read(tmp_path, saved_at=TIMES, rating=over("4", "2"), is_deleted=over("0", "1", "1"))
    assert {*data.interactions.acts()["sign"]} == {1}


def test_a_yes_in_every_row_and_acts_in_other_languages_are_flags(tmp_path: Path) -> None:
    bought = over("nein", "ja", "nein")
    columns = {"angesehen": over("ja"), "gekauft": bought, "Datum": TIMES}
    data, _ = read(tmp_path, "Kunde", "Artikel", **columns)
    kinds = data.interactions.frame.sort("timestamp")["kind"].to_list()
    assert kinds == [{"ja": "purchase", "nein": "view"}[cell] for cell in bought]


@pytest.mark.parametrize("name", ["is_liked", "subscribed", "saved"])
def test_a_log_of_changes_ends_what_began(tmp_path: Path, name: str) -> None:
    rows = [(f"u{n % 7}", f"i{n}", 100 * n, True) for n in range(21)]
    rows += [(user, item, time + 50, False) for user, item, time, _ in rows[::3]]
    frame = pl.DataFrame(rows, ["user_id", "item_id", "timestamp", name], orient="row")
    frame.write_csv(tmp_path / "changes.csv")
    data = Dataset.of(open_tables(tmp_path / "changes.csv"))
    acts = data.interactions.frame.hstack(data.interactions.acts())
    says_no = (acts["sign"] < 0) | acts["is_undo"]
    assert says_no.sum() == 7 and {*acts.filter(says_no)["timestamp"] % 100} == {50}
    shown = frame.with_columns(frame[name] & (frame["timestamp"] > 400)).sort("timestamp")
    shown.write_csv(tmp_path / "shown.csv")
    kinds = read_clean(tmp_path / "shown.csv")[0].interactions.frame["kind"]
    assert kinds.value_counts().filter(pl.col("kind") == "impression")["count"].item() == 12


def test_a_grade_of_who_withdrew_says_no(tmp_path: Path) -> None:
    grades = over("A", "B+", "W", "F")
    data, _ = read(tmp_path, timestamp=TIMES, grade=grades)
    found = signs(data, grades)
    assert (found["W"], found["A"]) == ({-1}, {1})


def test_ids_that_differ_in_every_row_are_not_those_of_items(tmp_path: Path) -> None:
    offers = [f"o{n}" for n in range(ROWS)]
    data, findings = read(tmp_path, "driver_id", "zone_id", offer_id=offers)
    assert {*data.interactions.frame["item_id"]} == {*ITEMS}
    assert any("'offer_id'" in f.why and "read from 'zone_id'" in f.why for f in findings)


def test_events_that_take_place_are_items(tmp_path: Path) -> None:
    titles = [f"Concert {item}" for item in ITEMS]
    data, _ = read(tmp_path, "email", None, **{"Event Name": titles, "Event ID": ITEMS})
    assert {*data.interactions.frame["item_id"]} == {*ITEMS}
    assert {*data.items.frame["title"]} == {*titles}


@pytest.mark.parametrize(
    ("first", "later"), [("arrival", "departure"), ("issue_date", "return_date"), ("start", "end")]
)
def test_of_several_dates_the_first_is_when_it_was(tmp_path: Path, first: str, later: str) -> None:
    then = [f"{START + timedelta(hours=7 * n + 3):%Y-%m-%d %H:%M:%S}" for n in range(ROWS)]
    data, findings = read(tmp_path, **{later: then, first: TIMES})
    earliest = data.interactions.frame["timestamp"].min()
    assert earliest == START.timestamp()
    told = any(f"column {first!r}" in f.why and "as timestamp" in f.why for f in findings)
    assert told or later == "return_date"  # its name tells that it came later


def test_items_are_known_by_their_code(tmp_path: Path) -> None:
    pl.DataFrame({"student_no": USERS, "course_code": ITEMS}).write_csv(tmp_path / "taken.csv")
    codes = sorted({*ITEMS})
    courses = pl.DataFrame({"code": codes, "title": [f"Course {c}" for c in codes]})
    courses.write_csv(tmp_path / "courses.csv")
    data, _ = read_clean(tmp_path)
    assert {*data.items.frame["title"]} == {f"Course {code}" for code in codes}


@pytest.mark.parametrize(
    ("name", "yes", "sign"),
    [
        ("Returned", "Y", -1),
        ("purchased", "1", 1),
        ("clicked", "TRUE", 1),
        ("accepted", "accepted", 1),
        ("cancelled", "yes", -1),
    ],
)
def test_a_blank_beside_yes_alone_says_no(tmp_path: Path, name: str, yes: str, sign: int) -> None:
    column = over(yes, "", "")
    data, _ = read(tmp_path, timestamp=TIMES, **{name: column})
    assert signs(data, column) == {yes: {sign}, "": {0 if sign > 0 else 1}}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("stage", {"Onsite": 1, "Rejected - not qualified": -1, "Offer declined": -1}),
        ("attended", {"Present": 1, "Absent": -1}),
        ("delivery_status", {"Delivered": 1, "Lost": 0, "RTO": -1, "In transit": 1}),
        ("action", {"YOU BOUGHT": 1, "YOU SOLD": -1, "DIVIDEND RECEIVED": 0}),
    ],
)
def test_further_words_of_what_became_of_acts(
    tmp_path: Path, name: str, meant: dict[str, int]
) -> None:
    column = over(*meant)
    data, _ = read(tmp_path, timestamp=TIMES, **{name: column})
    assert signs(data, column) == {cell: {sign} for cell, sign in meant.items()}


@pytest.mark.parametrize("name", ["interviewer_rating", "Pain (0-10)", "Schmerz [0-10]"])
def test_what_is_no_opinion_on_an_item_is_no_rating(tmp_path: Path, name: str) -> None:
    data, _ = read(tmp_path, timestamp=TIMES, **{name: over(*"12345")})
    assert not data.interactions.has_values

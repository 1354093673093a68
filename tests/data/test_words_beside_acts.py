"""Exports seen blind again: who carried, reverted or timed out, and when, in their words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data.exports import one_file, told
from metarec.data.cleaning import read_clean
from metarec.data.dataset import Dataset

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def users(data: Dataset) -> set[str]:
    return set(data.interactions.frame["user_id"])


def kinds(data: Dataset) -> dict[str, int]:
    return dict(data.interactions.frame["kind"].value_counts().iter_rows())


def days(data: Dataset) -> list[str]:
    times = data.interactions.frame["timestamp"].sort()
    return [f"{datetime.fromtimestamp(t, UTC):%Y-%m-%d %H:%M}" for t in (times[0], times[-1])]


def test_who_carries_an_order_is_not_who_placed_it(tmp_path: Path) -> None:
    rows = "".join(f"{n},b{n % 5}@x.org,s{n % 4},UPS\n" for n in range(20))
    data, _ = one_file(tmp_path, f"amazon-order-id,buyer-email,sku,carrier\n{rows}")
    assert users(data) == {f"b{n}@x.org" for n in range(5)}


def test_carriers_alone_are_users_and_told(tmp_path: Path) -> None:
    rows = "".join(f"{n},s{n % 4},c{n % 3}\n" for n in range(20))
    data, found = one_file(tmp_path, f"order,sku,carrier\n{rows}")
    assert users(data) == {"c0", "c1", "c2"}
    assert any("'carrier'" in f.why and "brings what others ordered" in f.why for f in found)


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [("reversal_ind", "Y", "N"), ("Void?", "true", "false"), ("cancel_flag", "1", "0")],
)
def test_what_was_reverted_says_no(tmp_path: Path, name: str, yes: str, no: str) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{no if n % 4 else yes}\n" for n in range(40))
    data, _ = one_file(tmp_path, f"user,item,{name}\n{rows}")
    assert kinds(data) == {"cancel": 10, "event": 30}


def test_an_offer_that_timed_out_says_nothing(tmp_path: Path) -> None:
    said = ("Accepted", "Rejected", "Accepted", "Timed out", "Accepted")
    rows = "".join(f"D{n % 6},L{n % 7},{said[n % 5]}\n" for n in range(40))
    data, _ = one_file(tmp_path, f"Driver,Load ID,Response\n{rows}")
    signs = data.interactions.acts()["sign"].to_list()
    assert (signs.count(1), signs.count(-1), signs.count(0)) == (24, 8, 8)


def test_states_by_number_are_told(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{(1, 2, 4, 6)[n // 5 % 4]}\n" for n in range(40))
    _, found = one_file(tmp_path, f"user,item,order_status\n{rows}")
    assert any("'order_status'" in f.why and "holds numbers" in f.why for f in found)


@pytest.mark.parametrize(
    ("name", "form", "first"),
    [
        ("Bestellt am", "Mo, {d:02d}.04.24 12:30 Uhr", "2024-04-01 12:30"),
        ("Sale Date", "Mar-{d:02d}-24", "2024-03-01 00:00"),
        ("購入日", "令和6年3月{d}日", "2024-03-01 00:00"),
        ("購入日", "R6.03.{d:02d}", "2024-03-01 00:00"),
        ("購入日時", "2024/03/{d:02d}(木) 12:30", "2024-03-01 12:30"),
        ("transact_time", "202403{d:02d};093000", "2024-03-01 09:30"),
    ],
)
def test_dates_in_these_words_are_read(tmp_path: Path, name: str, form: str, first: str) -> None:
    rows = "".join(f"u{n % 5}\tx{n % 7}\t{form.format(d=n % 28 + 1)}\n" for n in range(40))
    data, _ = one_file(tmp_path, f"user\titem\t{name}\n{rows}", "orders.tsv")
    assert days(data) == [first, first.replace("-01 ", "-28 ")]


def test_days_without_a_month_are_no_times(tmp_path: Path) -> None:
    names, d = "username,anime_id,my_start_date,my_finish_date,my_last_updated", "0000-00-00"
    rows = "".join(
        f"u{n % 5},x{n % 7},{d},{'2014-00-00' if n % 3 else '2014-05-01'},{1390000000 + n}\n"
        for n in range(40)
    )
    data, _ = one_file(tmp_path, f"{names}\n{rows}")
    assert days(data) == ["2014-01-17 23:06", "2014-01-17 23:07"]


def test_two_orders_of_one_moment_are_two(tmp_path: Path) -> None:
    """Magento: the id of an order is `entity_id`, and its lines have an `item_id` of their own."""
    orders = "".join(
        f"{n},{'canceled' if n % 4 == 0 else 'complete'},{20 + n % 5},2024-05-{n:02d}\n"
        for n in range(1, 21)
    )
    lines = "".join(f"{500 + n},{n},{70 + n % 4},2024-05-{n:02d}\n" for n in range(20, 0, -1))
    (tmp_path / "sales_order.csv").write_text(f"entity_id,status,customer_id,created_at\n{orders}")
    (tmp_path / "sales_order_item.csv").write_text(
        f"item_id,order_id,product_id,created_at\n{lines}"
    )
    data, report = read_clean(tmp_path)
    assert any("'order_id' and 'entity_id'" in f.why for f in report.findings)
    assert set(data.interactions.frame["item_id"]) == {"70", "71", "72", "73"}
    assert data.interactions.acts()["sign"].to_list().count(-1) == 5


def test_bots_that_sign_as_bots_are_no_users(tmp_path: Path) -> None:
    events = [
        {
            "type": "WatchEvent",
            "actor": {"id": n % 5, "login": f"dev{n % 5}" if n % 5 else "dependabot[bot]"},
            "repo": {"id": 80 + n % 7, "name": f"org/r{n % 7}"},
        }
        for n in range(40)
    ]
    lines = "\n".join(map(json.dumps, events))
    data, found = one_file(tmp_path, lines, "events.jsonl")
    assert users(data) == {"1", "2", "3", "4"}
    assert told(found, "no_acts") == [8]


@pytest.mark.parametrize(
    ("name", "yes", "no"), [("is_bot", "true", "false"), ("Supplemental Video Type", "TRAILER", "")]
)
def test_rows_of_programs_and_trailers_are_left_out(
    tmp_path: Path, name: str, yes: str, no: str
) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{no if n % 4 else yes}\n" for n in range(40))
    data, found = one_file(tmp_path, f"Profile Name,Title,{name}\n{rows}")
    assert len(data.interactions.frame) == 30 and told(found, "no_acts") == [10]


def test_a_table_of_trailers_alone_is_kept(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},TEASER\n" for n in range(40))
    data, _ = one_file(tmp_path, f"user,title,trailer_type\n{rows}")
    assert len(data.interactions.frame) == 40


@pytest.mark.parametrize(
    "names",
    [
        "고객번호,상품,출발지,도착지",
        "Rider,Product,From,Destination",
    ],
)
def test_a_class_of_service_beside_where_users_went_is_told(tmp_path: Path, names: str) -> None:
    rows = "".join(f"u{n % 5},{('Std', 'Deluxe')[n % 2]},A,{'BCD'[n % 3]}\n" for n in range(40))
    _, found = one_file(tmp_path, f"{names}\n{rows}")
    goal = names.split(",")[-1]
    assert any(f"{goal!r} may name what users chose, too" in f.why for f in found)


@pytest.mark.parametrize(
    ("name", "no", "kind"),
    [("Was this helpful?", "No", "dislike"), ("retracted", "Yes", "retract")],
)
def test_answers_and_retractions_say_no(tmp_path: Path, name: str, no: str, kind: str) -> None:
    other = {"No": "Yes", "Yes": "No"}[no]
    rows = "".join(f"u{n % 5},x{n % 7},{other if n % 4 else no}\n" for n in range(40))
    data, _ = one_file(tmp_path, f"user,item,{name}\n{rows}")
    assert kinds(data)[kind] == 10
    assert data.interactions.acts()["sign"].to_list().count(-1) == 10


@pytest.mark.parametrize(
    ("done", "undone"),
    [
        ("Выкуплен", "Не выкуплен"),
        ("Fulfilled", "Not fulfilled"),
        ("核销", "未核销"),
    ],
)
def test_a_state_that_negates_another_says_nothing(tmp_path: Path, done: str, undone: str) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{done if n % 4 else undone}\n" for n in range(40))
    data, _ = one_file(tmp_path, f"user,item,status\n{rows}")
    assert data.interactions.acts()["sign"].to_list().count(0) == 10

"""Tables in which several rows are one act, or one row is several: the states of an order, the
changes of a cart, orders of several products among views of one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data.exports import one_file
from metarec.data.cleaning import read_clean

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")

BOUGHT = [(u, i) for u in range(6) for i in range(u % 3, 7, 2)]


def log_of_states(states: Sequence[str], last: str) -> str:
    rows = [
        f"o{n},u{u},x{i},{state},2024-0{month + 1}-{n + 1:02d}\n"
        for month, state in enumerate(states)
        for n, (u, i) in enumerate(BOUGHT)
    ]
    rows += [f"o{n},u{u},x{i},{last},2024-07-01\n" for n, (u, i) in enumerate(BOUGHT) if n % 4 == 0]
    return "order_id,customer,product_id,status,changed_at\n" + "".join(rows)


def test_an_order_counts_once_however_many_states_it_had(tmp_path: Path) -> None:
    text = log_of_states(["placed", "paid", "shipped"], "delivered")
    data, found = one_file(tmp_path, text)
    frame = data.interactions.frame
    assert frame.height == len(BOUGHT)
    placed = datetime.fromtimestamp(float(str(frame["timestamp"].max())), UTC)
    assert (placed.month, placed.day) == (1, 20)
    assert {*data.interactions.acts()["sign"]} == {1}
    assert [f.rule for f in found].count("states") == 1


def test_an_order_whose_last_state_refuses_it_is_refused_then(tmp_path: Path) -> None:
    data, _ = one_file(tmp_path, log_of_states(["placed", "paid"], "cancelled"))
    frame, signs = data.interactions.frame, data.interactions.acts()["sign"]
    assert frame.height == len(BOUGHT)
    assert int((signs < 0).sum()) == sum(n % 4 == 0 for n in range(len(BOUGHT)))
    assert frame.filter(signs < 0)["timestamp"].min() > frame.filter(signs > 0)["timestamp"].max()


def test_logs_of_states_in_german_count_an_order_once(tmp_path: Path) -> None:
    rows = [
        f"B{n};u{u};x{i};{state};{n + 1:02d}.03.2024 1{hour}:00\n"
        for hour, state in enumerate(["angelegt", "bezahlt", "geliefert"])
        for n, (u, i) in enumerate(BOUGHT)
    ]
    rows += [f"C{n};u{n};x{n};angelegt;01.04.2024 0{n}:00\n" for n in range(4)]
    rows += [f"C{n};u{n};x{n};storniert;02.04.2024 0{n}:00\n" for n in range(4)]
    names = "Bestellnummer;Kundennummer;Artikelnummer;Status;Geändert am\n"
    data, _ = one_file(tmp_path, names + "".join(rows))
    assert data.interactions.frame.height == len(BOUGHT) + 4
    assert int((data.interactions.acts()["sign"] < 0).sum()) == 4


def test_lines_of_an_order_of_one_state_stay_rows_of_their_own(tmp_path: Path) -> None:
    rows = [f"o{n // 3},u{n // 3 % 5},x{n % 7},{('paid', 'sent')[n // 3 % 2]}" for n in range(42)]
    text = "order_id,customer,product_id,status,ordered_at\n"
    text += "".join(f"{row},2024-03-0{1 + n % 9}\n" for n, row in enumerate(rows))
    data, found = one_file(tmp_path, text)
    assert data.interactions.frame.height == 42
    assert all(f.rule != "states" for f in found)


def test_a_cart_in_which_the_number_becomes_0_is_emptied(tmp_path: Path) -> None:
    rows = [f"u{u},x{i},cart_update,1,2024-03-01\n" for u, i in BOUGHT]
    rows += [f"u{u},x{i},cart_update,0,2024-03-02\n" for n, (u, i) in enumerate(BOUGHT) if n % 3]
    data, found = one_file(tmp_path, "user,item,event,quantity,time\n" + "".join(rows))
    kinds = dict(data.interactions.frame["kind"].value_counts().iter_rows())
    assert kinds == {"cart": 7, "remove_from_cart": 13}  # what was put in is gone with it
    assert any("taken out of the cart" in f.why for f in found)


@pytest.mark.parametrize("written", [str, int])
def test_orders_of_several_products_among_views_of_one_are_read(
    tmp_path: Path, written: Callable[[int], object]
) -> None:
    events = [{"user": f"u{u}", "event": "view", "product_id": written(i)} for u, i in BOUGHT]
    pairs = [[{"product_id": str(u)}, {"product_id": "6"}] for u in range(6)]
    orders = [
        {"user": f"u{u}", "event": "Order Completed", "products": pair}
        for u, pair in enumerate(pairs)
    ]
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(map(json.dumps, [*events, *orders])))
    data, _ = read_clean(path)
    frame = data.interactions.frame
    bought = frame.filter(frame["kind"] == "Order Completed").select("user_id", "item_id").rows()
    assert sorted(bought) == sorted((f"u{u}", str(i)) for u in range(6) for i in (u, 6))


def test_a_no_to_an_invitation_says_no(tmp_path: Path) -> None:
    answers = ["yes", "no", "waitlist"]
    rows = "".join(f"u{u},m{i},{answers[(u + i) % 3]}\n" for u, i in BOUGHT)
    data, _ = one_file(tmp_path, f"user,item,response\n{rows}")
    kinds = dict(data.interactions.frame["kind"].value_counts().iter_rows())
    assert kinds["decline"] == sum((u + i) % 3 == 1 for u, i in BOUGHT)
    rows = "".join(f"u{u},q{i},{answers[(u + i) % 2]}\n" for u, i in BOUGHT)
    data, _ = one_file(tmp_path, f"user,item,response\n{rows}")
    assert "decline" not in {*data.interactions.frame["kind"]}  # the answer to any question


def test_states_beside_ratings_refuse_orders_that_nobody_rated(tmp_path: Path) -> None:
    states = ["DELIVERED", "CANCELLED_BY_CUSTOMER", "PLACED"]
    rows = "".join(
        f"u{u},r{i},{states[(u + i) % 3]},{(u * i) % 5 + 1 if (u + i) % 3 == 0 else ''}\n"
        for u, i in BOUGHT
    )
    data, _ = one_file(tmp_path, f"user,item,status,rating\n{rows}")
    signs = data.interactions.acts()["sign"]
    assert int((signs < 0).sum()) == sum((u + i) % 3 == 1 for u, i in BOUGHT)
    assert data.interactions.acts()["rating"].is_not_null().sum() > 3

"""What programs that log events put around them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data.exports import one_file, titles, told
from metarec.data.cleaning import read_clean
from metarec.data.dataset import Dataset
from metarec.data.ingest import ingest

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")
NAMES = ["Product Viewed", "Product Added", "Order Completed"]


def of(n: int) -> dict[str, Any]:
    """What one of 35 events says of its item."""
    return {"product_id": f"x{n % 7}", "name": f"Item {n % 7}", "price": n % 7}


def as_lines(rows: list[dict[str, Any]]) -> str:
    return "\n".join(json.dumps(row) for row in rows)


def event(n: int) -> dict[str, Any]:
    return {"user_id": f"u{n % 5}", "event": NAMES[n % 3], "time": 1_700_000_000 + n}


def check(data: Dataset) -> None:
    assert len(data.interactions) == 35 and data.interactions.has_time
    assert set(data.interactions.frame["item_id"]) == {f"x{n}" for n in range(7)}
    assert titles(data)["x3"] == "Item 3"
    assert data.interactions.frame["kind"].n_unique() == 3


@pytest.mark.parametrize("name", ["properties", "event_properties", "payload"])
def test_fields_of_an_envelope_are_called_as_in_it(tmp_path: Path, name: str) -> None:
    rows = [{**event(n), name: of(n)} for n in range(35)]
    check(one_file(tmp_path, as_lines(rows), "e.jsonl")[0])
    ingest(tmp_path / "e.jsonl", tmp_path / "out")
    assert len(read_clean(tmp_path / "out")[0].interactions) == 35
    rows = [{"event": NAMES[n % 3], name: {**event(n), **of(n)}} for n in range(35)]
    check(one_file(tmp_path, as_lines(rows), "e.jsonl")[0])


def test_objects_in_texts_of_json_are_objects(tmp_path: Path) -> None:
    cells = [json.dumps(of(n)).replace('"', '""') for n in range(35)]
    rows = "".join(f'u{n % 5},{NAMES[n % 3]},{1.7e9 + n:.0f},"{cells[n]}"\n' for n in range(35))
    check(one_file(tmp_path, f"user,event_type,time,properties\n{rows}")[0])
    logged = [{**event(n), **of(n), "event": '{"x": 1}', "name": NAMES[n % 3]} for n in range(35)]
    rows = [{**row, "event_type": row.pop("name")} for row in logged]
    data, _ = one_file(tmp_path, as_lines(rows), "e.jsonl")
    assert set(data.interactions.frame["kind"]) == set(NAMES)


def test_a_list_of_keys_and_values_is_columns(tmp_path: Path) -> None:
    for typed in (False, True):
        rows = [
            {
                **event(n),
                "event_params": [
                    {"key": k, "value": {"string_value": v, "int_value": None} if typed else v}
                    for k, v in {
                        "session": "1",
                        "item_id": f"x{n % 7}",
                        "item_name": f"Item {n % 7}",
                    }.items()
                ],
            }
            for n in range(35)
        ]
        check(one_file(tmp_path, as_lines(rows), "e.jsonl")[0])


def test_kinds_that_name_no_item_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [{**event(n), **of(n)} for n in range(35)]
    rows += [{**event(n), "event": "session_start"} for n in range(20)]
    data, found = one_file(tmp_path, as_lines(rows), "e.jsonl")
    check(data)
    assert told(found, "itemless_kinds") == [20]


def test_lines_of_the_bulk_format_are_no_events(tmp_path: Path) -> None:
    rows = [row for n in range(35) for row in ({"index": {"_index": "e", "_id": f"e{n}"}}, flat(n))]
    data, found = one_file(tmp_path, as_lines(rows), "events.jsonl")
    check(data)
    assert [f.rows for f in found if "bulk format" in f.why] == [35]
    ingest(tmp_path / "events.jsonl", tmp_path / "kept")
    check(read_clean(tmp_path / "kept")[0])
    plain = [{**flat(n), "index": {"place": n}} for n in range(35)]  # an object of an event's own
    data, found = one_file(tmp_path, as_lines(plain), "others.jsonl")
    check(data)
    assert not any("bulk format" in f.why for f in found)


def flat(n: int) -> dict[str, Any]:
    return {**event(n), **of(n)}


@pytest.mark.parametrize("item", ["ClickURL", "clicked_item", "clicked_product_id"])
def test_rows_of_a_query_log_without_a_click_are_searches(tmp_path: Path, item: str) -> None:
    rows = [(n % 5, n % 4, n % 7 if n % 3 else None) for n in range(35)]
    clicked = [(f"u{u}", f"red {q}", "" if i is None else f"http://x{i}.org") for u, q, i in rows]
    text = "".join(
        f"{u}\t{q}\t2006-03-0{n % 9 + 1} 08:15:00\t{i}\n" for n, (u, q, i) in enumerate(clicked)
    )
    data, found = one_file(tmp_path, f"AnonID\tQuery\tQueryTime\t{item}\n{text}", "log.tsv")
    assert len(data.interactions) == 23 and len(data.relations.searches) == 35
    assert set(data.relations.searches["query"]) == {f"red {n}" for n in range(4)}
    assert data.relations.searches["timestamp"].null_count() == 0
    assert [f.rows for f in found if "name no item hold queries" in f.why] == [12]


def test_a_search_event_beside_others_is_a_search(tmp_path: Path) -> None:
    rows = "".join(
        f"u{n % 5},search,,red {n % 3},{n}\nu{n % 5},view,x{n % 7},,{n}\n" for n in range(35)
    )
    data, _ = one_file(tmp_path, f"user_id,event,item_id,search_term,ts\n{rows}")
    assert {*data.interactions.frame["kind"]} == {"view"} and len(data.interactions) == 35
    assert len(data.relations.searches) == 35

"""Columns of lists beside the columns of events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.exports import one_file
from metarec.data.cleaning import read_clean
from metarec.data.dataset import Dataset
from metarec.data.errors import BadInput
from metarec.data.findings import Finding

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def test_a_list_of_words_beside_a_date_is_no_time(tmp_path: Path) -> None:
    records = [
        {
            "user_id": f"u{n % 5}",
            "item_id": f"x{n % 7}",
            "recordedDate": f"2024-03-{n % 28 + 1:02}",
            "labels": ["a", "b"][: n % 3],
        }
        for n in range(35)
    ]
    data, _ = one_file(tmp_path, "".join(json.dumps(r) + "\n" for r in records), "events.jsonl")
    assert len(data.interactions) == 35 and data.interactions.has_time


def test_an_allergy_says_no(tmp_path: Path) -> None:
    records = [
        {
            "resourceType": "AllergyIntolerance",
            "category": ["food"],
            "code": {"coding": [{"code": f"91{n % 7}", "display": f"Food {n % 7}"}]},
            "patient": {"reference": f"Patient/p{n % 5}"},
            "recordedDate": f"2024-03-{n % 28 + 1:02}",
        }
        for n in range(35)
    ]
    text = "".join(json.dumps(r) + "\n" for r in records)
    data, _ = one_file(tmp_path, text, "AllergyIntolerance.ndjson")
    assert data.interactions.acts()["sign"].to_list() == [-1] * 35
    data, _ = one_file(tmp_path, "patient,substance_id\n1,nut\n2,egg\n1,egg\n", "allergies.csv")
    assert data.interactions.acts()["sign"].to_list() == [-1] * 3


def test_returns_are_joined_by_keys_whose_names_end_alike(tmp_path: Path) -> None:
    orders = "".join(f"A{n},b{n % 5}@x.org,S{n % 7},1\n" for n in range(35))
    (tmp_path / "orders.csv").write_text(f"amazon-order-id,buyer-email,asin,quantity\n{orders}")
    back = "".join(f"A{n},S{n % 7},1\n" for n in range(0, 35, 3))
    (tmp_path / "returns.csv").write_text(f"order-id,asin,quantity\n{back}")
    data, report = read_clean(tmp_path)
    assert (data.interactions.acts()["sign"] < 0).sum() == 12
    assert any("were joined to those of orders.csv" in f.why for f in report.findings)


def test_a_log_of_changes_of_a_database_is_read_as_after_each_change(tmp_path: Path) -> None:
    changes = []
    for n in range(35):
        row = {"user_id": f"u{n % 5}", "product_id": f"x{n % 7}"}
        changes.append({"op": "c", "before": None, "after": row, "ts_ms": 1_709_280_000_000 + n})
        if n % 3 == 0:
            gone = {"op": "d", "before": row, "after": None, "ts_ms": 1_709_290_000_000 + n}
            changes.append(gone)
    data, report = read_clean_lines(tmp_path, changes)
    assert data.interactions.acts()["is_undo"].sum() == 12 and len(data.interactions) == 47
    assert any("a deletion takes the row back" in f.why for f in report)


def read_clean_lines(
    folder: Path, records: list[dict[str, object]]
) -> tuple[Dataset, list[Finding]]:
    text = "".join(json.dumps(record) + "\n" for record in records)
    return one_file(folder, text, "changes.jsonl")


def test_an_object_of_lists_by_user_is_refused_with_the_way_out(tmp_path: Path) -> None:
    users = {f"u{n}": {"liked": ["a", "b"], "disliked": [f"c{n}"]} for n in range(9)}
    with pytest.raises(BadInput, match="write a row for each"):
        one_file(tmp_path, json.dumps(users), "users.json")

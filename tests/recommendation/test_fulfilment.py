from __future__ import annotations

import pytest

from metarec.recommendation.fulfilment import fulfilled_items, fulfils, listed_items, refuses


@pytest.mark.parametrize("kind", ["enrol", "Complete", "submit", "certificate", "rating", "event"])
def test_what_is_taken_fulfils(kind: str) -> None:
    assert fulfils(kind)


@pytest.mark.parametrize("kind", ["view", "Viewed", "preview", "search", "wish_list", "浏览"])
def test_looking_fulfils_nothing(kind: str) -> None:
    assert not fulfils(kind)
    assert not refuses(kind)


@pytest.mark.parametrize(
    "kind", ["drop", "Dropped", "drop-out", "cancel", "cancelled", "UNENROLLED", "failed", "退课"]
)
def test_giving_up_fulfils_nothing(kind: str) -> None:
    assert not fulfils(kind)
    assert refuses(kind)


def test_the_latest_word_on_an_item_counts() -> None:
    enrolled, dropped = ("a", 1.0, "enrol"), ("a", 1.0, "drop")
    assert fulfilled_items([enrolled, dropped]) == []
    assert fulfilled_items([dropped, enrolled]) == ["a"]
    assert fulfilled_items([enrolled, ("a", 1.0, "view")]) == ["a"]
    assert fulfilled_items([("a", 0.0, "enrol"), ("b", None, "enrol"), ("c", 1.0)]) == ["b", "c"]


def test_a_policy_may_name_what_fulfils() -> None:
    history = [("a", 1.0, "enrol"), ("b", 1.0, "Complete"), ("c", 1.0, "complete")]
    assert fulfilled_items([*history, ("c", 1.0, "drop")], ("complete",)) == ["b"]


@pytest.mark.parametrize(
    ("cell", "ids"),
    [
        (None, []),
        (float("nan"), []),
        ("", []),
        ("a|b, c;d", ["a", "b", "c", "d"]),
        (["a", None, "b"], ["a", "b"]),
        ("['a', 'b']", ["a", "b"]),
        (101.0, ["101"]),
        (101, ["101"]),
    ],
)
def test_ids_in_a_cell(cell: object, ids: list[str]) -> None:
    assert listed_items(cell) == ids

from __future__ import annotations

import pytest

from metarec.data.domains import domain, pack_kinds
from metarec.data.schema import Vocabulary
from metarec.recommendation.policy.fulfillment import (
    fulfilled_items,
    fulfills,
    gives_up,
    listed_items,
    split_ids,
)

KINDS = pack_kinds(domain("education"))


@pytest.mark.parametrize("kind", ["enrol", "Complete", "submit", "certificate", "rating", "event"])
def test_what_is_taken_fulfills(kind: str) -> None:
    assert fulfills(kind, KINDS)


@pytest.mark.parametrize("kind", ["view", "Viewed", "preview", "search", "wish_list", "浏览"])
def test_looking_fulfills_nothing(kind: str) -> None:
    assert not fulfills(kind, KINDS)
    assert not gives_up(kind, KINDS)


@pytest.mark.parametrize(
    "kind",
    "drop Dropped drop-out cancel cancelled UNENROLLED failed Fail abandoned 退课".split(),
)
def test_giving_up_fulfills_nothing(kind: str) -> None:
    assert not fulfills(kind, KINDS)
    assert gives_up(kind, KINDS)


def test_the_latest_word_on_an_item_counts() -> None:
    enrolled, dropped = ("a", 1.0, "enrol"), ("a", 1.0, "drop")
    assert fulfilled_items([enrolled, dropped], KINDS) == []
    assert fulfilled_items([dropped, enrolled], KINDS) == ["a"]
    assert fulfilled_items([enrolled, ("a", 1.0, "view")], KINDS) == ["a"]
    assert fulfilled_items([("a", 0.0, "enrol"), ("b", None, "enrol"), ("c", 1.0)], KINDS) == [
        "b",
        "c",
    ]


def test_a_policy_may_name_what_fulfills() -> None:
    history = [("a", 1.0, "enrol"), ("b", 1.0, "Complete"), ("c", 1.0, "complete")]
    assert fulfilled_items([*history, ("c", 1.0, "drop")], KINDS, ("complete",)) == ["b"]


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


@pytest.mark.parametrize(
    ("cell", "ids"),
    [
        ("a & b", ["a", "b"]),
        ("a and b, c", ["a", "b", "c"]),
        ("a UND b+c", ["a", "b", "c"]),
        ("R & D", ["R & D"]),  # an item of that name
        ("a & x", ["a & x"]),  # told beside the slate
        ("a/b", ["a/b"]),  # either may do
        ("a or b", ["a or b"]),
        ("brand", ["brand"]),
    ],
)
def test_ids_that_one_cell_joins_are_parted_where_all_are_known(cell: str, ids: list[str]) -> None:
    assert split_ids(listed_items(cell), Vocabulary(["a", "b", "c", "R & D", "R", "D"])) == ids

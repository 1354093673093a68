from __future__ import annotations

import polars as pl

from metarec.data.domains import Exclusion, Policy, domain
from metarec.recommendation.policy import PolicyCheck
from metarec.recommendation.slate import Request

ITEMS = pl.DataFrame(
    {
        "item_id": ["algebra", "calculus", "analysis", "poetry"],
        "prerequisites": [None, "algebra", "algebra|calculus, unknown", ""],
        "allergens": [["Nuts"], ["milk", "egg"], [], None],
    }
)


def shown(policy: Policy, *requests: Request) -> list[list[str]]:
    allowed = PolicyCheck(policy, ITEMS).allowed(requests)
    return [[item for item, ok in zip(ITEMS["item_id"], row, strict=True) if ok] for row in allowed]


def test_prerequisites_and_no_repeats() -> None:
    policy = Policy(repeats_allowed=False, prerequisite_column="prerequisites")
    twice = Request(history=[("algebra", 1.0), ("calculus", 1.0), ("gone", 1.0)])
    assert shown(policy, Request(), Request(history=[("algebra", 1.0)]), twice) == [
        ["algebra", "poetry"],
        ["calculus", "poetry"],
        ["analysis", "poetry"],
    ]


def test_a_person_is_never_shown_what_they_must_avoid() -> None:
    policy = Policy(
        exclusions=(
            Exclusion(item_column="allergens", profile_attribute="allergies", why="contains it"),
        )
    )
    assert shown(
        policy,
        Request(profile={"allergies": "nuts, EGG"}),
        Request(profile={"allergies": ["milk"]}),
        Request(),
    ) == [
        ["analysis", "poetry"],
        ["algebra", "analysis", "poetry"],
        ["algebra", "calculus", "analysis", "poetry"],
    ]


def test_the_packs_work_on_a_catalog_without_their_columns() -> None:
    bare = pl.DataFrame({"item_id": ["a", "b"]})
    for name in ("education", "health", "e-commerce"):
        allowed = PolicyCheck(domain(name).policy, bare).allowed(
            [Request(history=[("a", 1.0)], profile={"allergies": "nuts"})]
        )
        assert allowed.tolist() == [[domain(name).policy.repeats_allowed, True]]

from __future__ import annotations

import time
from dataclasses import replace

import polars as pl
import pytest

from metarec.data.domains import Exclusion, Policy, domain
from metarec.data.schema import BadInput
from metarec.recommendation.policy.policy import PolicyCheck
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


def test_a_user_is_never_shown_what_they_must_avoid() -> None:
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


FOODS = pl.DataFrame(
    {
        "item_id": ["f0", "f1", "f2", "f3", "f4"],
        "Allergens": ["nuts", "milk", None, "none", "nuts/egg"],
        "sodium_mg": [900, 700, None, 1000, 100],
        "sugar_g": ["5 g", "50 g", "60", "0", ""],
        "in_stock": ["yes", "0", "no", None, "backorder"],
    }
)
HEALTH = domain("health").policy


def foods(policy: Policy, *requests: Request, users: pl.DataFrame | None = None) -> list[list[str]]:
    allowed = PolicyCheck(policy, FOODS, users).allowed(requests)
    return [[item for item, ok in zip(FOODS["item_id"], row, strict=True) if ok] for row in allowed]


def test_a_column_is_found_in_any_spelling_and_a_part_of_a_tag_counts() -> None:
    assert foods(HEALTH, Request(profile={"Allergies": "NUTS"})) == [["f1", "f2", "f3"]]
    assert foods(HEALTH, Request(profile={"allergies": "egg"})) == [["f0", "f1", "f2", "f3"]]
    assert foods(HEALTH, Request(profile={"allergies": "none"})) == [FOODS["item_id"].to_list()]


@pytest.mark.parametrize("stated", ["nut", "Nutss", "nuts "])
def test_a_near_value_hides_to_be_safe_and_is_named(stated: str) -> None:
    request = Request(profile={"allergies": stated})
    assert foods(HEALTH, request) == [["f1", "f2", "f3"]]
    said = "\n".join(PolicyCheck(HEALTH, FOODS).notes(request, [1]))
    assert ("did you mean 'nuts'" in said) is (stated.strip() != "nuts")


CELLS = ["nuts", "Nut", "nuts and milk", "contains nuts", "nuts (almond)", "ＮＵＴＳ"]
CELLS += ["nuts\tmilk"]
CELLS += [
    "含坚果",
    "坚果、牛奶",
    "坚果，牛奶",
    "cre\u0301me",
    "in France",
    "type 2 diabetes",
    "peanut",
]
CELLS += ["6.1"]


@pytest.mark.parametrize(
    ("stated", "hidden"),
    [
        ("nuts", CELLS[:7]),
        ("NUT", CELLS[:7]),
        ("severe nut allergy", CELLS[:7]),
        ("坚果", CELLS[7:10]),
        ("对牛奶过敏，坚果", CELLS[7:10]),
        ("cr\u00e9me", CELLS[10:11]),
        ("IN", []),
        ("diabetes", CELLS[12:13]),
        ("6", []),
    ],
)
def test_a_value_hides_what_names_it_among_other_words(stated: str, hidden: list[str]) -> None:
    items = pl.DataFrame({"item_id": CELLS, "allergens": CELLS})
    check = PolicyCheck(HEALTH, items)
    (row,) = check.allowed([Request(profile={"allergies": stated})])
    assert [cell for cell, ok in zip(CELLS, row, strict=True) if not ok] == hidden


@pytest.mark.parametrize("stated", ["US", "usa", "United States", "U.S.", "美国"])
def test_a_country_is_known_by_all_its_codes_and_names(stated: str) -> None:
    barred = ["US", "USA|FR", "United States", "美国、日本", "DE", "Mexico", None]
    funds = pl.DataFrame({"item_id": list("abcdefg"), "barred_countries": barred})
    users = pl.DataFrame({"user_id": ["u"], "country": [stated], "risk_profile": ["balanced"]})
    check = PolicyCheck(domain("finance").policy, funds, users)
    request = Request(profile={"country": stated, "risk_profile": "balanced"})
    assert check.allowed([request]).tolist() == [[False] * 4 + [True] * 3]


@pytest.mark.parametrize(
    ("profile", "context"),
    [
        ({"allergies": "egg", "Allergies": "nuts"}, {}),
        ({"Allergies": ["nuts"], "allergies": ""}, {}),
        ({"allergies": None}, {"ALLERGIES": "nuts"}),
    ],
)
def test_no_spelling_of_an_attribute_hides_another(
    profile: dict[str, object], context: dict[str, object]
) -> None:
    assert "f0" not in foods(HEALTH, Request(profile=profile, context=context))[0]
    assert (
        "f0"
        in foods(HEALTH, Request(profile={"allergies": "egg"}, context={"Allergies": "nuts"}))[0]
    )


def test_what_else_a_value_hides_is_told() -> None:
    items = pl.DataFrame({"item_id": ["a", "b"], "allergens": ["nuts", "tree nuts"]})
    said = PolicyCheck(HEALTH, items).notes(Request(profile={"allergies": "nuts"}), [])
    assert said[-1] == (
        "not shown either, to be safe, for 'nuts' (allergies): items whose 'allergens' says "
        "'tree nuts'"
    )


@pytest.mark.parametrize(
    ("rule", "cells", "profile", "shown"),
    [
        ("x = true when minor = true", ["Yes", 1, "ja", "no", "0"], {"minor": "y"}, ["no", "0"]),
        ("x = 1 when minor = 1", [True, False], {"minor": "yes"}, [False]),
        ("x = f when y = f", ["f", "no", "m"], {"y": "F"}, ["no", "m"]),
        ("x = meat when faith = Hindu", ["Meats", "meat or fish", "fish"], {"faith": "hindus"}, 1),
        ("x != meat when faith = Hindu", ["meats", "meat", "fish"], {"faith": "hindu"}, ["meat"]),
        ("x_mg > 800 when s > 140", ["1.2 g", "0.5 g", "900 mg"], {"s": 150}, ["0.5 g"]),
        ("x > 800 when s > 140", ["1.2 g", "0.5 g", "9 mg", "8 mg"], {"s": 1e3}, 3),
        ("x = US when lives = germany", ["USA", "美国", "FR"], {"lives": "DE"}, ["FR"]),
        ("x_t > user.capacity_t", [5, 8], {"capacity_t": "7500 kg"}, [5]),
        ("x_t > user.capacity_kg", [5, 8], {"capacity_kg": 7500}, [5]),
        ("x_t > user.capacity", [5, 8], {"capacity": "7500 kg"}, [5]),
    ],
)
def test_rules_understand_units_and_other_words(
    rule: str, cells: list[object], profile: dict[str, object], shown: list[object] | int
) -> None:
    items = pl.DataFrame({"item_id": [str(n) for n in range(len(cells))]}).with_columns(
        pl.Series(rule.split()[0], cells, strict=False)
        if len({type(cell) for cell in cells}) == 1
        else pl.Series(rule.split()[0], map(str, cells))
    )
    (row,) = PolicyCheck(Policy(rules=(rule,)), items).allowed([Request(profile=profile)])
    kept = [cell for cell, ok in zip(cells, row, strict=True) if ok]
    assert (kept if isinstance(shown, list) else len(kept)) == shown


@pytest.mark.parametrize(
    "cell",
    ["0 pieces left", "No stock", "Sold out!", "nicht verfügbar", "https://schema.org/OutOfStock"]
    + ["SoldOut", "rupture de stock", "暂时缺货", "已下架"]
    + ["currently unavailable", "нет", "-2"],
)
def test_words_for_what_cannot_be_had(cell: str) -> None:
    items = pl.DataFrame({"item_id": ["a", "b", "c"], "x": [cell, "InStock", "on request"]})
    check = PolicyCheck(Policy(available="x"), items)
    assert check.allowed([Request()]).tolist() == [[False, True, True]]
    assert check.notes(Request(), [1, 2]) == ["not checked, because 'x' cannot be read: c"]


def test_nothing_is_left_where_a_list_of_places_is_empty() -> None:
    items = pl.DataFrame({"item_id": ["a", "b"], "x": [[], ["Berlin"]]})
    allowed = PolicyCheck(Policy(available="x"), items).allowed([Request()])
    assert allowed.tolist() == [[False, True]]


def test_a_value_that_users_know_is_no_misspelling() -> None:
    funds = pl.DataFrame({"item_id": ["a", "b"], "barred_countries": ["US|FR", None]})
    users = pl.DataFrame({"user_id": ["u"], "country": ["UK"], "risk_profile": ["balanced"]})
    check = PolicyCheck(domain("finance").policy, funds, users)
    request = Request(profile={"country": "UK", "risk_profile": "balanced"})
    assert check.allowed([request]).all()
    assert not [note for note in check.notes(request, [0]) if "UK" in note or "uk" in note]


def test_rules_compare_items_and_users() -> None:
    policy = Policy(
        rules=(
            "sodium_mg > 800 when systolic > 140",
            "sugar_g >= 50 when hba1c >= 6.5 and smoker = false",
        )
    )
    assert foods(
        policy,
        Request(profile={"systolic": 150}),
        Request(profile={"systolic": "141 mmHg"}),
        Request(profile={"systolic": 140}),
        Request(profile={"hba1c": 7, "smoker": False}),
        Request(profile={"hba1c": 7, "smoker": True}),
        Request(profile={"hba1c": 7}),
    ) == [
        ["f1", "f2", "f4"],
        ["f1", "f2", "f4"],
        ["f0", "f1", "f2", "f3", "f4"],
        ["f0", "f3", "f4"],
        ["f0", "f1", "f2", "f3", "f4"],
        ["f0", "f1", "f2", "f3", "f4"],
    ]
    check = PolicyCheck(policy, FOODS)
    said = check.notes(Request(profile={"systolic": 150}), [1, 2])
    assert said == [
        "not checked, because it was not stated of this user: hba1c, smoker",
        "not checked, because 'sodium_mg' is empty: f2",
    ]
    assert "systolic = 'high' is no number" in "\n".join(
        check.notes(Request(profile={"systolic": "high"}), [])
    )


def test_what_cannot_be_had_is_not_shown() -> None:
    policy = Policy(available="in stock")
    assert foods(policy, Request()) == [["f0", "f3", "f4"]]
    assert PolicyCheck(policy, FOODS).notes(Request(), [0, 3]) == [
        "not checked, because 'in stock' is empty: f3"
    ]
    for cells in (
        [True, False],
        [1, 0],
        [3.0, -1.0],
        ["TRUE", "Out_of_Stock"],
        ["3", "0.00"],
        [None, "缺货"],
    ):
        items = pl.DataFrame({"item_id": ["a", "b"], "in_stock": cells})
        allowed = PolicyCheck(Policy(available="in_stock"), items).allowed([Request()])
        assert allowed.tolist() == [[True, False]], cells


def test_unknown_suitability_hides_what_is_unsuitable_for_anybody() -> None:
    funds = pl.DataFrame(
        {"item_id": ["a", "b", "c"], "unsuitable_for": ["conservative", None, "balanced"]}
    )
    users = pl.DataFrame({"user_id": ["u", "v"], "risk_profile": ["conservative", "aggressive"]})
    check = PolicyCheck(domain("finance").policy, funds, users)
    stated = [None, "unknown", "agressive", "moderate", "aggressive", "balanced"]
    requests = [Request(profile={} if s is None else {"risk_profile": s}) for s in stated]
    assert check.allowed(requests).tolist() == [
        [False, True, False],
        [False, True, False],
        [False, True, False],
        [False, True, False],
        [True, True, True],
        [True, True, False],
    ]
    said = check.notes(requests[0], [1])
    assert any("'risk_profile' is not known of this user" in note for note in said)
    assert not any("'risk_profile' is not known" in n for n in check.notes(requests[4], [1]))


def test_a_dropped_course_fulfills_nothing() -> None:
    policy = domain("education").policy
    passed = Request(history=[("algebra", 1.0, "complete")])
    dropped = Request(history=[("algebra", 1.0, "enrol"), ("algebra", 1.0, "drop")])
    looked = Request(history=[("algebra", 1.0, "view")])
    assert shown(policy, passed, dropped, looked) == [
        ["calculus", "poetry"],
        ["poetry"],
        ["poetry"],
    ]
    only = replace(policy, fulfilled_by=("complete",))
    assert shown(only, Request(history=[("algebra", 1.0, "enrol")]), passed) == [
        ["poetry"],
        ["calculus", "poetry"],
    ]


def test_prerequisites_read_as_numbers_are_ids_still() -> None:
    items = pl.DataFrame({"item_id": ["101", "102"], "prerequisites": [None, 101.0]})
    check = PolicyCheck(Policy(prerequisite_column="prerequisites"), items)
    both = check.allowed([Request(), Request(history=[("101", 1.0)])])
    assert both.tolist() == [[True, False], [True, True]]


def test_a_prerequisite_that_is_not_listed_is_named() -> None:
    check = PolicyCheck(Policy(prerequisite_column="prerequisites"), ITEMS)
    taken = Request(history=[("algebra", 1.0), ("calculus", 1.0)])
    assert check.notes(taken, [2]) == [
        "prerequisites that the catalog does not list were not asked for: unknown"
    ]


def test_what_could_not_be_checked_is_noted() -> None:
    check = PolicyCheck(HEALTH, FOODS)
    said = check.notes(Request(), [0, 1])
    assert said == [
        "the policy could not be checked in full: the catalog has no column 'contraindications', "
        "'interacts_with'",
        "not checked, because it was not stated of this user: allergies",
    ]
    stated = check.notes(Request(profile={"allergies": "milk"}), [0, 2, 3])
    assert stated[1:] == ["not checked, because 'allergens' is empty: f2"]


@pytest.mark.parametrize("name", ["alergies", "allergy", "Alergias", "condition"])
def test_a_misspelled_attribute_is_refused_with_the_nearest_known(name: str) -> None:
    check = PolicyCheck(HEALTH, FOODS)
    with pytest.raises(BadInput, match=f"attribute '{name}' is not known; did you mean '"):
        check.refuse_misspelled({name: "nuts"})
    assert check.odd_attributes({name: "nuts"}, reads_any=True)


def test_other_unknown_attributes_are_named_only() -> None:
    users = pl.DataFrame({"user_id": ["u"], "age": [1], "condition": ["x"]})
    check = PolicyCheck(HEALTH, FOODS, users)
    check.refuse_misspelled({"color": "red", "age": 3, "condition": "y", "过敏": "x"})
    assert check.odd_attributes({"color": "red", "age": 3, "condition": "y"}) == [
        "attribute 'color' is not known"
    ]
    assert check.odd_attributes({"color": "red"}, reads_any=True) == []


def test_reasons_say_why_an_item_is_not_shown() -> None:
    check = PolicyCheck(HEALTH, FOODS)
    request = Request(profile={"allergies": "nuts"})
    assert check.reasons(request, "f0") == ["contains something the user is allergic to"]
    assert check.reasons(request, "f1") == check.reasons(request, "gone") == []
    course = PolicyCheck(domain("education").policy, ITEMS)
    assert course.reasons(Request(history=[("algebra", 1.0)]), "analysis") == [
        "calculus must come first"
    ]
    assert course.reasons(Request(history=[("algebra", 1.0)]), "algebra") == ["it was seen before"]
    assert PolicyCheck(Policy(available="in_stock"), FOODS).reasons(Request(), "f1") == [
        "its 'in_stock' says no"
    ]


def test_a_flood_of_values_is_answered_as_fast_as_one() -> None:
    flood = "nuts," + ",".join(f"nutz{n}" for n in range(3000)) + "," + "n" * 9000
    request = Request(profile={"allergies": flood})
    started = time.process_time()
    assert foods(HEALTH, request) == [["f1", "f2", "f3"]]
    assert len(PolicyCheck(HEALTH, FOODS).notes(request, [1])) < 15
    assert time.process_time() - started < 1.0


def test_prerequisites_joined_by_and_are_all_asked_for() -> None:
    items = pl.DataFrame({"item_id": ["a", "b", "c"], "prerequisites": [None, None, "a & b"]})
    check = PolicyCheck(Policy(prerequisite_column="prerequisites"), items)
    one, both = Request(history=[("a", 1.0)]), Request(history=[("a", 1.0), ("b", 1.0)])
    assert check.allowed([one, both])[:, 2].tolist() == [False, True]
    assert check.notes(one, [0]) == []


SALT = Policy(rules=("sodium > 800 when systolic > 140",))


@pytest.mark.parametrize(
    ("cells", "hidden"),
    [
        (["1.200 mg", "300 mg", "0,5 g"], ["a"]),  # a dot of thousands or a decimal point
        (["1.200 mg", "1.5 g", "300 mg"], ["a", "b"]),  # a program would write 1.2 beside 1.5
        (["1.275 mg", "1.5 g", "300 mg"], ["b"]),
        (["1.200 mg", "0.250 mg", "1,200 mg"], ["c"]),
        (["1200.250 mg", "1.200 mg", "0,900 g"], ["a"]),
    ],
)
def test_a_dot_that_may_part_thousands_lets_nothing_pass(
    cells: list[str], hidden: list[str]
) -> None:
    items = pl.DataFrame({"item_id": ["a", "b", "c"], "sodium": cells})
    check = PolicyCheck(SALT, items)
    may = check.allowed([Request(profile={"systolic": 150})])[0]
    assert [one for one, is_shown in zip("abc", may, strict=True) if not is_shown] == hidden


def test_what_a_user_states_with_a_dot_before_three_digits_is_told() -> None:
    items = pl.DataFrame({"item_id": ["a", "b"], "weight_kg": [900.0, 1500.0]})
    check = PolicyCheck(Policy(rules=("weight_kg > user.capacity_kg",)), items)
    assert check.notes(Request(profile={"capacity_kg": "1.200"}), [0]) == [
        "capacity_kg = '1.200' was read with a decimal point; where its dot parts thousands, "
        "write it without"
    ]
    assert check.notes(Request(profile={"capacity_kg": "1.25"}), [0]) == []

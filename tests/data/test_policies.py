"""Where a policy comes from: a domain named in the file or beside it, and the file's own table."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from metarec.data.cleaning import check, read_clean
from metarec.data.dataset import Dataset
from metarec.data.domains import DEFAULT_POLICY, Exclusion, Policy, domain
from metarec.data.policies import column_of, own_policy, policy_lines
from metarec.data.policy_facts import facts_lines, policy_facts
from metarec.data.policy_rules import read_rule
from metarec.data.policy_values import number_of, tags_of
from metarec.data.read import read
from metarec.data.schema import BadInput, DataWarning
from policy_worlds import write_world


def own(folder: Path, text: str) -> Path:
    """The world with a `[policy]` of its own."""
    file = folder / "metarec.toml"
    file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["health", "finance", "education"])
def test_a_domain_applies_wherever_it_is_named(tmp_path: Path, name: str) -> None:
    folder = write_world(tmp_path / name, name)
    pack = domain(name).policy
    assert pack.domain == name
    assert read(folder).policy == pack
    assert read(folder, domain=name).policy == pack
    assert read_clean(folder)[0].policy == pack
    (folder / "metarec.toml").unlink()
    data = read(folder, domain=name)  # whose column names it understands, too
    assert data.policy == pack
    assert len(data.interactions) == 720


def test_without_a_domain_seen_items_are_not_shown_again() -> None:
    data = Dataset(interactions=pl.DataFrame({"user_id": ["u"], "item_id": ["a"]}))
    assert data.policy is None
    facts = policy_facts(data)
    assert facts["policy"]["repeats_allowed"] is False
    assert "if users often take what they had taken before" in facts["words"][1]  # as fit finds
    assert policy_facts(data, DEFAULT_POLICY)["words"][1] == "seen items are not shown again"
    assert DEFAULT_POLICY == Policy(repeats_allowed=False)


def test_the_policy_stays_with_data_that_are_cut(tmp_path: Path) -> None:
    data = read(write_world(tmp_path, "health"))
    assert data.with_interactions(data.interactions.frame.head(9)).policy == data.policy


def test_file_and_flag_may_not_contradict_each_other(tmp_path: Path) -> None:
    folder = write_world(tmp_path, "health")
    with pytest.raises(BadInput, match="domain = 'health', but 'education' was asked for"):
        read(folder, domain="education")


def test_a_policy_of_a_source_is_not_lost(tmp_path: Path) -> None:
    write_world(tmp_path / "inner", "health")
    outer = tmp_path / "all.toml"
    outer.write_text('[[sources]]\npath = "inner"\n', encoding="utf-8")
    assert read(outer).policy == domain("health").policy
    outer.write_text('domain = "finance"\n[[sources]]\npath = "inner"\n', encoding="utf-8")
    with pytest.raises(BadInput, match="different policies"):
        read(outer)


def test_an_own_policy_goes_over_that_of_the_pack(tmp_path: Path) -> None:
    folder = own(
        write_world(tmp_path, "health"),
        """
[policy]
repeats_allowed = false
available = "in_stock"
notice = "Ask us."
fulfilled_by = ["complete"]
rules = ["sodium_mg > 800 when systolic > 140"]
[[policy.exclusions]]
item_column = "allergens"
profile_attribute = "allergies"
unknown = "hide"
[[policy.exclusions]]
item_column = "diet"
profile_attribute = "diets_avoided"
""",
    )
    found, pack = read(folder).policy, domain("health").policy
    assert found is not None
    assert (found.repeats_allowed, found.available, found.notice) == (False, "in_stock", "Ask us.")
    assert found.fulfilled_by == ("complete",)
    assert found.rules == ("sodium_mg > 800 when systolic > 140",)
    assert found.exclusions[:2] == pack.exclusions[1:]  # added to, and not forgotten
    assert [(e.item_column, e.unknown) for e in found.exclusions[2:]] == [
        ("allergens", "hide"),
        ("diet", "note"),
    ]


def test_an_own_policy_needs_no_domain(tmp_path: Path) -> None:
    folder = write_world(tmp_path, "health")
    text = (folder / "metarec.toml").read_text(encoding="utf-8")
    mapped = text.replace('domain = "health"\n', "").replace(
        "[[sources]]",
        "[policy]\nrepeats_allowed = true\n[[sources]]\n"
        'columns = { user_id = "patient_id", item_id = "recipe_id" }\n'
        'item_columns = { item_id = "recipe_id" }\nuser_columns = { user_id = "patient_id" }',
    )
    (folder / "metarec.toml").write_text(mapped, encoding="utf-8")
    assert read(folder).policy == Policy(repeats_allowed=True)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"repeat_allowed": True}, "did you mean 'repeats_allowed'"),
        ({"repeats_allowed": "yes"}, "repeats_allowed must be true or false, got 'yes'"),
        ({"available": ["a"]}, "available must be a text"),
        ({"rules": [3]}, "rules must be a list of texts, got 3"),
        ({"rules": ["sodium_mg > 800"]}, "exactly one `when` is expected, found none"),
        ({"exclusions": [{"item_column": "a"}]}, "needs profile_attribute"),
        ({"exclusions": [{"item_columns": "a"}]}, "did you mean 'item_column'"),
        ({"exclusions": ["nuts"]}, "an exclusion is a table"),
        (
            {"exclusions": [{"item_column": "a", "profile_attribute": "b", "unknown": "skip"}]},
            "unknown must be 'note' or 'hide', got 'skip'",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(said: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        own_policy(said, DEFAULT_POLICY, "metarec.toml, [policy]")


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("sodium_mg >> 800 when systolic > 140", "'sodium_mg > > 800'"),
        ("sodium_mg > 800 when systolic", "'systolic' is no comparison"),
        ("sodium_mg > 800 when systolic > ", "after `when`"),
        ("sodium_mg > 800 when systolic > high", "compares the text 'high' with >"),
        ("sodium_mg > 800 when a > 1 and", "after `when`, ''"),
        ("when a > 1", "before `when`, ''"),
        ("a > 1 when b > 1 when c > 1", "found 2"),
        ("a > 1 or b > 2 when c > 1", "is no comparison"),
        ("800 < sodium_mg when a > 1", "is no comparison"),
        ("a > 1 when b % 2", "cannot read '% 2'"),
        ("", "found none"),
    ],
)
def test_a_rule_that_cannot_be_read_names_the_piece(text: str, piece: str) -> None:
    with pytest.raises(BadInput) as told:
        read_rule(text)
    assert piece in str(told.value)
    with pytest.raises(BadInput):
        Policy(rules=(text,))


def test_a_rule_in_all_its_forms() -> None:
    rule = read_rule('"sodium (mg)" >= 800 AND diet = meat When systolic > 140 and sex != "f m"')
    assert [str(part) for part in rule.items] == ["sodium (mg) >= 800", "diet = 'meat'"]
    assert [str(part) for part in rule.when] == ["systolic > 140", "sex != 'f m'"]
    sodium, diet = rule.items
    holds, unknown = sodium.holds([800, "1,500 mg", "799.5", None, "much", float("nan")])
    assert holds.tolist() == [True, True, False, False, False, False]
    assert unknown.tolist() == [False, False, False, True, True, True]
    assert diet.holds(["Meat", "fish|meat", "fish", None])[0].tolist() == [True, True, False, False]
    assert rule.when[1].holds(["m", "F M", None])[0].tolist() == [True, False, False]
    assert read_rule("a > 1 when smoker = true").when[0].holds([True, "TRUE", False])[
        0
    ].tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("cell", "tags"),
    [
        (None, None),
        ("", None),
        ("unknown", None),
        ("none", []),
        ([], []),
        ("Nuts | milk", ["nuts", "milk", "nuts | milk"]),
        ("nuts/milk", ["nuts", "milk", "nuts/milk"]),
        (["Tree_Nuts", "egg"], ["tree nuts", "egg"]),
        ("['nuts', 'egg']", ["nuts", "egg", "['nuts', 'egg']"]),
        ("US", ["us"]),
        (1.0, ["1"]),
        (float("nan"), None),
    ],
)
def test_tags_of_a_cell(cell: object, tags: list[str] | None) -> None:
    assert tags_of(cell) == tags


def test_numbers_with_units() -> None:
    assert number_of("164 mmHg") == 164.0
    assert number_of("1,234,000") == 1_234_000.0
    assert number_of(" -3.5% ") == -3.5
    assert number_of("3 to 4") != number_of("3 to 4")  # NaN


def test_a_column_is_found_as_reading_renamed_it() -> None:
    pack = domain("health").policy
    assert column_of("allergens", ["item_id", "Allergens"], pack) == "Allergens"
    assert column_of("diet", ["item_id", "categories"], pack) == "categories"
    assert column_of("description", ["item_id", "text"], DEFAULT_POLICY) == "text"
    assert column_of("diet", ["item_id", "categories"], DEFAULT_POLICY) is None
    assert column_of("过敏原", ["item_id", "过敏"], DEFAULT_POLICY) is None


def test_the_report_says_the_policy_and_which_columns_are_there(tmp_path: Path) -> None:
    report = check(write_world(tmp_path, "health"))
    assert report.policy is not None
    assert report.policy["items"] == {
        "found": ["allergens", "contraindications"],
        "missing": ["interacts_with"],
    }
    assert report.policy["users"] == {
        "found": ["allergies", "conditions"],
        "missing": ["medication"],
    }
    for said in (report.to_text(), report.to_html()):
        assert "NOT found in items: interacts_with (not checked)" in said
        assert "contains something the user is allergic to" in said


def test_what_users_state_and_no_item_says_is_told(tmp_path: Path) -> None:
    folder = write_world(tmp_path, "health")
    users = pl.read_csv(folder / "users.csv")
    stated = ["Erdnüsse, Senf", "Senf", "milk allergy", "nut", "none"]
    users.head(5).with_columns(pl.Series("allergies", stated)).write_csv(folder / "users.csv")
    said = check(folder).to_text()
    assert (
        "hides nothing, as no item's 'allergens' says it: 'allergies' of so many users 'senf' (2), "
        "'erdnüsse' (1); is it written alike there?"
    ) in said
    assert said.count("hides nothing") == 1


def test_a_column_of_what_can_be_had_that_no_policy_names_is_told(tmp_path: Path) -> None:
    pl.DataFrame({"user_id": ["u", "v"], "item_id": ["a", "b"]}).write_csv(
        tmp_path / "interactions.csv"
    )
    pl.DataFrame({"item_id": ["a", "b"], "In Stock": ["yes", "no"]}).write_csv(
        tmp_path / "items.csv"
    )
    heed = "[policy] available = 'In Stock'"
    assert heed in check(tmp_path).to_text()
    sources = "[[sources]]\ninteractions = 'interactions.csv'\nitems = 'items.csv'\n"
    (tmp_path / "metarec.toml").write_text(
        f"{sources}[policy]\navailable = 'In Stock'\n", encoding="utf-8"
    )
    said = check(tmp_path).to_text()
    assert heed not in said
    assert "not shown: items whose 'In Stock' is false, 0 or no" in said


def test_every_part_of_a_policy_is_put_into_words() -> None:
    policy = Policy(
        domain="health",
        repeats_allowed=False,
        prerequisite_column="before",
        fulfilled_by=("complete",),
        exclusions=(
            Exclusion(item_column="col", profile_attribute="att", why="since", unknown="hide"),
        ),
        rules=("a > 1 when b > 2",),
        available="stock",
        notice="Mind the gap.",
    )
    said = "\n".join(policy_lines(policy))
    for word in ("health", "not shown again", "'before'", "complete", "'col'", "'att'", "since"):
        assert word in said
    for word in ("a > 1 when b > 2", "'stock'", "Mind the gap.", "where 'att' is not stated"):
        assert word in said


def test_a_rule_may_compare_with_what_the_user_says() -> None:
    rule = read_rule("weight_t > user.capacity_t")
    assert rule.attributes_read == ["capacity_t"]
    assert rule.for_user({}) is None
    assert rule.for_user({"capacity_t": "much"}) is None
    (part,) = rule.for_user({"capacity_t": "7.5 t"}) or ()
    assert part.holds([8, "9 t", 7.5, None])[0].tolist() == [True, True, False, False]
    both = read_rule("price > user.budget and kind = hotel when budget > 0")
    assert both.attributes_read == ["budget"]
    with pytest.raises(BadInput, match="compares a user with themselves"):
        read_rule("price > 3 when budget > user.income")
    with pytest.raises(BadInput, match="exactly one `when` is expected, found none"):
        read_rule("weight_t > 800")


def test_cells_whose_dot_may_part_thousands_are_told() -> None:
    events = pl.DataFrame({"user_id": ["u", "u", "v"], "item_id": ["a", "b", "a"]})
    items = pl.DataFrame({"item_id": ["a", "b"], "sodium": ["1.200 mg", "1.5 g"]})
    with pytest.warns(DataWarning, match="several units"):
        data = Dataset(interactions=events, items=items)
    policy = Policy(rules=("sodium > 800 when systolic > 140",))
    facts = policy_facts(data, policy)
    assert facts["unsure"] == [{"column": "sodium", "cell": "1.200 mg", "n_items": 1}]
    assert any("such as '1.200 mg' (1 in all), may part" in line for line in facts_lines(facts))
    assert policy_facts(data, DEFAULT_POLICY)["unsure"] == []

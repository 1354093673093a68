"""`metarec domains`, and the example of each domain as its page tells it: the page's commands run,
and no user of the table is shown what its columns forbid them, by a truth written here once more.
"""

from __future__ import annotations

import json
import re
import runpy
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from metarec.data.domains import DomainPack, domain, domains
from metarec.data.read import read
from metarec.recommendation.slate import Request
from metarec.recommender import Recommender

ROOT = Path(__file__).parent.parent.parent
Row = dict[str, Any]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of the pages are run from the root of the repository."""
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module", params=domains())
def pack(request: pytest.FixtureRequest) -> DomainPack:
    return domain(request.param)


@pytest.fixture(scope="module")
def model(pack: DomainPack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert pack.example is not None
    place = tmp_path_factory.mktemp("models") / pack.name
    data = read(ROOT / pack.example.folder)
    Recommender.fit(data, preset="tiny", encoder="none").save(place)
    return place


def page(pack: DomainPack) -> str:
    return (ROOT / "docs" / "domains" / f"{pack.name}.md").read_text(encoding="utf-8")


def test_all_are_listed_with_their_metric(run: Run) -> None:
    code, text, _ = run("domains")
    assert code == 0
    assert all(f"{name} " in text and domain(name).metric in text for name in domains())
    listed = json.loads(run("domains", "--json")[1])["domains"]
    assert [one["name"] for one in listed] == domains()


def test_one_says_columns_kinds_policy_metric_notice_and_example(
    run: Run, pack: DomainPack
) -> None:
    code, text, _ = run("domains", pack.name)
    assert code == 0
    said = [*pack.kinds, *pack.policy.rules, pack.metric_why, pack.policy.notice or "none"]
    said += [name for names in pack.synonyms.values() for name in names]
    said += [e.item_column for e in pack.policy.exclusions]
    assert [one for one in said if one not in text] == []
    facts = json.loads(run("domains", pack.name, "--json")[1])
    assert facts["metric"] == {"name": pack.metric_name, "why": pack.metric_why}
    assert set(facts["kinds"]) == set(pack.kinds)
    assert facts["example"]["commands"][0] in text


def test_an_unknown_domain_is_one_line(run: Run) -> None:
    code, out, err = run("domains", "helth")
    assert (code, out) == (2, "")
    assert "no domain 'helth'; there are e-commerce" in err


def test_the_commands_of_the_page_run_and_say_what_it_says(
    run: Run, pack: DomainPack, model: Path
) -> None:
    assert pack.example is not None
    text, shown = page(pack), []
    for line in pack.example.commands:
        assert f"    {line}\n" in text
        if " fit " not in line and " evaluate " not in line:
            code, out, err = run(*shlex.split(line.replace("MODEL", str(model)))[1:])
            assert (code, err) == (0, ""), line
            shown.append(out)
    facts = re.findall(r"^(?:  and|note): .*$", text, re.MULTILINE)
    assert facts
    assert [fact for fact in facts if fact not in "".join(shown)] == []


def test_the_examples_are_what_their_script_writes(tmp_path: Path) -> None:
    runpy.run_path(str(ROOT / "examples" / "domains" / "make.py"))["main"](tmp_path)
    for name in domains():
        for file in sorted((tmp_path / name).iterdir()):
            kept = ROOT / "examples" / "domains" / name / file.name
            assert file.read_bytes() == kept.read_bytes(), kept


def _tags(cell: Any) -> set[str]:
    return set(str(cell).split("|")) if cell else set()


def _meet(item: Row, column: str, user: Row, attribute: str) -> bool:
    return bool(_tags(item[column]) & _tags(user[attribute]) - {"none", ""})


FORBIDDEN: dict[str, Callable[[Row, Row, list[tuple[str, str]]], bool]] = {
    "e-commerce": lambda item, user, did: not item["in_stock"],
    "education": lambda item, user, did: (
        (bool(item["prerequisites"]) and not _took(item["prerequisites"], did))
        or any(one == item["course_key"] for one, _ in did)
    ),
    "finance": lambda item, user, did: (
        _meet(item, "unsuitable_for", user, "risk_profile")
        or _meet(item, "barred_countries", user, "country")
    ),
    "health": lambda item, user, did: (
        _meet(item, "allergens", user, "allergies")
        or _meet(item, "contraindications", user, "conditions")
        or ((item["sugar_g"] or 0) > 15 and user["hba1c"] >= 6.5)
        or (item["sodium_mg"] > 800 and int(user["systolic"].split()[0]) >= 140)
    ),
    "logistics": lambda item, user, did: (
        _meet(item, "hazard_class", user, "hazards_not_licensed")
        or _meet(item, "vehicle_needed", user, "vehicles_lacking")
        or item["weight_t"] > user["capacity_t"]
        or item["pickup_until"] < user["free_from"]
        or item["pickup_from"] > user["free_until"]
    ),
    "social": lambda item, user, did: (
        item["min_age"] > user["age"]
        or any(one == item["post_id"] for one, kind in did if kind != "impression")
    ),
    "travel": lambda item, user, did: (
        _meet(item, "inaccessible_for", user, "access_needs")
        or _meet(item, "closed_in", user, "season")
        or _meet(item, "not_for", user, "companions")
        or item["price_per_night"] > user["budget_per_night"]
    ),
}


def _took(course: str, did: list[tuple[str, str]]) -> bool:
    kinds = [kind for one, kind in did if one == course and kind != "view"]
    return bool(kinds) and kinds[-1] != "drop"


def test_nobody_of_the_table_is_shown_what_it_forbids(pack: DomainPack, model: Path) -> None:
    assert pack.example is not None
    tables = {
        name: pl.read_csv(ROOT / pack.example.folder / f"{name}.csv")
        for name in ("interactions", "items", "users")
    }
    user_id, item_id = tables["users"].columns[0], tables["items"].columns[0]
    items = {str(row[item_id]): row for row in tables["items"].to_dicts()}
    events = tables["interactions"].sort(tables["interactions"].columns[3], maintain_order=True)
    users = tables["users"].to_dicts()
    histories = [
        [
            (str(row[item_id]), str(row["action"]))
            for row in events.filter(pl.col(user_id) == user[user_id]).to_dicts()
        ]
        for user in users
    ]
    asked = [
        Request(
            history=[(item, None, kind) for item, kind in did],
            profile={name: value for name, value in user.items() if name != user_id},
        )
        for user, did in zip(users, histories, strict=True)
    ]
    slates = Recommender.load(model).recommend(asked, k=len(items))
    forbids = FORBIDDEN[pack.name]
    shown, missed = 0, 0
    for user, did, slate in zip(users, histories, slates, strict=True):
        wrong = {one for one, row in items.items() if forbids(row, user, did)}
        assert not wrong & {*slate.item_ids}, user
        shown, missed = shown + len(slate.item_ids), missed + len(wrong)
    assert shown
    assert missed  # the table forbids something to somebody


def test_a_circumstance_may_say_what_the_policy_asks(tmp_path: Path) -> None:
    data = read(ROOT / "examples" / "domains" / "travel")
    model = Recommender.fit(data, preset="tiny", encoder="none")
    told, untold = (
        model.recommend([Request(context=context)], k=40)[0]
        for context in ({"season": "winter"}, {})
    )
    closed = {
        row["hotel_id"]
        for row in pl.read_csv(ROOT / "examples/domains/travel/items.csv").to_dicts()
        if row["closed_in"] == "winter"
    }
    assert not closed & {*told.item_ids}
    assert closed & {*untold.item_ids}
    assert not any("season" in note or "ignored" in note for note in told.notes)
    assert any("season" in note for note in untold.notes)


def test_evaluation_tells_the_metric_of_the_domain_and_why(run: Run) -> None:
    pack = domain("finance")
    code, text, _ = run(
        "evaluate",
        "examples/domains/finance",
        "--baseline",
        "Popular",
        "--preset",
        "tiny",
        "--encoder",
        "none",
    )
    assert code == 0
    assert f"finance is evaluated by Precision@10: {pack.metric_why}" in text


def test_a_domain_is_told_in_chinese_from_its_first_line(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("domains", "travel")[1].startswith("domain travel: Places, stays and trips")
    monkeypatch.setenv("METAREC_LANG", "zh")
    for name in ("e-commerce", "travel", "health"):
        first = run("domains", name)[1].splitlines()[0]
        assert first.startswith(f"领域 {name}：")
        assert not re.search("[a-z]", first.split("：")[1])


def test_what_the_policy_reads_is_told_as_a_fact_and_is_no_reason(
    model: Path, pack: DomainPack
) -> None:
    """A nut allergy is why nuts stay away, not why fish is recommended."""
    fitted = Recommender.load(model)
    columns = {e.item_column for e in fitted.policy.exclusions}
    columns |= {e.profile_attribute for e in fitted.policy.exclusions}
    stated = {name: "nuts" for name in columns}
    for item in fitted.catalog.frame["item_id"].to_list()[:8]:
        said = fitted.explain(Request(profile=stated), item).reasons
        assert not [why for why in said for name in columns if f" {name} " in why], pack.name

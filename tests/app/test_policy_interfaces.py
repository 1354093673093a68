"""A policy as users of the command line, of HTTP and of Python meet it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
pytest.importorskip("httpx")

from starlette.testclient import TestClient  # noqa: E402

from metarec.app.retraining.loop import retrain  # noqa: E402
from metarec.app.service.application import create_app  # noqa: E402
from metarec.app.service.settings import ServiceSettings  # noqa: E402
from metarec.data.dataset import Dataset
from metarec.data.domains import DEFAULT_POLICY, Policy, domain  # noqa: E402
from metarec.data.read import read  # noqa: E402
from metarec.explanation.reasons import explain  # noqa: E402
from metarec.feedback import open_store  # noqa: E402
from metarec.feedback.events import Event  # noqa: E402
from metarec.recommendation.slate import Request  # noqa: E402
from metarec.recommender import Recommender  # noqa: E402
from policy_worlds import START, write_world  # noqa: E402

Run = Callable[..., tuple[int, str, str]]
NUTS = {f"F{n:02d}" for n in range(0, 40, 5)}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Foods in a shop that says what it has; read from a TOML file that names the domain."""
    folder = write_world(tmp_path_factory.mktemp("health"), "health")
    items = pl.read_csv(folder / "items.csv")
    stock = pl.Series("in_stock", [n != 6 for n in range(items.height)])
    items.with_columns(stock).write_csv(folder / "items.csv")
    file = folder / "metarec.toml"
    own = (
        '\n[policy]\navailable = "in_stock"\nrules = ["sodium_mg > 1000 when systolic > 140"]\n'
        'notice = "Not advice."\n'
    )
    file.write_text(file.read_text(encoding="utf-8") + own, encoding="utf-8")
    return read(folder)


@pytest.fixture(scope="module")
def model(data: Dataset) -> Recommender:
    return Recommender.fit(data, preset="tiny", encoder="none")


@pytest.fixture(scope="module")
def folder(model: Recommender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models") / "model"
    model.save(place)
    return place


@pytest.fixture
def client(folder: Path, tmp_path: Path) -> Iterator[TestClient]:
    app = create_app(ServiceSettings(model=str(folder), store=str(tmp_path / "events.db")))
    with TestClient(app, base_url="http://127.0.0.1") as started:
        yield started


# Python


def test_the_policy_of_the_data_is_the_models(model: Recommender, data: Dataset) -> None:
    assert model.policy == data.policy
    assert model.policy.domain == "health"
    whole = model.recommend([Request(profile={"allergies": "nuts", "systolic": 150})], k=40)[0]
    salty = {f"F{n:02d}" for n in range(40) if 200 + 50 * (n % 20) > 1000}
    assert not {*whole.item_ids} & {*NUTS, *salty, "F06"}
    assert len(whole.item_ids) > 10
    assert whole.notes[-1] == "Not advice."


def test_a_policy_given_goes_over_that_of_the_data(data: Dataset) -> None:
    own = Policy(repeats_allowed=False)
    model = Recommender.fit(data, preset="tiny", encoder="none", policy=own)
    assert model.policy == model.training_data().policy == own
    history = [("F00", 1.0), ("F06", 1.0)]
    slate = model.recommend([Request(history=history)], k=40)[0].item_ids
    assert len(slate) == 38
    assert model.version != Recommender.fit(data, preset="tiny", encoder="none").version


def test_the_policy_is_saved_and_survives_new_items(model: Recommender, folder: Path) -> None:
    loaded = Recommender.load(folder)
    assert loaded.policy == loaded.training_data().policy == model.policy
    more = pl.DataFrame(
        {
            "item_id": ["X1", "X2", "X3"],
            "title": ["nut bar", "bean bar", "rice bar"],
            "allergens": ["nuts", None, None],
            "in_stock": [True, True, False],
        }
    )
    grown = loaded.with_items(more)
    slate = grown.recommend([Request(profile={"allergies": "nuts"})], k=50)[0].item_ids
    assert "X2" in slate
    assert not {"X1", "X3"} & {*slate}


def test_new_items_are_read_as_the_others_were(model: Recommender) -> None:
    more = pl.DataFrame(
        {
            "item_id": ["X1", "X2", "X3", "X4"],
            "Allergens": ["nuts", None, None, None],
            "In Stock": ["yes", "yes", "sold out", "yes"],
            "sodium_mg": ["1", "1 mg", "1", "1.2 g"],
        }
    )
    stated = Request(profile={"allergies": "nuts", "systolic": 150})
    slate = model.with_items(more).recommend([stated], k=50)[0].item_ids
    assert {*slate} & {*more["item_id"]} == {"X2"}


def test_another_model_like_it_keeps_the_policy(model: Recommender, data: Dataset) -> None:
    assert model.fit_like(replace(data, policy=None)).policy == model.policy
    assert model.fit_like(replace(data, policy=DEFAULT_POLICY)).policy == DEFAULT_POLICY


def test_the_card_says_the_policy_and_what_was_found(model: Recommender) -> None:
    card = model.card()
    for said in ("## Policy", "domain: health", "in_stock", "sodium_mg > 1000 when systolic > 140"):
        assert said in card
    assert "NOT found in items: interacts_with" in card


def test_an_explanation_says_that_an_item_is_not_shown(model: Recommender) -> None:
    why = explain(model, Request(profile={"allergies": "nuts"}), "F00")
    assert why.rank is None
    assert any("contains something the user is allergic to" in note for note in why.notes)


def test_questions_are_not_about_what_is_forbidden(model: Recommender) -> None:
    asked = model.questions([Request(profile={"allergies": "nuts"})], 32).items[0]
    assert not {*model.vocabulary.names(asked[asked >= 0].tolist())} & {*NUTS, "F06"}


def test_retraining_keeps_the_policy(model: Recommender, tmp_path: Path) -> None:
    place, url = tmp_path / "model", str(tmp_path / "events.db")
    model.save(place)
    store = open_store(url)
    ids = model.vocabulary.ids
    store.append(
        [
            Event(
                event_id=f"e{user}-{n}",
                user_id=f"new{user}",
                item_id=ids[(user + n) % len(ids)],
                kind="cook",
                value=None,
                timestamp=float(START + n),
                slate_id=None,
                context={},
            )
            for user in range(40)
            for n in range(6)
        ]
    ).result()
    store.close()
    done = retrain(str(place), url, force=True)
    assert done.promoted
    from metarec.feedback.registry import Registry

    registry = Registry(str(place))
    assert registry.current() == done.challenger
    assert Recommender.load(registry.place_of(done.challenger)).policy == model.policy


# Command line


def test_fit_reads_the_domain_from_the_file(run: Run, tmp_path: Path) -> None:
    world = write_world(tmp_path / "finance", "finance")
    words = ["fit", str(world), "--preset", "tiny", "--encoder", "none"]
    code, out, _ = run(*words, "--out", str(tmp_path / "model"), "--json")
    assert code == 0
    told = json.loads(out)["policy"]
    assert told["policy"]["domain"] == "finance"
    assert told["items"] == {"found": ["unsuitable_for", "barred_countries"], "missing": []}
    assert Recommender.load(tmp_path / "model").policy == domain("finance").policy
    code, _, err = run(*words, "--out", str(tmp_path / "other"), "--domain", "health")
    assert code == 2
    assert "says domain = 'finance', but 'health' was asked for" in err
    assert not (tmp_path / "other").exists()
    code, out, _ = run("data", "check", str(world))
    assert code == 0
    assert "found in items: unsuitable_for, barred_countries" in out


def test_a_misspelled_attribute_ends_the_command(run: Run, folder: Path) -> None:
    for command in (["recommend", str(folder)], ["explain", str(folder), "--item", "F01"]):
        code, _, err = run(*command, "--profile", "alergies=nuts")
        assert code == 2
        assert "attribute 'alergies' is not known; did you mean 'allergies'?" in err
    code, out, _ = run("recommend", str(folder), "--profile", "color=red", "--json")
    assert code == 0
    assert "attribute 'color' is not known" in json.loads(out)["notes"]


# HTTP


def test_http_refuses_a_misspelled_attribute_at_every_interface(client: TestClient) -> None:
    wrong = {"alergies": "nuts"}
    answers = [
        client.post("/v1/recommendations", json={"profile": wrong}),
        client.post("/v1/explanations", json={"profile": wrong, "item_id": "F01"}),
        client.put("/v1/users/u1", json={"profile": wrong}),
        client.get("/v1/items/F01/similar", params={"profile": "alergies=nuts"}),
        client.get("/v1/onboarding", params={"profile": "alergies=nuts"}),
    ]
    for answer in answers:
        assert answer.status_code == 422, answer.url
        assert answer.json() == {
            "error": "attribute 'alergies' is not known; did you mean 'allergies'?"
        }
    asked = client.get("/v1/items/F01/similar", params={"profile": "allergies"})
    assert asked.json() == {"error": "profile takes NAME=VALUE, got 'allergies'"}
    noted = client.post("/v1/recommendations", json={"profile": {"color": "red"}}).json()["notes"]
    assert "attribute 'color' is not known" in noted


def test_http_says_why_a_pin_is_not_shown(client: TestClient) -> None:
    asked = {"profile": {"allergies": "nuts"}, "pin": ["F00", "F06", "F01"]}
    answer = client.post("/v1/recommendations", json=asked).json()
    assert answer["items"][0]["item_id"] == "F01"
    said = [note for note in answer["notes"] if "is pinned but may not be shown" in note]
    assert said == [
        "'F00' is pinned but may not be shown: contains something the user is allergic to",
        "'F06' is pinned but may not be shown: its 'in_stock' says no",
    ]


@pytest.mark.parametrize("how", ["stored", "sent"])
def test_similar_items_and_questions_heed_who_asks(client: TestClient, how: str) -> None:
    client.put("/v1/users/u1", json={"profile": {"allergies": "nuts"}}).raise_for_status()
    who = {"user_id": "u1"} if how == "stored" else {"profile": "allergies=nuts"}
    for address in ("/v1/items/F00/similar", "/v1/onboarding"):
        most = {"k": 40}
        anybody = client.get(address, params=most).json()
        mine = client.get(address, params={**most, **who}).json()
        ids = [{item["item_id"] for item in one["items"]} for one in (anybody, mine)]
        assert ids[0] & NUTS
        assert not ids[1] & NUTS
        assert not (ids[0] | ids[1]) & {"F06"}
        assert "Not advice." in mine["notes"]


def test_lists_for_everybody_say_what_the_policy_could_not_check(client: TestClient) -> None:
    slate = client.post("/v1/recommendations", json={"k": 100}).json()
    for order in ("popular", "newest"):
        listed = client.get(f"/v1/items/{order}", params={"k": 100}).json()
        assert listed["notes"] == slate["notes"]
    assert "Not advice." in slate["notes"]


def test_http_says_what_the_policy_asks_for(client: TestClient) -> None:
    assert client.get("/v1/circumstances").json()["policy"] == [
        {"name": "allergies", "values": ["milk", "nuts", "egg", "fish"]},
        {"name": "conditions", "values": ["diabetes", "hypertension"]},
        {"name": "systolic", "values": []},
    ]


def test_an_item_that_is_sold_out_while_serving_goes(client: TestClient) -> None:
    first = client.post("/v1/recommendations", json={"k": 1}).json()["items"][0]["item_id"]
    sold = client.put(f"/v1/items/{first}", json={"attributes": {"in_stock": False}})
    assert sold.json()["notes"] == []
    whole = client.post("/v1/recommendations", json={"k": 100}).json()["items"]
    assert first not in {item["item_id"] for item in whole}


# Models of other policies


def test_an_arm_or_a_promoted_model_that_forbids_less_is_told(
    data: Dataset, model: Recommender, folder: Path, tmp_path: Path, run: Run
) -> None:
    place = tmp_path / "model"
    shutil.copytree(folder, place)
    plain = Policy(repeats_allowed=True, domain="other", notice="Whatever.")
    looser = replace(model, policy=plain, version="0" * 12)
    looser.save(place / "versions" / looser.version)
    lost = f"the policy of model {looser.version} lacks what that of {model.version} says: "
    arms = ("--arm", "a=0.5", "--arm", f"b=0.5,model={looser.version}")
    code, _, err = run("ab", "start", str(place), "first", *arms)
    assert code == 0
    assert f"metarec: note: {lost}not shown: items whose 'allergens'" in err
    assert "not shown: sodium_mg > 1000 when systolic > 140" in err
    with TestClient(create_app(ServiceSettings(model=str(place))), "http://127.0.0.1") as client:
        client.post("/v1/experiments/first/stop", json={})
        shares = [
            {"name": name, "share": 0.5, "model": version}
            for name, version in (("a", model.version), ("b", looser.version))
        ]
        begun = client.post("/v1/experiments", json={"name": "second", "arms": shares}).json()
        client.post("/v1/experiments/second/stop", json={})
        there = client.post(f"/v1/models/{looser.version}/promote", json={}).json()
        back = client.post(f"/v1/models/{model.version}/promote", json={}).json()
    assert [one[: len(lost)] for one in begun["notes"]] == [lost]
    assert [one[: len(lost)] for one in there["notes"]] == [lost]
    assert back["notes"] == []


@pytest.mark.parametrize("command", ["recommend", "import"])
def test_a_misspelled_column_of_users_is_refused(
    command: str, data: Dataset, folder: Path, tmp_path: Path, run: Run
) -> None:
    events = data.interactions.frame.select("user_id", "item_id", "kind").head(50)
    users = data.users.frame.rename({"allergies": "alergies"})
    place = tmp_path / "night"
    place.mkdir()
    events.write_csv(place / "interactions.csv")
    users.select("user_id", "alergies").write_csv(place / "users.csv")
    words = {
        "recommend": ["--all-users", str(place), "--out", str(tmp_path / "slates")],
        "import": [str(place), "--store", str(tmp_path / "e.db")],
    }
    code, _, err = run(command, str(folder), *words[command])
    assert code == 2
    assert "attribute 'alergies' is not known; did you mean 'allergies'?" in err

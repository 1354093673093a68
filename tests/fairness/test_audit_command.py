"""`metarec audit` on a real small model: whom it evaluates, what it prints and writes, and what it
refuses.
"""

import json

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

import metarec
from fairness.biased_world import biased_data
from metarec.app.commands.audit import audit
from metarec.app.commands.audited import attributes_of
from metarec.data.cold_users import ColdUser
from metarec.evaluation.measure import EvaluationSet

app = typer.Typer()
app.command()(audit)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A model fitted without every third user, and a data folder that holds them all."""
    folder = tmp_path_factory.mktemp("audit")
    data = biased_data(many=90, few=75)
    for name, frame in (
        ("interactions", data.interactions.frame),
        ("items", data.items.frame),
        ("users", data.users.frame),
    ):
        frame.write_parquet(folder / f"{name}.parquet")
    taught = [u for n, u in enumerate(data.users.frame["user_id"]) if n % 3]
    train = data.with_interactions(
        data.interactions.frame.filter(data.interactions.frame["user_id"].is_in(taught))
    )
    metarec.Recommender.fit(train, preset="tiny", seed=0, encoder="none").save(folder / "model")
    return folder / "model", folder


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_users_unseen_by_the_model_are_evaluated_and_everything_is_written(places, tmp_path):
    model, data = places
    done = run(model, data, "--by", "group", "--explanations", "--components", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert "by group, of 55 users evaluated as new users" in done.output
    assert "caution" not in done.output
    assert "deletion  leave-one-out" in done.output and "stability under other seeds" in done.output
    assert "change of NDCG@10 without one score component, 55 users" in done.output
    page, plain = (
        (tmp_path / "audit.html").read_text(),
        json.loads((tmp_path / "audit.json").read_text()),
    )
    assert (
        page.count("<svg") >= 4
        and "Whether explanations tell the truth" in page
        and "What each score component is worth" in page
    )
    assert plain["users"] == 55 and plain["explanations"]["adds_up"] is True
    assert "# Model card" in (tmp_path / "card.md").read_text()


def test_json_is_json_and_attributes_of_large_groups_are_looked_at_unless_said(places):
    """Of 55 users, four bands of age are too small each, and no zip code is shared."""
    done = run(*places, "--json")
    assert done.exit_code == 0, done.output
    assert {row["by"] for row in json.loads(done.stdout)["groups"]} == {"group", "activity"}


def test_times_are_no_attribute_unless_asked_for():
    users = [
        ColdUser(
            user_id=str(n),
            profile={"joined": 1e9 + 1e6 * n, "side": n % 2},
            pool=[("a", 1.0)],
            query=[("b", 1.0)],
            relevant=["b"],
        )
        for n in range(90)
    ]
    train = metarec.Dataset(
        interactions=pl.DataFrame({"user_id": ["u", "u"], "item_id": ["a", "b"]})
    )
    assert attributes_of(EvaluationSet.of(users, train)) == ["side", "activity"]


def test_as_is_evaluates_users_it_learned_from_and_says_so(places, tmp_path):
    model, _ = places
    known = metarec.Recommender.load(model).training
    known.interactions.frame.write_parquet(tmp_path / "interactions.parquet")
    known.users.frame.write_parquet(tmp_path / "users.parquet")
    done = run(model, tmp_path, "--by", "group", "--as-is", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert "caution: the model may have learned from these users" in done.output
    page = (tmp_path / "audit.html").read_text()
    assert "may have learned from these users" in page
    assert "users the model never met" not in page
    assert "small groups" not in page  # none is drawn


def test_without_unseen_users_another_model_stands_in(places, tmp_path):
    model, _ = places
    known = metarec.Recommender.load(model).training
    known.interactions.frame.write_parquet(tmp_path / "interactions.parquet")
    known.users.frame.write_parquet(tmp_path / "users.parquet")
    done = run(model, tmp_path, "--by", "group")
    assert done.exit_code == 0, done.output
    assert "by group, of 22 users evaluated as new users" in done.output
    assert (
        "caution: the model had learned from everyone here, so one of the same settings"
        in done.output
    )


def test_an_unknown_attribute_is_one_clear_error(places):
    done = run(*places, "--by", "shoe_size")
    assert done.exit_code != 0
    assert (
        "no user states 'shoe_size', so users cannot be grouped by it; there are: age, group, "
        "zip, activity" in str(done.exception)
    )

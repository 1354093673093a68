"""Users read as text as a part of a served model: learned, kept, asked and named like any other
part.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from metarec import Recommender, Request
from metarec.data.schema import BadInput
from metarec.models.registry import USER_TEXT
from metarec.models.user_text import UserTextConfig
from metarec.recommendation.settings import Settings
from world import tiny_world


@pytest.fixture(scope="module")
def model() -> Recommender:
    return Recommender.fit(
        tiny_world(ratings=True).data, preset="tiny", encoder="tfidf", learner=USER_TEXT
    )


@pytest.fixture
def requests(rated_world) -> list[Request]:
    return [
        Request(),
        Request(history=rated_world.history("space", 3)),
        Request(history=rated_world.history("garden", 2, value=1.0)),
        Request(profile={"home": "south"}),
    ]


def evidence(model, request):
    return model.ensemble.scorers[USER_TEXT].evidence(model.users([request])[0])[0]


def test_it_is_a_part_under_its_own_name(model, requests):
    parts = model.score_components(requests)
    assert list(model.ensemble.scorers)[-1] == USER_TEXT
    assert np.ptp(parts[USER_TEXT][1]) > 0
    np.testing.assert_allclose(
        sum(part.astype(np.float64) for part in parts.values()), model.score(requests), atol=1e-4
    )
    for row, request in enumerate(requests):
        np.testing.assert_allclose(model.score([request])[0], model.score(requests)[row], atol=1e-4)


def test_words_of_history_and_profile_tell_the_taste(model, rated_world):
    space, garden = (
        model.vocabulary.indexes(rated_world.items_of_taste[taste]) for taste in ("space", "garden")
    )
    liked, home = (
        evidence(model, Request(history=rated_world.history("space", 3))),
        evidence(model, Request(profile={"home": "south"})),
    )
    assert np.median(liked[space]) > 2 * np.median(liked[garden])
    scorer = model.ensemble.scorers[USER_TEXT]
    np.testing.assert_allclose(evidence(model, Request()), scorer.tower.mean, rtol=1e-6)
    assert home.shape == liked.shape


def test_what_was_stated_is_read_as_it_was_stated(rated_world):
    """A column of the profile holds common values alone; a text holds whatever is said."""
    word = pl.when(pl.col("home") == "north").then(pl.lit("rocket")).otherwise(pl.lit("soil"))
    users = rated_world.data.users.frame.select("user_id", about=word + " " + pl.col("user_id"))
    data = type(rated_world.data)(
        interactions=rated_world.data.interactions, items=rated_world.data.items, users=users
    )
    model = Recommender.fit(data, preset="tiny", encoder="tfidf", learner=USER_TEXT)
    assert not model.profile_inputs.columns
    space, garden = (
        model.vocabulary.indexes(rated_world.items_of_taste[taste]) for taste in ("space", "garden")
    )
    found = evidence(model, Request(profile={"about": "rocket"}))
    assert found[space].mean() > 1.5 * found[garden].mean()
    notes = model.explain(Request(profile={"about": "rocket"}), "s00").notes
    assert not any("learned nothing" in note for note in notes)


def test_it_comes_back_from_disk_and_reads_new_titles(model, requests, tmp_path):
    model.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model")
    np.testing.assert_array_equal(again.score(requests), model.score(requests))
    assert again.notes == ["users written as text: 48 of 48"] == model.notes
    grown = again.with_items(pl.DataFrame({"item_id": ["fresh"], "title": ["rocket planet orbit"]}))
    told = evidence(grown, Request(history=[("fresh", 5.0)]))
    assert told.shape == (len(model.catalog) + 1,) and told[-1] == 0
    assert not np.allclose(told[:-1], evidence(model, Request()))


def test_how_users_are_written_can_be_said(rated_world, tmp_path):
    model = Recommender.fit(
        rated_world.data,
        preset="tiny",
        encoder="tfidf",
        learner=USER_TEXT,
        item_template="{text}",
        user_template="now: {liked}",
    )
    model.save(tmp_path / "model")
    words = Recommender.load(tmp_path / "model").ensemble.scorers[USER_TEXT].words
    users, _ = model.users(
        [
            Request(
                history=[
                    *rated_world.history("space", 1),
                    *rated_world.history("garden", 1, value=1.0),
                ]
            )
        ]
    )
    titles = model.catalog.titles()
    assert words.write(users.support, [{"home": "south"}]) == [
        f"now: {titles[model.vocabulary.indexes(['s00'])[0]]}"
    ]
    with pytest.raises(BadInput, match="names the column 'plot'"):
        Recommender.fit(rated_world.data, item_template="{plot}")
    with pytest.raises(BadInput, match="names 'history'"):
        Recommender.fit(rated_world.data, user_template="{history}")


def test_the_users_written_are_bounded_and_counted(rated_world):
    model = Recommender.fit(
        rated_world.data,
        preset="tiny",
        encoder="tfidf",
        models={USER_TEXT: UserTextConfig(max_users=20)},
    )
    assert model.notes == ["users written as text: 20 of 48"]
    assert "users written as text: 20 of 48" in model.card()


def test_an_encoder_that_reads_nothing_is_refused(rated_world):
    with pytest.raises(
        BadInput,
        match="with encoder 'none', which reads nothing; name one, such as minilm or tfidf",
    ):
        Settings(preset="tiny", encoder="none", learner=USER_TEXT)  # before anything is fitted


def test_a_handful_of_users_is_no_error():
    data = tiny_world(users_per_taste=2, items_per_taste=3).data
    model = Recommender.fit(data, preset="tiny", encoder="tfidf", learner=USER_TEXT)
    assert np.isfinite(model.score([Request(history=[("s00", 1.0)])])).all()

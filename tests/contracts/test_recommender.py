"""What must hold of every recommender, whatever its preset: on a world whose right answers are
known.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from metarec import Dataset, Recommender, Request
from metarec.data.schema import BadInput
from metarec.models.markov.model import Markov
from metarec.recommendation.settings import PRESETS
from world import TASTES, World, tiny_world


@pytest.fixture(scope="module", params=["tiny", "small"])
def model(request: pytest.FixtureRequest) -> Recommender:
    return Recommender.fit(
        tiny_world(ratings=True).data, preset=request.param, seed=0, encoder="tfidf"
    )


@pytest.fixture
def requests(rated_world: World) -> list[Request]:
    return [
        Request(),
        Request(history=rated_world.history("space", 3)),
        Request(
            history=rated_world.history("garden", 2), profile={"home": "south"}, wish="rocket orbit"
        ),
    ]


def test_constants_are_chosen_among_all_users_before_the_folds_are_fitted(
    model: Recommender,
) -> None:
    """A gate that learned on other constants than it ranks with weighs the model wrongly."""
    chain = model.ensemble.scorers["markov"]
    assert isinstance(chain, Markov)
    tried = (chain.config.alikes, chain.config.recencies, chain.config.pulls, chain.config.rarities)
    assert [len(values) for values in tried] == [1, 1, 1, 1]
    assert chain.config.recencies == (chain.recency,)


@pytest.mark.parametrize("taste", TASTES)
def test_a_new_user_of_a_taste_is_shown_that_taste(
    model: Recommender, rated_world: World, taste: str
) -> None:
    slate = model.recommend([Request(history=rated_world.history(taste, 3))], k=6)[0]

    assert set(slate.item_ids) <= set(rated_world.items_of_taste[taste])


def test_the_items_of_the_history_are_not_shown_again(
    model: Recommender, rated_world: World
) -> None:
    history = rated_world.history("space", 5)

    shown = model.recommend([Request(history=history)], k=24)[0].item_ids

    assert not set(shown) & {item for item, _ in history}
    assert len(shown) == 24 - 5


def test_parts_add_up_to_the_score(model: Recommender, requests: list[Request]) -> None:
    parts = model.score_components(requests)

    assert set(parts) == {"popularity", "item_statistics", "wish", *PRESETS[model.preset]}
    np.testing.assert_allclose(
        sum(part.astype(np.float64) for part in parts.values()), model.score(requests), atol=1e-4
    )


def test_a_batch_equals_its_requests_one_by_one(
    model: Recommender, requests: list[Request]
) -> None:
    together = model.score(requests)

    for row, request in enumerate(requests):
        np.testing.assert_allclose(model.score([request])[0], together[row], atol=1e-4)


def test_a_saved_model_gives_identical_slates(
    model: Recommender, requests: list[Request], tmp_path: object
) -> None:
    model.save(f"{tmp_path}/model")
    loaded = Recommender.load(f"{tmp_path}/model")

    for before, after in zip(
        model.recommend(requests, k=8), loaded.recommend(requests, k=8), strict=True
    ):
        assert before.item_ids == after.item_ids
        np.testing.assert_array_equal(before.scores, after.scores)
        np.testing.assert_array_equal(before.uncertainty, after.uncertainty)
        np.testing.assert_array_equal(before.interval, after.interval)
    assert loaded.version == model.version
    assert loaded.intervals == model.intervals


def test_intervals_are_calibrated_on_users_held_out_and_shown_on_slates(
    model: Recommender, requests: list[Request]
) -> None:
    found = model.intervals
    assert found is not None
    assert (found.level, found.support_sizes) == (0.9, model.horizon.support_sizes)
    assert found.cold_users >= 9
    plain = dataclasses.replace(model, intervals=None)

    for request, slate, before in zip(
        requests, model.recommend(requests, k=6), plain.recommend(requests, k=6), strict=True
    ):
        np.testing.assert_allclose(
            slate.uncertainty, before.uncertainty * found.factor(len(request.history)), rtol=1e-6
        )
        np.testing.assert_allclose(
            slate.predicted, model.rate([request], [slate.item_ids])[0], atol=1e-5
        )
        np.testing.assert_allclose(
            slate.interval[:, 1],
            np.minimum(slate.predicted + 1.6449 * slate.uncertainty, 5.0),
            atol=1e-3,
        )
        assert (slate.interval >= model.value_range[0]).all()


def test_without_ratings_a_slate_tells_uncertainty_alone(world: World) -> None:
    model = Recommender.fit(world.data, preset="tiny", encoder="none")

    anonymous, known = model.recommend([Request(), Request(history=world.history("space", 6))], k=4)

    np.testing.assert_array_equal(anonymous.uncertainty, 1.0)
    assert (known.uncertainty < 0.9).all()
    assert anonymous.interval is None
    assert model.intervals is None


def test_unknown_items_are_ignored_and_counted(model: Recommender, rated_world: World) -> None:
    known = rated_world.history("space", 2)

    plain, strange = model.recommend(
        [Request(history=known), Request(history=[("nobody's", 1.0), *known])], k=5
    )

    assert strange.item_ids == plain.item_ids
    assert strange.notes == ["1 event named an item that is not in the catalog and was ignored"]


def test_allowed_items_that_are_unknown_are_counted(model: Recommender, rated_world: World) -> None:
    known = rated_world.items_of_taste["space"][5]

    some, none = model.recommend(
        [Request(allow=[known, "nobody's", "nobody's"]), Request(allow=["a", "b"])]
    )

    assert some.item_ids == [known] and none.item_ids == []
    assert some.notes == ["1 of the allowed items is not in the catalog and was ignored"]
    assert none.notes == [
        "2 of the allowed items are not in the catalog and were ignored",
        "none of the allowed items may be shown",
    ]


def test_exclude_allow_and_filter_decide_what_may_be_shown(
    model: Recommender, rated_world: World
) -> None:
    space = rated_world.items_of_taste["space"]

    slate = model.recommend(
        [Request(history=rated_world.history("space", 1), exclude=space[1:3], allow=space[:6])],
        k=10,
    )[0]

    assert set(slate.item_ids) == set(space[3:6])


def test_a_new_item_is_recommendable_at_once_from_its_words(
    model: Recommender, rated_world: World
) -> None:
    frame = model.catalog.frame
    like = frame.filter(pl.col("item_id") == rated_world.items_of_taste["space"][0]).with_columns(
        pl.lit("new").alias("item_id")
    )

    grown = model.with_items(like)
    space, garden = grown.score(
        [
            Request(history=rated_world.history("space", 4)),
            Request(history=rated_world.history("garden", 4)),
        ]
    )
    column = grown.vocabulary.indexes(["new"])[0]

    assert (space > space[column]).sum() < (garden > garden[column]).sum()
    assert len(grown.vocabulary) == len(model.vocabulary) + 1


def test_exploration_reaches_what_nobody_has_met(model: Recommender) -> None:
    """Popularity that content does not tell (a factor of e^2 either way) leaves a new item's open:
    of all scores it is the least sure.
    """
    grown = model.with_items(
        pl.DataFrame({"item_id": ["new"], "title": ["rocket rose"], "categories": ["space"]})
    )
    swing = np.append(np.exp(np.where(np.arange(len(model.catalog)) % 2, 2.0, -2.0)), 1.0)
    uneven = dataclasses.replace(
        grown,
        ensemble=dataclasses.replace(grown.ensemble, popularity=np.float32(swing / swing.sum())),
    )
    uncertainty = uneven.ensemble.popularity_uncertainty(uneven.content, swing != 1.0)
    np.testing.assert_allclose(uncertainty, np.where(swing == 1.0, 2.0, 0.0), atol=0.1)
    slates = uneven.recommend([Request()] * 300, k=3, explore=10.0, rng=np.random.default_rng(0))
    assert (
        sum("new" in slate.item_ids for slate in slates) >= 6
    )  # as sure as the others, `tiny` never shows it


@pytest.mark.parametrize(("value", "end"), [(80, 5), (1e20, 5), (1e39, 5), (0.5, 1), (-1e9, 1)])
def test_a_rating_off_the_scale_counts_as_its_nearer_end(
    model: Recommender, rated_world: World, value: float, end: float
) -> None:
    first, *asked = rated_world.items_of_taste["space"][:3]
    off, plain = (Request(history=[(first, one)]) for one in (value, end))
    found, known = model.rate([off, plain], [asked, asked])
    np.testing.assert_array_equal(found, known)
    one, other = model.recommend([off, plain], k=3)
    assert one.item_ids == other.item_ids
    said = (
        "1 rating lies outside the 1 to 5 that the model learned from and counts as the nearer end"
    )
    assert (said in one.notes, said in other.notes) == (True, False)


def test_ratings_lean_to_the_taste(model: Recommender, rated_world: World) -> None:
    history = [*rated_world.history("space", 4), (rated_world.items_of_taste["garden"][0], 1.0)]
    asked = [
        rated_world.items_of_taste["space"][8],
        rated_world.items_of_taste["garden"][8],
        "unknown",
    ]

    space, garden, unknown = model.rate([Request(history=history)], [asked])[0]

    assert 1.0 <= garden < space <= 5.0
    assert unknown == pytest.approx(model.ratings.mean)
    assert (model.rate_std([Request(history=history)], [asked])[0] > 0).all()


def test_the_same_seed_gives_the_same_model_whatever_the_order_of_rows(rated_world: World) -> None:
    data = rated_world.data
    shuffled = Dataset(
        interactions=data.interactions.frame.sample(fraction=1.0, shuffle=True, seed=3),
        items=data.items,
        users=data.users,
        name=data.name,
    )
    request = Request(history=rated_world.history("garden", 2))

    first, second = (
        Recommender.fit(d, preset="tiny", seed=5, encoder="none").score([request])
        for d in (data, shuffled)
    )

    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_two_users_with_one_event_each_are_enough_to_begin(preset: str) -> None:
    events = pl.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "y"]})

    model = Recommender.fit(Dataset(interactions=events), preset=preset, encoder="none")

    assert model.recommend([Request(history=[("x", 1.0)])], k=2)[0].item_ids == ["y"]


def files_of(folder: Path) -> dict[str, int]:
    """When each file was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_killed_fit_goes_on_from_its_finished_parts(rated_world: World, tmp_path: Path) -> None:
    steps = tmp_path / "steps"

    def stop(_stage: str, _done: float, note: str = "") -> None:
        if note.endswith("4 of 4 steps"):
            raise KeyboardInterrupt

    options = {"preset": "tiny", "seed": 0, "encoder": "none"}
    whole = Recommender.fit(rated_world.data, **options)
    with pytest.raises(KeyboardInterrupt):
        Recommender.fit(rated_world.data, checkpoint=steps, progress=stop, **options)
    kept = files_of(steps)
    assert len(kept) == 4
    with pytest.raises(KeyboardInterrupt):
        Recommender.fit(rated_world.data, checkpoint=steps, progress=stop, **options)
    assert files_of(steps) == kept, "finished parts are read, not made again"

    resumed = Recommender.fit(rated_world.data, checkpoint=steps, **options)

    np.testing.assert_array_equal(resumed.score([Request()]), whole.score([Request()]))


@pytest.mark.parametrize(
    ("workers", "backend"), [(2, "here"), pytest.param(2, "ray", marks=pytest.mark.ray)]
)
def test_a_fit_by_several_processes_gives_the_same_model(
    rated_world: World, workers: int, backend: str
) -> None:
    options = {"preset": "tiny", "seed": 0, "encoder": "none"}
    alone = Recommender.fit(rated_world.data, **options).ensemble.arrays()
    spread = Recommender.fit(rated_world.data, **options, workers=workers, backend=backend)
    for name, array in spread.ensemble.arrays().items():
        np.testing.assert_array_equal(array, alone[name], err_msg=name)


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([("u", "i")], "1 users with events are too few"),
        ([("u", "i"), ("v", "i")], "1 items with events are too few"),
    ],
)
def test_too_little_to_learn_from_is_said(events: list[tuple[str, str]], said: str) -> None:
    frame = pl.DataFrame(events, schema=["user_id", "item_id"], orient="row")

    with pytest.raises(BadInput, match=said):
        Recommender.fit(Dataset(interactions=frame), preset="tiny")


@pytest.mark.parametrize("preset", ["huge", "base"])
def test_an_unknown_preset_is_refused(rated_world: World, preset: str) -> None:
    with pytest.raises(BadInput, match=f"preset must be one of tiny, small, got '{preset}'"):
        Recommender.fit(rated_world.data, preset=preset)

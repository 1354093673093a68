"""Each baseline gives the right answer in a world where it is known, and equals a slow obvious
version of itself.
"""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.metrics.pairwise import cosine_similarity

from evaluation.worlds import split_of
from metarec.data.schema import BadInput
from metarec.evaluation.baselines import BASELINES, baselines_for
from metarec.evaluation.baselines.content import describe_items, words_of_items
from metarec.evaluation.baselines.ratings import offset_values, offsets_of, residual_matrix
from metarec.evaluation.baselines.table import TrainingTable
from metarec.evaluation.interface import Evaluated, Rates
from metarec.models.als import Als, AlsConfig
from metarec.models.base import dense
from metarec.models.ease.config import EaseConfig
from metarec.models.ease.model import Ease
from metarec.models.item_knn import ItemKnn, ItemKnnConfig
from metarec.recommendation.slate import Request

PERSONAL = ("ContentRidge", "ItemKNN", "EASE", "iALS")


@pytest.fixture(scope="module")
def fitted(rated_world):
    split = split_of(rated_world)
    models = {name: make() for name, make in BASELINES.items()}
    for model in models.values():
        model.fit(split.train, split.validation, np.random.default_rng(0))
    return models


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_scores_the_whole_catalog_for_all_at_once(fitted, rated_world, name):
    model = fitted[name]
    assert isinstance(model, Evaluated)
    requests = [
        Request(),
        Request(history=rated_world.history("space", 2), profile={"home": "north", "age": 30}),
        Request(
            history=[("nobody knows this", 5.0), *rated_world.history("garden", 1, value=1.0)],
            profile={"home": "nowhere"},
        ),
    ]
    scores = model.score(requests)
    assert scores.shape == (3, len(rated_world.data.items))
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert set(model.vocabulary.ids) == set(rated_world.data.items.vocabulary.ids)
    if name != "Random":
        one_by_one = np.concatenate([model.score([r]) for r in requests])
        assert scores == pytest.approx(one_by_one, abs=1e-5)


@pytest.mark.parametrize("name", PERSONAL)
@pytest.mark.parametrize("taste", ["space", "garden"])
def test_one_event_tells_the_taste(fitted, rated_world, name, taste):
    model = fitted[name]
    scores = model.score([Request(history=rated_world.history(taste, 1))])[0]
    mine = model.vocabulary.indexes(rated_world.items_of_taste[taste][1:])
    others = np.setdiff1d(
        np.arange(len(scores)), model.vocabulary.indexes(rated_world.items_of_taste[taste])
    )
    assert scores[mine].min() > scores[others].max()


def test_a_profile_tells_the_taste_before_any_event(fitted, rated_world):
    model = fitted["ProfilePopular"]
    north, south, unknown = model.score(
        [Request(profile={"home": "north"}), Request(profile={"home": "south"}), Request()]
    )
    space, garden = (
        model.vocabulary.indexes(rated_world.items_of_taste[t]) for t in ("space", "garden")
    )
    assert north[space].min() > north[garden].max()
    assert south[garden].min() > south[space].max()
    assert abs(unknown[space].mean() - unknown[garden].mean()) < 0.5 * abs(
        north[space].mean() - north[garden].mean()
    )


def test_popular_counts_likes_alone(fitted, rated_world):
    frame = split_of(rated_world).train.interactions.frame
    likes = frame.filter(frame["value"] >= 4).group_by("item_id").len()
    counts = dict(zip(likes["item_id"], likes["len"], strict=True))
    model = fitted["Popular"]
    scores = model.score([Request()])[0]
    assert scores * max(counts.values()) == pytest.approx(
        [counts[i] for i in model.vocabulary.ids], abs=1e-4
    )


@pytest.mark.parametrize("name", ["ItemMean+UserOffset", "RatingKNN", "ContentRidge"])
def test_raters_predict_on_the_scale_and_learn_from_support(fitted, rated_world, name):
    model = fitted[name]
    assert isinstance(model, Rates)
    item_ids = [
        rated_world.items_of_taste["space"][5],
        rated_world.items_of_taste["garden"][5],
        "nobody knows this",
    ]
    harsh, kind = (Request(history=rated_world.history("space", 4, value=v)) for v in (2.0, 5.0))
    low, high = model.rate([harsh, kind], [item_ids, item_ids])
    assert ((low >= 1) & (low <= 5) & (high >= 1) & (high <= 5)).all()
    assert high[0] > low[0]
    assert np.isfinite(high).all()
    assert [len(r) for r in model.rate([harsh, kind], [item_ids[:1], []])] == [1, 0]


def test_without_values_only_suitable_baselines_are_made(world, rated_world):
    names = [m.name for m in baselines_for(world.data)]
    assert "ItemKNN" in names
    assert "RatedPopular" not in names
    assert [m.name for m in baselines_for(rated_world.data)] == list(BASELINES)
    assert [m.name for m in baselines_for(rated_world.data, ["EASE"])] == ["EASE"]
    with pytest.raises(BadInput, match="there is no baseline 'Best'; there are Random, Popular"):
        baselines_for(world.data, ["Best"])


def test_content_ridge_refuses_to_rate_acts(world):
    split, model = split_of(world), BASELINES["ContentRidge"]()
    model.fit(split.train, split.validation, np.random.default_rng(0))
    with pytest.raises(BadInput, match="no scale to rate on"):
        model.rate([Request()], [["s00"]])


def test_no_validation_new_users_means_the_default_setting(world):
    split, model = split_of(world), BASELINES["EASE"]()
    model.fit(split.train, [], np.random.default_rng(0))
    assert model.settings["regularization"] == 1600.0
    assert np.isfinite(model.score([Request(history=world.history("space", 1))])).all()


def test_asking_an_unfitted_baseline_says_what_to_do():
    with pytest.raises(RuntimeError, match="EASE is not fitted yet; call fit"):
        BASELINES["EASE"]().score([Request()])


def test_a_repeated_item_in_a_history_counts_once_with_its_last_value(rated_world):
    table = TrainingTable.of(split_of(rated_world).train, pool=3)
    support = table.support(
        [
            Request(history=[("s00", 1.0), ("s01", 4.0), ("s00", 5.0)]),
            Request(),
            Request(history=[("?", 5.0)]),
        ]
    )
    assert support.seen.sum(axis=1).ravel().tolist() == [[2.0, 0.0, 0.0]]
    assert support.matrix(support.values)[0, table.vocabulary.indexes(["s00"])[0]] == 5.0
    assert support.liked.sum() == 2.0


def test_items_are_described_by_their_words_and_not_by_links(rated_world):
    frame = rated_world.data.items.frame
    assert all("space" in words or "garden" in words for words in words_of_items(frame))
    linked = frame.with_columns(image_url=frame["title"] + " https://a.b")
    assert not any("https" in words for words in words_of_items(linked))
    table = TrainingTable.of(rated_world.data, pool=3)
    content = describe_items(table)
    tastes = np.array([i[0] for i in table.vocabulary.ids])
    near = cosine_similarity(content)
    np.fill_diagonal(near, np.nan)
    same = tastes[:, None] == tastes[None, :]
    assert np.nanmean(near[same]) > np.nanmean(near[~same]) + 0.3


def test_rating_knn_equals_a_slow_version(rated_world):
    from metarec.evaluation.baselines.ratings import _damped, _neighbor_predictor

    split = split_of(rated_world)
    table = TrainingTable.of(split.train, pool=3)
    offsets = offsets_of(table, 2.0, 5.0)
    residuals, seen = residual_matrix(offsets, table.events).toarray(), table.events.seen.toarray()
    together = seen.T @ seen
    length = np.linalg.norm(residuals, axis=0)
    similarity = residuals.T @ residuals / np.outer(length, length) * together / (together + 4.0)
    np.fill_diagonal(similarity, 0.0)
    rest, events = csr_matrix(residuals), table.events.seen
    got = _damped(rest.T @ rest, (events.T @ events).tocsr(), length, 4.0)
    assert got.toarray() == pytest.approx(similarity, abs=1e-5)
    support = table.support(
        [
            Request(history=rated_world.history("space", 3)),
            Request(history=rated_world.history("garden", 2, value=1.0)),
        ]
    )
    mine, shown = residual_matrix(offsets, support).toarray(), support.seen.toarray()
    moved = (mine @ similarity) / (shown @ np.abs(similarity) + 1.5)
    expected = offset_values(offsets, support) + moved
    assert _neighbor_predictor(offsets, got, 1.5)(support) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["ItemKNN", "EASE", "iALS"])
def test_a_baseline_is_a_model_with_the_settings_chosen(fitted, rated_world, name):
    baseline = fitted[name]
    chosen, table = baseline.settings, baseline.table
    requests = [Request(), Request(history=rated_world.history("space", 3))]
    support = table.support(requests)
    rng = np.random.default_rng(0)
    if name == "ItemKNN":
        neighbors = len(table.vocabulary) if chosen["neighbors"] == "all" else chosen["neighbors"]
        knn = ItemKnnConfig(shrinkage=chosen["shrinkage"], neighbors=neighbors)
        users = support.users(only_liked=chosen["voters"] == "liked")
        scores = dense(ItemKnn.fit(table.behavior, rng, knn).evidence(users))
    elif name == "EASE":
        penalty = chosen["regularization"]
        published = EaseConfig(regularization=penalty, whole_histories=True, min_events=1)
        ((_, answer),) = Ease.fit(table.behavior, rng, published).answers(support.plain())
        scores = dense(answer)
    else:
        shared = {key: chosen[key] for key in ("dim", "regularization", "confidence")}
        als = AlsConfig(**shared, sweeps=8, start=0.1 / float(np.sqrt(chosen["dim"])))
        model = Als.fit(table.behavior, rng, als)
        scores = model.fold_in(support.plain()) @ model.items.T
    assert baseline.score(requests) == pytest.approx(scores + baseline.chosen.prior, abs=1e-5)


def test_likes_count_one_each_for_a_baseline(rated_world):
    table = TrainingTable.of(split_of(rated_world).train, pool=3)
    likes = table.behavior.histories
    assert set(likes.values.tolist()) == set(likes.strengths.tolist()) == {1.0}
    assert len(likes.items) == int(table.events.is_liked.sum()) < len(table.events.items)
    seen = table.behavior_of(only_liked=False).histories
    assert len(seen.items) == len(table.events.items)

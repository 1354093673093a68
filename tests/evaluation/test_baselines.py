"""Each baseline gives the right answer in a world where it is known, and equals a slow obvious
version of itself.
"""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import cosine_similarity

from evaluation.worlds import split_of
from metarec.data.schema import BadInput, DataWarning
from metarec.evaluation import baselines
from metarec.evaluation.baselines import BASELINES, baselines_for
from metarec.evaluation.baselines.content import describe_items, words_of_items
from metarec.evaluation.baselines.ease import solve
from metarec.evaluation.baselines.factors import factorise, solve_side
from metarec.evaluation.baselines.knn import cosine, count_together
from metarec.evaluation.baselines.ratings import Biases
from metarec.evaluation.baselines.ridge import ridge_weights
from metarec.evaluation.baselines.table import Events, TrainingTable
from metarec.evaluation.interface import Judged, Rates
from metarec.features.events import EventReader
from metarec.recommendation.slate import Request
from world import World

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
    assert isinstance(model, Judged)
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
    assert model.settings["reg"] == 1600.0
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


def _likes(rng, users, items, share=0.2):
    return csr_matrix((rng.random((users, items)) < share).astype(np.float32))


def _support(matrix):
    rows, items = matrix.nonzero()
    return Events(
        rows=rows,
        items=items,
        values=np.ones(len(rows)),
        is_liked=np.ones(len(rows), bool),
        is_target=np.ones(len(rows), bool),
        shape=matrix.shape,
    )


@pytest.mark.parametrize("shape", [(60, 15), (15, 60), (12, 2100)])
def test_ease_equals_its_definition_from_either_side(shape):
    rng = np.random.default_rng(0)
    users, reg = _likes(rng, *shape), 7.0
    dense = users.toarray().astype(np.float64)
    inverse = np.linalg.inv(dense.T @ dense + reg * np.eye(shape[1]))
    weights = np.eye(shape[1]) - inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    asked = _likes(rng, 5, shape[1])
    assert solve(users, reg)(_support(asked)) == pytest.approx(asked.toarray() @ weights, abs=2e-4)


def test_ials_solves_each_row_exactly_and_lowers_its_loss():
    rng = np.random.default_rng(1)
    likes, reg, alpha = _likes(rng, 40, 25), 0.7, 3.0
    likes = csr_matrix(likes.toarray() * (np.arange(40) != 3)[:, None])  # one user without likes
    fixed = rng.normal(size=(25, 4)).astype(np.float32)
    solved = solve_side(fixed, likes, reg=reg, alpha=alpha)
    dense = likes.toarray()
    for row in range(40):
        weight = 1 + alpha * dense[row]
        left = fixed.T @ (weight[:, None] * fixed) + reg * np.eye(4)
        assert solved[row] == pytest.approx(
            np.linalg.solve(left, fixed.T @ (weight * dense[row])), abs=1e-4
        )

    def loss(items):
        users = solve_side(items, likes, reg=reg, alpha=alpha)
        return ((1 + alpha * dense) * (dense - users @ items.T) ** 2).sum() + reg * (
            (users**2).sum() + (items**2).sum()
        )

    assert loss(factorise(likes, 4, reg=reg, alpha=alpha, rng=rng)) < 0.8 * loss(fixed)


def test_knn_is_the_damped_cosine():
    rng = np.random.default_rng(2)
    likes = _likes(rng, 50, 20)
    expected = cosine_similarity(likes.T.toarray())
    np.fill_diagonal(expected, 0.0)
    assert cosine(count_together(likes), 0.0).toarray() == pytest.approx(expected, abs=1e-6)
    counts = likes.toarray().sum(axis=0)
    both = likes.toarray().T @ likes.toarray()
    damped = both / (np.sqrt(np.outer(counts, counts)) + 10)
    np.fill_diagonal(damped, 0.0)
    assert cosine(count_together(likes), 10.0).toarray() == pytest.approx(damped, abs=1e-6)


def test_ridge_weights_equal_scikit_learn():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(30, 6)).astype(np.float32)
    lengths = [0, 1, 4, 9]
    rows = np.repeat(np.arange(4), lengths)
    items = np.concatenate([rng.permutation(30)[:n] for n in lengths])
    target = rng.normal(size=len(rows))
    support = Events(
        rows=rows,
        items=items,
        values=target,
        is_liked=np.ones(len(rows), bool),
        is_target=np.ones(len(rows), bool),
        shape=(4, 30),
    )
    weights = ridge_weights(features, support, target, 2.5)
    assert weights[0] == pytest.approx(np.zeros(6))
    for user in (1, 2, 3):
        own = rows == user
        theirs = Ridge(alpha=2.5, fit_intercept=False).fit(features[items[own]], target[own]).coef_
        assert weights[user] == pytest.approx(theirs, abs=1e-4)


def test_biases_find_offsets_that_made_the_values(rated_world):
    rng = np.random.default_rng(4)
    users, items = (
        np.repeat(np.arange(80), 15),
        np.concatenate([rng.permutation(30)[:15] for _ in range(80)]),
    )
    user_offset, item_offset = rng.normal(0, 1, 80), rng.normal(0, 1, 30)
    values = 3 + user_offset[users] + item_offset[items]
    events = Events(
        rows=users,
        items=items,
        values=values,
        is_liked=np.ones(len(users), bool),
        is_target=np.ones(len(users), bool),
        shape=(80, 30),
    )
    table = TrainingTable(
        data=rated_world.data,
        vocabulary=type(rated_world.data.items.vocabulary)([str(i) for i in range(30)]),
        user_ids=[str(u) for u in range(80)],
        events=events,
        reader=EventReader(),
        later=np.ones(len(users), bool),
    )
    biases = Biases.of(table, 0.0, 0.0)
    assert biases.predict(events)[users, items] == pytest.approx(values, abs=0.15)
    assert np.corrcoef(biases.item, item_offset)[0, 1] > 0.99


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
    from metarec.evaluation.baselines.ratings import _damped, _neighbour_predictor

    split = split_of(rated_world)
    table = TrainingTable.of(split.train, pool=3)
    biases = Biases.of(table, 2.0, 5.0)
    residuals, seen = biases.residuals(table.events).toarray(), table.events.seen.toarray()
    together = seen.T @ seen
    length = np.linalg.norm(residuals, axis=0)
    similarity = residuals.T @ residuals / np.outer(length, length) * together / (together + 4.0)
    np.fill_diagonal(similarity, 0.0)
    residual_matrix = csr_matrix(residuals)
    got = _damped(
        residual_matrix.T @ residual_matrix, count_together(table.events.seen), length, 4.0
    )
    assert got.toarray() == pytest.approx(similarity, abs=1e-5)
    support = table.support(
        [
            Request(history=rated_world.history("space", 3)),
            Request(history=rated_world.history("garden", 2, value=1.0)),
        ]
    )
    mine, shown = biases.residuals(support).toarray(), support.seen.toarray()
    expected = biases.predict(support) + (mine @ similarity) / (shown @ np.abs(similarity) + 1.5)
    assert _neighbour_predictor(biases, got, 1.5)(support) == pytest.approx(expected, abs=1e-5)


def test_baselines_that_data_are_too_large_for_are_left_out_with_the_reason(
    rated_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baselines, "MAX_INVERTED", 10)
    with pytest.warns(DataWarning, match="EASE inverts a matrix of .* above 10, so it is left out"):
        names = [model.name for model in baselines_for(rated_world.data)]
    assert names == [name for name in BASELINES if name != "EASE"]
    with pytest.raises(BadInput, match="EASE inverts .*; leave it out"):
        baselines_for(rated_world.data, ["EASE"])
    monkeypatch.setattr(baselines, "MAX_INVERTED", 10**6)
    monkeypatch.setattr(baselines, "MAX_TOGETHER", 100)
    with pytest.warns(DataWarning, match="ItemKNN holds up to .* pairs of items"):
        assert "ItemKNN" not in [model.name for model in baselines_for(rated_world.data)]

"""Users written as text beside the model over item tokens: what each knows, and which helped."""

import numpy as np
import pytest

from metarec.data.cold_users import split_cold_users
from metarec.data.schema import BadInput
from metarec.evaluation.evaluate import evaluate
from metarec.evaluation.own_recommender import OwnRecommender
from metarec.evaluation.report import to_text
from metarec.evaluation.users_as_text import WEIGHTS, TextRoute, compare_text_routes, with_user_text
from metarec.recommendation.slate import Request
from world import tiny_world

WORLD = tiny_world(users_per_taste=60)


@pytest.fixture(scope="module")
def evaluated():
    own = OwnRecommender(preset="tiny", encoder="tfidf")
    rows = with_user_text(own)
    return own, *rows, evaluate(WORLD.data, models=[own, *rows], baselines=["Popular"])


def test_words_alone_tell_a_taste_and_nothing_else_does(evaluated):
    _, text, _, _ = evaluated
    for taste, other in (("space", "garden"), ("garden", "space")):
        scores = text.score([Request(history=WORLD.history(taste, 3))])[0]
        own, others = (
            scores[text.vocabulary.indexes(WORLD.items_of_taste[name])] for name in (taste, other)
        )
        assert np.median(own) > others.max()
    assert np.ptp(text.score([Request()])[0]) < np.ptp(
        text.score([Request(history=WORLD.history("space", 3))])[0]
    )


def test_together_is_the_weighted_sum_at_the_nearest_number_of_events(evaluated):
    own, text, both, _ = evaluated
    assert set(both.weights.values()) <= set(WEIGHTS)
    both.weights = {0: 0.0, 1: 0.5, 5: 0.0}
    requests = [Request(history=WORLD.history("space", n_support)) for n_support in (0, 1, 2, 4)]
    extra = both.score(requests) - own.score(requests)
    np.testing.assert_allclose(
        extra, np.array([0, 0.5, 0.5, 0])[:, None] * text.score(requests), atol=1e-5
    )


def test_the_report_says_which_helped(evaluated):
    own, text, both, found = evaluated
    said = compare_text_routes(found, [text, both])
    assert found.models == [own.name, text.name, both.name] and text.name in to_text(found)
    gaps = found.curve.per_user[text.name]["ndcg@10"] - found.curve.per_user[own.name]["ndcg@10"]
    np.testing.assert_allclose(
        [cell["mean"] for cell in said[text.name]], gaps.mean(axis=1), atol=1e-6
    )
    assert all(cell["low"] <= cell["mean"] <= cell["high"] for cell in said[both.name])
    assert said["sentence"].startswith("Users written as text, NDCG@10 to metarec: alone ")
    found.curve.per_user[text.name]["ndcg@10"][:] = 0.0
    assert (
        f"clearly worse at {', '.join(map(str, found.curve.support_sizes))} known items"
        in compare_text_routes(found, [text, both])["sentence"]
    )


def test_a_route_without_words_is_refused():
    split = split_cold_users(WORLD.data, rng=np.random.default_rng(0))
    own = OwnRecommender(preset="tiny", encoder="none")
    text = TextRoute(beside=own)
    with pytest.raises(
        BadInput, match="'metarec', whose encoder reads the users, is not fitted yet"
    ):
        text.fit(split.train, [], np.random.default_rng(0))
    with pytest.raises(BadInput, match="with encoder 'none', which reads nothing"):
        with_user_text(own)  # before anything is fitted
    own.fit(split.train, [], np.random.default_rng(0))
    with pytest.raises(
        BadInput,
        match="with encoder 'none', which reads nothing; name one, such as minilm or tfidf",
    ):
        text.fit(split.train, [], np.random.default_rng(0))

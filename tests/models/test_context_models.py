"""Friends, place and search by hand; what the models of a request's context say on tiny tables."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

from context_world import context_world
from metarec.data.dataset import Dataset
from metarec.data.relations import Relations
from metarec.features.histories import Histories
from metarec.features.request_context import RequestContext
from metarec.features.searches import words_of
from metarec.features.training_context import Acts, TrainingContext
from metarec.features.users import UserBatch
from metarec.models.context.choosing import likeliest
from metarec.models.context.config import ContextConfig
from metarec.models.context.lifts import (
    Way,
    by_content_of,
    lifts_of,
    popularity_of,
    ratios_of,
    tables_of,
)
from metarec.models.context.model import Context
from metarec.models.friends import Friends, FriendsConfig, _similar
from metarec.models.location.known_places import log_likelihood, users_of_short_support
from metarec.models.location.model import Location, LocationConfig, _log_likelihoods
from metarec.models.search import Search, _tf_idf
from metarec.recommendation.fitting.reading import Reading
from metarec.recommendation.settings import Settings
from metarec.runtime.progress import silent
from world import behavior_of

BERLIN, POTSDAM, MUNICH = (52.52, 13.405), (52.39, 13.06), (48.137, 11.575)


def _users(**known: object) -> UserBatch:
    nothing = RequestContext.unknown(1)
    fields = {name: getattr(nothing, name) for name in nothing.__dataclass_fields__}
    return UserBatch(
        support=Histories.of_indexes([np.zeros(0, np.int64)]),
        profiles=np.zeros((1, 0), np.float32),
        context=RequestContext(**{**fields, **known}),  # type: ignore[arg-type]
    )


@pytest.fixture
def friends() -> Friends:
    """User 0 knows 1, who knows 0 and 2; each took the item of their number."""
    graph = np.array([[0, 1, 0], [0.5, 0, 0.5], [0, 1, 0]], np.float32)
    return Friends(
        taken=sp.csr_matrix(np.eye(3, dtype=np.float32)),
        graph=sp.csr_matrix(graph),
        config=FriendsConfig(second_step=0.5),
    )


def test_friends_speak_and_their_friends_less(friends: Friends) -> None:
    told = friends.evidence(_users(friends=sp.csr_matrix([[0, 1.0, 0]])))

    np.testing.assert_allclose(told.toarray(), [[0.25, 1.0, 0.25]])


def test_nobody_is_their_own_friend_of_a_friend(friends: Friends) -> None:
    known = _users(friends=sp.csr_matrix([[0, 1.0, 0]]), members=np.array([0]))

    np.testing.assert_allclose(friends.evidence(known).toarray(), [[0.0, 1.0, 0.5]])


def test_who_names_no_friend_gets_no_evidence(friends: Friends) -> None:
    assert friends.evidence(_users()).nnz == 0
    assert friends.evidence(_users(friends=sp.csr_matrix((1, 3)))).nnz == 0


def test_a_friend_without_friends_speaks_alone(friends: Friends) -> None:
    """Asked together with what the user took, by which friends who agree say more."""
    alone = replace(friends, graph=sp.csr_matrix((3, 3), dtype=np.float32))
    support = Histories.of_indexes([np.array([1])])
    users = replace(_users(friends=sp.csr_matrix([[0, 1.0, 0]])), support=support)
    told = alone.evidence(users)

    assert told.toarray().argmax() == 1


def test_users_like_friends_speak_the_less_the_more_friends_are_named() -> None:
    """Users 0, 1 and 2 each took the item of their number; user 2 took much the same as 0 and 1."""
    alike = sp.csr_matrix(np.array([[0, 0, 1], [0, 0, 1], [1, 1, 0]], np.float32))
    known = Friends(
        taken=sp.csr_matrix(np.eye(3, dtype=np.float32)),
        graph=sp.csr_matrix((3, 3), dtype=np.float32),
        similar=alike,
        config=FriendsConfig(few=2.0, similar_step=0.6),
    )
    one = known.evidence(_users(friends=sp.csr_matrix([[1.0, 0, 0]])))
    two = known.evidence(_users(friends=sp.csr_matrix([[1.0, 1.0, 0]])))
    itself = _users(friends=sp.csr_matrix([[1.0, 0, 0]]), members=np.array([2]))

    np.testing.assert_allclose(one.toarray(), [[0.5, 0.0, 0.6]], rtol=1e-6)
    np.testing.assert_allclose(two.toarray(), [[0.5, 0.5, 0.6]], rtol=1e-6)
    np.testing.assert_allclose(known.evidence(itself).toarray(), [[0.5, 0.0, 0.0]])


def test_users_are_similar_by_rare_items_more_than_by_common_ones() -> None:
    """All but user 4 took item 0; 0 and 1 share item 1, 0 and 2 share nothing rarer."""
    took = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1], [0, 0, 1, 1]])
    similar = _similar(sp.csr_matrix(took.astype(np.float32)), kept=2).toarray()

    assert similar[0, 1] > 0.99
    assert 0 < similar[0, 2] < 0.5
    assert not similar.diagonal().any()
    assert similar[0, 4] == 0


def test_items_that_most_users_took_are_not_compared_where_that_costs_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    took = sp.csr_matrix(np.array([[1, 1], [1, 1], [1, 0], [0, 1]], np.float32))
    more = sp.csr_matrix(np.array([[1, 1], [1, 1], [1, 0], [1, 0], [0, 0.5]], np.float32))
    monkeypatch.setattr("metarec.models.friends.MAX_PAIRS", 20)

    assert _similar(took, kept=3)[0, 2] > 0
    assert _similar(more, kept=3)[0, 2] == 0
    assert _similar(more, kept=3)[0, 4] > 0


def test_friends_saved_before_similar_users_were_kept_say_what_they_said(friends: Friends) -> None:
    again = Friends.from_arrays(friends.arrays(), friends.config)
    users = _users(friends=sp.csr_matrix([[0, 1.0, 0]]))

    assert "similar_data" not in friends.arrays()
    np.testing.assert_array_equal(
        again.evidence(users).toarray(), friends.evidence(users).toarray()
    )


@pytest.fixture
def place() -> Location:
    return Location(
        places=np.array([BERLIN, POTSDAM, MUNICH, (np.nan, np.nan)]),
        popularity=np.full(4, 0.25, np.float32),
        scale=8.0,
        power=1.0,
        location=1.0,
        exponent=1.0,
    )


def test_distances_are_those_of_the_map(place: Location) -> None:
    assert place.km_to(np.array(BERLIN), 1) == pytest.approx(27.5, abs=0.5)
    assert place.km_to(np.array(BERLIN), 2) == pytest.approx(504, abs=3)
    assert np.isnan(place.km_to(np.array(BERLIN), 3))


def test_the_nearer_the_more_and_nothing_without_a_place(place: Location) -> None:
    here = place.evidence(_users(location=np.array([BERLIN])))[0]

    assert here[0] > here[1] > here[2] > here[3] == 0.0
    assert not place.evidence(_users()).any()


def test_the_date_line_is_no_wall(place: Location) -> None:
    islands = place.with_places(np.array([(0.0, 179.9), (0.0, 170.0)]))

    assert islands.km_to(np.array([0.0, -179.9]), 0) == pytest.approx(22.2, abs=0.1)


def test_the_setting_is_chosen_under_which_the_evidence_is_likeliest() -> None:
    reading = Reading.of(
        context_world(),
        Settings(preset="tiny", encoder="none"),
        policy=None,
        horizon=None,
        user_weights=None,
        progress=silent,
    )
    config = LocationConfig(scales=(0.1, 1.0, 9.0), locations=(0.1, 1.0), floor=0.01)
    chosen = Location.fit(reading.behavior, np.random.default_rng(0), config)

    users, asked = users_of_short_support(reading.behavior, np.arange(72))
    fields = "scale", "power", "location", "exponent"
    lists = config.scales, config.powers, config.locations, config.exponents
    tried = [replace(chosen, **dict(zip(fields, one, strict=True))) for one in product(*lists)]
    slow = [log_likelihood(setting.evidence(users), asked) for setting in tried]
    decays = list(product(config.scales, config.powers))
    fast = _log_likelihoods(chosen, reading.behavior, np.arange(72), decays)
    np.testing.assert_allclose(fast.ravel() / 72, slow, rtol=1e-5)
    best = tried[int(np.argmax(slow))]
    assert [getattr(chosen, name) for name in fields] == [getattr(best, name) for name in fields]
    assert (best.scale, best.exponent) == (9.0, 1.0)  # not where the search starts


def test_columns_that_tell_nothing_and_unknown_values_say_nothing() -> None:
    context = Context(
        lifts=np.array([[0, 0], [1, -1], [0, 0], [5, -5]], np.float32),
        starts=np.array([0, 2]),
        is_read=np.array([True, False]),
        names=("mood", "device"),
        popularity=np.array([0.5, 0.5], np.float32),
        weight=1.0,
        by_content=np.zeros((1, 4), np.float32),
    )

    said = context.evidence(_users(circumstances=np.array([[1, 1]])))

    np.testing.assert_allclose(said, [[0.5 * np.e, 0.5 / np.e]], rtol=1e-6)
    assert not context.evidence(_users(circumstances=np.array([[0, 1]]))).any()
    assert not context.evidence(_users()).any()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Trekking-Poles 2", ["trekking", "poles", "2"]),
        ("登山帐篷", ["登山", "山帐", "帐篷"]),
        ("USB线", ["usb", "线"]),
        ("!?", []),
    ],
)
def test_words_of_queries_in_any_script(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def _hourly_acts(rng: np.random.Generator, n: int = 2000) -> Acts:
    """Each item is chosen in the six hours of its group more often."""
    items = rng.integers(0, 80, n)
    own = items // 20 * 6 + rng.integers(0, 6, n)
    hours = np.where(rng.random(n) < 0.4, own, rng.integers(0, 24, n))
    return _acts(np.arange(n) // 20, items, np.stack([hours + 1, rng.integers(1, 4, n)], axis=1))


def _acts(owners: np.ndarray, items: np.ndarray, codes: np.ndarray) -> Acts:
    """Acts without times and places."""
    return Acts(
        owners=owners,
        items=items,
        times=np.full(len(items), np.nan),
        codes=codes,
        locations=np.full((len(items), 2), np.nan),
    )


def _likeliest(kept: Acts, asked: Acts, sizes: np.ndarray, content: np.ndarray) -> list[Way | None]:
    """The ways of two columns."""
    return likeliest(kept, asked, sizes, content, ContextConfig()).ways


@pytest.mark.parametrize("seed", range(3))
def test_items_chosen_alike_teach_each_other(seed: int) -> None:
    rng, sizes, content = np.random.default_rng(seed), np.array([25, 4]), np.zeros((80, 0))
    kept, asked = _hourly_acts(rng), _hourly_acts(rng)

    def hits(way: Way) -> float:
        lifts, _ = lifts_of(tables_of(kept, sizes, 80), content, [way, way], 0.02)
        best = np.argsort(-lifts[1:25], axis=1)[:, :10] // 20
        return float((best == np.arange(24)[:, None] // 6).mean())

    hours, device = _likeliest(kept, asked, sizes, content)
    assert device is None
    assert hours is not None and hits(hours) > 0.9 > hits(replace(hours, by_axes=False))


def _walks(rng: np.random.Generator, n: int = 3000) -> Acts:
    """Of 300 items the first hundred are parks: one of twenty visits there is in rain, of others
    eight. Hours say nothing.
    """
    items = rng.integers(0, 300, n)
    rain = rng.random(n) < np.where(items < 100, 0.05, 0.4)
    return _acts(np.arange(n) // 10, items, np.stack([rain + 1, rng.integers(1, 25, n)], axis=1))


@pytest.mark.parametrize("seed", range(3))
def test_items_alike_in_content_teach_each_other(seed: int) -> None:
    """With ten visits of each item, the next hundred parks too, which nobody has visited."""
    rng, sizes = np.random.default_rng(seed), np.array([3, 25])
    is_park = np.repeat([1.0, 0.0, 1.0], [100, 200, 100])
    content = np.stack([is_park, 1 - is_park, *rng.normal(size=(8, 400)) * 0.1], axis=1)
    kept, asked = _walks(rng), _walks(rng)
    ways = _likeliest(kept, asked, sizes, content)
    lifts, by_content = lifts_of(tables_of(kept, sizes, 400), content, ways, 0.02)

    assert ways[0] is not None and ways[1] is None
    assert not lifts[3:].any() and not by_content[:, 3:].any()
    wanted = np.where(is_park > 0, np.log(0.05 / 0.283), np.log(0.4 / 0.283))
    assert np.abs(lifts[2] - wanted).mean() < 0.35
    assert lifts[2, 300:].mean() < -1.0
    np.testing.assert_allclose(
        np.log(ratios_of(content[300:], by_content, 0.02))[2], lifts[2, 300:], atol=1e-4
    )


def test_each_column_is_shrunk_its_own_way() -> None:
    """Weather by what parks have in common, hours by what is chosen at the same hours."""
    rng, sizes = np.random.default_rng(0), np.array([25, 3])
    both = [_hourly_acts(rng, 6000) for _ in range(2)]
    rain = [rng.random(6000) < np.where(acts.items % 2, 0.1, 0.4) for acts in both]
    kept, asked = (
        replace(acts, codes=np.stack([acts.codes[:, 0], wet + 1], axis=1))
        for acts, wet in zip(both, rain, strict=True)
    )
    content = np.eye(2)[np.arange(80) % 2]
    hours, weather = _likeliest(kept, asked, sizes, content)

    assert hours is not None and hours.by_axes
    assert weather is not None and weather.content_damping is not None


def test_the_way_of_a_column_is_the_one_under_which_acts_are_likeliest() -> None:
    rng, sizes = np.random.default_rng(0), np.array([3, 25])
    content = np.eye(2)[(np.arange(300) < 100).astype(int)]
    kept, asked = _walks(rng), _walks(rng)
    popularity = popularity_of(kept, 300).astype(np.float64)

    def gain(way: Way, weight: float = 1.0) -> float:
        lifts = lifts_of(tables_of(kept, sizes, 300), content, [way, None], 0.9)[0]
        scores = popularity * np.exp(weight * lifts[asked.codes[:, 0]].astype(np.float64))
        told = scores[np.arange(len(scores)), asked.items] / scores.sum(1)
        return float(np.log(told / popularity[asked.items]).mean())

    config = ContextConfig(damping=(1.0, 10.0, 100.0), weights=(0.25, 1.0, 8.0), min_ratio=0.9)
    found = likeliest(kept, asked, sizes, content, config)

    gains = [gain(way) for way in config.tried]
    assert len(gains) == 18
    best = config.tried[int(np.argmax(gains))]
    assert found.ways == [best, None]
    assert found.weight == max(config.weights, key=lambda weight: gain(best, weight))


def test_content_says_nothing_of_columns_that_it_does_not_bear_on() -> None:
    table = np.stack([np.zeros(4), np.full(4, 10.0), np.full(4, 30.0)])

    (weights,) = by_content_of([table], np.eye(4), 10.0)

    np.testing.assert_allclose(ratios_of(np.eye(4), weights, 0.02)[1:], 1.0, atol=0.02)


def test_a_changed_text_is_read_and_the_others_stay_as_they_were() -> None:
    words = ("blue", "green", "tent")
    index = {word: place for place, word in enumerate(words)}

    def read(texts: list[str]) -> sp.csr_matrix:
        return _tf_idf([words_of(text) for text in texts], index, len(texts), rarity)[0]

    rarity = np.array([1.0, 2.0, 3.0], np.float32)
    before = read(["blue tent", "green", ""])
    model = Search(words=words, taken=sp.csr_matrix((3, 3)), texts=before, rarity=rarity)

    found = model.with_texts(np.array([2, 0]), ["Blue", "green tent, unknown"])

    whole = read(["green tent", "green", "blue"])
    np.testing.assert_array_equal(found.texts.toarray(), whole.toarray())
    assert found.texts.nnz == whole.nnz
    np.testing.assert_array_equal(model.texts.toarray(), before.toarray())


def test_what_one_user_repeats_counts_once() -> None:
    """A hundred uses at night by one user are no sign that others use the item at night."""
    owners, nights = np.repeat([0, 1, 2, 3], [100, 1, 1, 1]), np.repeat([1, 2], [100, 3])
    acts = _acts(owners, np.zeros(103, np.int64), nights[:, None])
    (table,) = tables_of(acts, np.array([3]), 1)

    np.testing.assert_allclose(table[:, 0], [0.0, 1.0, 3.0])


def test_a_word_of_one_searcher_alone_is_kept_only_where_items_have_it() -> None:
    """It may say who they are, and a model keeps its words when that user is forgotten."""
    data = context_world(users=16)
    told = [("u0", "Maeve Oyelaran thing"), ("u1", "Thing for rent"), ("u2", "rent")]
    searches = pl.DataFrame(told, schema=["user_id", "query"], orient="row")
    relations = Relations.of(None, searches.with_columns(timestamp=pl.lit(1.7e9)))
    data = Dataset(interactions=data.interactions, items=data.items, relations=relations)
    ids = data.interactions.frame["user_id"].unique(maintain_order=True).to_list()
    context = TrainingContext.of(data, data.items, ids, data.items.titles())
    behavior = replace(behavior_of([np.arange(3)] * len(ids), len(data.items)), context=context)

    model = Search.fit(behavior, np.random.default_rng(0))

    kept = [word for word in model.words if not word.isdigit()]
    assert kept == ["rent", "thing"]
    assert np.diff(model.taken.indptr)[[model.words.index(word) for word in kept]].all()

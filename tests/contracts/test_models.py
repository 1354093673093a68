"""What every model of the registry must do: save and load, batches, new items, untouched inputs,
and reading what it declares and nothing else.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

from context_world import context_world
from metarec import BadInput, Dataset, Recommender, Request
from metarec.data.cleaning_config import OFF
from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.base import READABLE, GrowsByRows, Model, ScoresSubset, dense
from metarec.models.few_shot.learners import LEARNERS
from metarec.models.registry import (
    ADAPTIVE_DECODERS,
    BEHAVIOR_ENCODERS,
    MODELS,
    REPEAT,
    USER_TEXT,
    config_of,
)
from metarec.recommendation.fitting.fit import behavior_of

TWO_TOWER = "bert_two_tower"
"""Reads users by a pretrained encoder; tests of its own give it one."""
QUICK: Mapping[str, Mapping[str, Any]] = {
    "deep_set": {"steps": 8},
    **dict.fromkeys(BEHAVIOR_ENCODERS, {"steps": 8}),
    **dict.fromkeys(ADAPTIVE_DECODERS, {"steps": 8, "outer_steps": 2}),
}


@pytest.fixture(scope="module")
def world() -> Recommender:
    """A world of friends, places, circumstances and searches, with ratings, homes and texts."""
    data, rng = context_world(), np.random.default_rng(0)
    events, groups = data.interactions.frame, "tea rope ink oak".split()
    titles = [f"thing {n} of {groups[n // 12]}" for n in range(48)]
    users = pl.DataFrame(
        {"user_id": [f"u{n}" for n in range(72)], "home": [f"h{n % 4}" for n in range(72)]}
    )
    rated = Dataset(
        interactions=events.with_columns(
            value=pl.Series(rng.integers(1, 6, events.height), dtype=pl.Float32),
            timestamp=pl.col("timestamp") + pl.Series(rng.integers(0, 50, events.height)),
        ),
        items=data.items.frame.with_columns(title=pl.Series(titles)),
        users=users,
        relations=data.relations,
        cleaning=OFF,  # repeats are meant
    )
    return Recommender.fit(rated, "tiny", encoder="tfidf")


@pytest.fixture(scope="module")
def behavior(world: Recommender) -> Behavior:
    learned = behavior_of(world)
    return replace(learned, taste=learned.content)  # as another data set might have told it


@pytest.fixture(scope="module")
def asked(world: Recommender) -> UserBatch:
    """Three users of whom everything is known."""
    requests = [
        Request(
            history=[(f"i{12 * n + k}", value) for k, value in ((1, 5.0), (3, 2.0), (4, 4.0))],
            profile={"home": f"h{n}"},
            context={"mood": ("tea", "rope", "ink")[n]},
            location=((52.5, 13.4), (48.1, 11.6), (50.1, 8.7))[n],
            friends=[f"u{n}", f"u{n + 4}"],
            searches=[("tea please", "rope please", "ink please")[n]],
        )
        for n in range(3)
    ]
    return world.users(requests)[0]


@pytest.fixture(scope="module")
def repeating() -> Behavior:
    """Users who take again what they took oftenest, last, and most strongly, of the same items."""
    rng, rows = np.random.default_rng(0), []
    for user in range(72):
        drawn: dict[int, float] = {}
        for at in range(24):
            if drawn and rng.random() < 0.6:
                liking = np.array(list(drawn.values()))
                item = int(rng.choice(list(drawn), p=liking / liking.sum()))
            else:
                item = int(rng.integers(48))
            kind = "purchase" if rng.random() < 0.6 else "view"
            drawn = {known: 0.7 * liking for known, liking in drawn.items()}
            drawn[item] = drawn.get(item, 0.0) + (3.0 if kind == "purchase" else 0.5)
            rows.append((f"u{user}", f"i{item}", kind, 1.6e9 + 100 * at))
    events = pl.DataFrame(rows, ["user_id", "item_id", "kind", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{n}" for n in range(48)]})
    data = Dataset(interactions=events, items=items, cleaning=OFF)
    return behavior_of(Recommender.fit(data, "tiny", encoder="none"))


@pytest.fixture(scope="module", params=[n for n in MODELS if n != TWO_TOWER])
def fitted(
    request: pytest.FixtureRequest, behavior: Behavior, repeating: Behavior
) -> tuple[str, Model]:
    name = request.param
    behavior = repeating if name == REPEAT else behavior
    quick = {"outer_steps": 3} if name in LEARNERS else QUICK.get(name, {})
    before = copy.deepcopy(behavior.histories.values), behavior.content.copy()
    model = MODELS[name].fit(behavior, np.random.default_rng(0), config_of(name, quick))
    np.testing.assert_array_equal(before[0], behavior.histories.values)
    np.testing.assert_array_equal(before[1], behavior.content)
    return name, model


def evidence(model: Model, users: UserBatch) -> np.ndarray:
    return np.array(dense(model.evidence(users)))


def changed(users: UserBatch, support: Histories) -> UserBatch:
    return replace(users, support=support)


def _rolled(users: UserBatch) -> UserBatch:
    turned = np.arange(len(users.support.items)).reshape(3, 3)[:, [2, 1, 0]].ravel()
    names = ("items", "values", "strengths", "is_rated", "is_target", "kinds", "times", "counts")
    support = users.support
    return changed(users, replace(support, **{n: getattr(support, n)[turned] for n in names}))


def _context(users: UserBatch, **fields: Any) -> UserBatch:
    return replace(users, context=replace(users.context, **fields))


CHANGES: dict[str, Callable[[UserBatch], UserBatch]] = {
    "item": lambda u: changed(u, replace(u.support, items=(u.support.items + 17) % 48)),
    "rating": lambda u: changed(u, replace(u.support, values=6.0 - u.support.values)),
    "strength": lambda u: changed(
        u, replace(u.support, strengths=np.tile(np.float32([0.2, 1.0, 0.5]), 3))
    ),
    "count": lambda u: changed(
        u, replace(u.support, counts=np.tile(np.float32([1.0, 4.0, 9.0]), 3))
    ),
    "kind": lambda u: changed(u, replace(u.support, kinds=1 - u.support.kinds.clip(0, 1))),
    "time": lambda u: changed(
        u, replace(u.support, times=1.7e9 + np.tile([0.0, 60.0, 9e5], 3).cumsum())
    ),
    "order": _rolled,
    "profile": lambda u: replace(
        u, profiles=u.profiles[::-1].copy(), attributes=list(u.attributes)[::-1]
    ),
    "location": lambda u: _context(u, location=u.context.location[::-1].copy()),
    "friends": lambda u: _context(u, friends=sp.csr_matrix(u.context.friends[::-1])),
    "searches": lambda u: _context(u, searches=list(u.context.searches)[::-1]),
    "context": lambda u: _context(u, circumstances=u.context.circumstances[::-1].copy()),
}
"""What may be read -> users of whom only that is another."""


def test_it_reads_what_it_declares_and_nothing_else(
    fitted: tuple[str, Model], asked: UserBatch
) -> None:
    name, model = fitted
    assert set(CHANGES) == READABLE - {"text"} and model.reads <= READABLE
    before = evidence(model, asked)
    moved = {
        what
        for what, change in CHANGES.items()
        if not np.allclose(evidence(model, change(asked)), before, rtol=1e-4, atol=1e-9)
    }
    # What text tells depends on the encoder: TF-IDF knows the words of titles alone.
    assert moved == (model.reads - {"text"} if name != USER_TEXT else {"item"}), name
    assert ("text" in model.reads) == (name == USER_TEXT)


def test_a_batch_is_its_users_one_by_one_and_is_left_as_it_was(
    fitted: tuple[str, Model], asked: UserBatch
) -> None:
    kept = copy.deepcopy(asked)
    whole = evidence(fitted[1], asked)
    assert whole.shape == (3, 48) and whole.min() >= 0 and np.isfinite(whole).all()
    alone = [evidence(fitted[1], asked.rows(np.array([row]))) for row in range(3)]
    np.testing.assert_allclose(np.concatenate(alone), whole, rtol=2e-4, atol=1e-6)
    for name in ("items", "values", "strengths"):
        np.testing.assert_array_equal(getattr(asked.support, name), getattr(kept.support, name))
    np.testing.assert_array_equal(asked.profiles, kept.profiles)


def test_some_items_get_what_they_get_among_all(
    fitted: tuple[str, Model], asked: UserBatch
) -> None:
    model, items = fitted[1], np.array([1, 5, 11, 20, 26, 30, 44, 47])
    if not isinstance(model, ScoresSubset):
        return
    whole, some = evidence(model, asked)[:, items], model.evidence_of(asked, items)
    share, wanted = (of / np.maximum(of.sum(1, keepdims=True), 1e-12) for of in (some, whole))
    np.testing.assert_allclose(share, wanted, rtol=1e-3, atol=1e-6)
    in_turn = [model.evidence_of(asked, part) for part in np.split(items, [3])]
    np.testing.assert_allclose(np.concatenate(in_turn, axis=1), some, rtol=1e-3, atol=1e-9)
    assert model.vectors_of(items).shape[0] == len(items)


def test_rows_that_changed_are_as_in_the_whole_catalog(
    fitted: tuple[str, Model], asked: UserBatch, behavior: Behavior
) -> None:
    model = fitted[1]
    if not isinstance(model, GrowsByRows):
        return
    content = np.concatenate([behavior.content, behavior.content[:2]])
    content[5] = content[30]
    popularity = np.random.default_rng(0).dirichlet(np.ones(50)).astype(np.float32)
    rows = model.with_rows(content, popularity, np.array([5, 48, 49]))
    whole = model.with_content(content, popularity)
    np.testing.assert_allclose(evidence(rows, asked), evidence(whole, asked), rtol=1e-5)


def test_saved_and_loaded_it_is_the_same(
    fitted: tuple[str, Model], asked: UserBatch, behavior: Behavior
) -> None:
    name, model = fitted
    again = MODELS[name].from_arrays(dict(model.arrays()), model.config)
    if "text" in model.reads:
        again = again.with_words(behavior.words)  # type: ignore[attr-defined]  # of such alone
    np.testing.assert_allclose(evidence(again, asked), evidence(model, asked), rtol=1e-5, atol=1e-7)
    assert again.config == model.config


def test_new_items_are_appended_and_the_others_stay(
    fitted: tuple[str, Model], asked: UserBatch, behavior: Behavior
) -> None:
    content = np.concatenate([behavior.content, behavior.content[:2]])
    popularity = np.full(50, 1 / 50, np.float32)
    grown = evidence(fitted[1].with_content(content, popularity), asked)
    before = evidence(fitted[1], asked)
    assert grown.shape == (3, 50) and np.isfinite(grown).all()
    for row in np.flatnonzero(before.any(1)):
        if fitted[0] in (
            "content",
            "transferred",
            "location",
            "context",
        ):  # times popularity, which is told anew
            continue
        shares = grown[row, :48] / grown[row, :48].sum()
        np.testing.assert_allclose(shares, before[row] / before[row].sum(), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", [n for n in MODELS if n != TWO_TOWER])
def test_it_is_fitted_where_no_user_took_a_target(behavior: Behavior, name: str) -> None:
    """So it is where the one user who did is held out."""
    quick = {"outer_steps": 3} if name in LEARNERS else QUICK.get(name, {})
    histories = behavior.histories
    looked = replace(histories, is_target=np.zeros_like(histories.is_target))
    nobody = replace(behavior, histories=looked, whole=looked, repeats=None)
    assert not nobody.targets.lengths.any()

    try:
        model = MODELS[name].fit(nobody, np.random.default_rng(0), config_of(name, quick))
    except BadInput as refused:  # a model over events alone has nothing to say then
        assert name in {*BEHAVIOR_ENCODERS, *ADAPTIVE_DECODERS}
        assert "give more events per user" in str(refused)
        return

    found = evidence(model, nobody.batch_of(np.arange(2), nobody.pool.users(np.arange(2))))
    assert found.shape == (2, nobody.n_items)
    assert np.isfinite(found).all()
    assert (found >= 0).all()

"""Candidates of a large catalog: slates as if everything were scored, whatever is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from metarec import Dataset, Recommender, Request
from metarec.models.base import LARGE
from metarec.recommendation.candidates import retrieval
from metarec.recommendation.candidates.cells import Cells
from metarec.recommendation.candidates.retrieval import Retrieval
from metarec.recommendation.filters import filter_mask
from metarec.recommendation.fitting.fit import behavior_of
from metarec.recommendation.ordering.rules import Rules
from metarec.recommendation.ranking import SlateOptions
from metarec.recommendation.stages import retrieve
from metarec.recommendation.stages.retrieve import fit_retrieval

N_ITEMS, GROUPS, USERS = 12_000, 40, 80


def events(rng: np.random.Generator) -> pl.DataFrame:
    """Users who keep to their group, popular items first; a tenth is disliked."""
    users = np.repeat(np.arange(USERS), 14)
    ranks = np.minimum(rng.pareto(0.7, len(users)) * 4, N_ITEMS // GROUPS - 1).astype(int)
    group = np.where(
        rng.random(len(users)) < 0.8, users % GROUPS, rng.integers(0, GROUPS, len(users))
    )
    return pl.DataFrame(
        {
            "user_id": [f"u{user}" for user in users],
            "item_id": [f"i{item}" for item in ranks * GROUPS + group],
            "kind": rng.choice(["purchase", "dislike"], len(users), p=[0.9, 0.1]),
            "timestamp": 1.6e9 + np.sort(rng.random(len(users)) * 3e7),
        }
    ).unique(["user_id", "item_id"], maintain_order=True)


@pytest.fixture(scope="module")
def exact() -> Recommender:
    items = np.arange(N_ITEMS)
    catalog = pl.DataFrame(
        {
            "item_id": [f"i{item}" for item in items],
            "categories": [f"g{item % GROUPS}" for item in items],
            "price": (items * 7919) % 1000,
        }
    )
    data = Dataset(interactions=events(np.random.default_rng(0)), items=catalog)
    return Recommender.fit(data, "tiny", encoder="none")


@pytest.fixture(scope="module")
def model(exact: Recommender) -> Recommender:
    found = fit_retrieval(exact, behavior_of(exact), np.random.default_rng(0))
    return replace(exact, retrieval=found)


def requests(n: int = 40) -> list[Request]:
    rng = np.random.default_rng(5)
    return [
        Request(history=[f"i{g + GROUPS * int(place)}" for place in rng.integers(0, 9, 1 + g % 5)])
        for g in (rng.integers(0, GROUPS, n))
    ]


def overlap(model: Recommender, exact: Recommender, asked: list[Request], **options) -> float:
    """Share of places that the whole catalog gives to these items, or to others as good."""
    shares, scores = [], exact.score(asked)
    found, wanted = model.recommend(asked, **options), exact.recommend(asked, **options)
    for row, (slate, best) in enumerate(zip(found, wanted, strict=True)):
        assert len(slate.item_ids) == len(best.item_ids)
        told = scores[row, model.vocabulary.indexes(slate.item_ids)]
        shares.append((told >= best.scores.min() - 1e-4).mean())
    return float(np.mean(shares))


def test_a_small_catalog_is_scored_whole(exact: Recommender) -> None:
    assert len(exact.catalog) < LARGE
    assert exact.retrieval is None
    asked = requests(3)
    slates = exact.recommend(asked)
    scores = exact.score(asked)
    for row, slate in enumerate(slates):
        columns = exact.vocabulary.indexes(slate.item_ids)
        np.testing.assert_array_equal(slate.scores, scores[row, columns])


def test_slates_of_candidates_are_those_of_the_whole_catalog(
    model: Recommender, exact: Recommender
) -> None:
    assert model.retrieval is not None and model.retrieval.is_near
    assert overlap(model, exact, requests()) >= 0.98
    assert overlap(model, exact, [Request()]) == 1.0
    asked = model.users(requests(1))[0]
    known = np.ones(N_ITEMS, bool)
    items, _ = retrieve.candidates(model.ensemble, None, model.retrieval, asked, known)
    assert len(items) < 0.6 * N_ITEMS


def test_the_card_says_how_near_they_come(model: Recommender) -> None:
    assert model.retrieval is not None
    assert f"{model.retrieval.overlap:.1%} of the ten best items are the exact ones" in model.card()


@pytest.mark.parametrize(
    "options",
    [
        {"filter": 'categories = "g3"'},
        {"filter": "price < 40"},
        {"filter": 'categories = "g3" and price < 100'},
        {"filter": "price >= 150"},
        {"rules": Rules(pin=("i77",), ban=("i0", "i1"))},
    ],
)
def test_what_may_be_shown_is_heeded_as_in_the_whole_catalog(
    model: Recommender, exact: Recommender, options: dict
) -> None:
    asked = requests(12)
    assert overlap(model, exact, asked, **options) >= 0.99
    for slate in model.recommend(asked, **options):
        rows = exact.vocabulary.indexes(slate.item_ids)
        shown = exact.catalog.frame[rows]
        if "filter" in options:
            assert filter_mask(options["filter"], shown).all()
        else:
            assert slate.item_ids[0] == "i77" and not {"i0", "i1"} & set(slate.item_ids)


def test_pins_that_are_no_candidates_stand_first(model: Recommender) -> None:
    asked = requests(3)
    offered = [slate.item_ids for slate in model.recommend(asked, N_ITEMS)]
    pins = sorted(set(model.vocabulary.ids).difference(*offered, *(a.history for a in asked)))[:2]
    for options in ({}, {"explore": 1.0}, {"cold_share": 0.1}, {"diversity": 0.3}):
        for slate in model.recommend(asked, rules=Rules(pin=pins), **options):
            assert slate.item_ids[:2] == pins and len(set(slate.item_ids)) == 10


def test_what_is_no_candidate_takes_no_room(model: Recommender, exact: Recommender) -> None:
    asked = requests(2)
    ranking = retrieve.retrieve(model, asked, SlateOptions(filter="price < 800"))
    assert ranking.scores.shape[1] <= 0.8 * N_ITEMS
    known = exact.vocabulary.indexes(asked[0].history)
    slates = model.recommend(asked, filter="price < 800")
    for row, slate in enumerate(slates):
        rows = exact.vocabulary.indexes(slate.item_ids)
        np.testing.assert_array_equal(
            slate.scores, ranking.scores[row, ranking.columns(rows)].astype(float)
        )
    scored = ranking.rows_at(np.arange(ranking.scores.shape[1]))
    assert not np.isfinite(ranking.scores[0, np.isin(scored, known)]).any()


def test_allowed_and_excluded_items_are_heeded(model: Recommender, exact: Recommender) -> None:
    best = exact.recommend([Request(history=["i3"])])[0].item_ids
    allow = [f"i{n}" for n in range(500, N_ITEMS, 997)]
    asked = [
        Request(history=["i3"], exclude=best),
        Request(history=["i3"], allow=allow),
        Request(history=["i3", "i43", ("i83", 1.0, "dislike")]),
        Request(history=["i3"], profile={"home": "nowhere"}),
    ]
    slates, wanted = model.recommend(asked), exact.recommend(asked)
    assert not set(best) & set(slates[0].item_ids)
    assert set(slates[1].item_ids) <= set(allow)
    for slate, other in zip(slates, wanted, strict=True):
        assert slate.item_ids == other.item_ids
        np.testing.assert_allclose(slate.scores, other.scores, atol=0.1)  # sums are estimated
        np.testing.assert_allclose(np.diff(slate.scores), np.diff(other.scores), atol=0.05)
        np.testing.assert_allclose(slate.uncertainty, other.uncertainty, atol=1e-5)


def test_words_are_looked_for_in_the_whole_catalog(model: Recommender, exact: Recommender) -> None:
    asked = [Request(history=["i3"], wish="no g3")]
    assert model.recommend(asked)[0].item_ids == exact.recommend(asked)[0].item_ids


def test_explored_slates_and_reserved_places_hold_candidates(model: Recommender) -> None:
    cold = set(model.vocabulary.names(model.cold_items.tolist()))
    slates = model.recommend(requests(30), cold_share=0.2, rng=np.random.default_rng(3))
    assert all(len(set(slate.item_ids[-2:]) & cold) == 2 for slate in slates)
    assert all((slate.propensity[-2:] < 1.0).all() for slate in slates)
    explored = model.recommend(requests(2), explore=1.0, rng=np.random.default_rng(3))
    assert all(len(slate.item_ids) == 10 for slate in explored)


def test_it_is_saved_and_loaded(model: Recommender, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model")
    for slate, other in zip(
        again.recommend(requests(5)), model.recommend(requests(5)), strict=True
    ):
        assert slate.item_ids == other.item_ids
        np.testing.assert_array_equal(slate.scores, other.scores)


def test_candidates_that_come_not_near_enough_are_not_used(
    model: Recommender, exact: Recommender
) -> None:
    assert model.retrieval is not None
    far = replace(model, retrieval=replace(model.retrieval, overlap=0.9))
    asked = requests(2)
    for slate, wanted in zip(far.recommend(asked), exact.recommend(asked), strict=True):
        np.testing.assert_array_equal(slate.scores, wanted.scores)
    assert "every item is scored" in far.card()


def test_cells_hold_every_item_once_the_popular_first() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(900, 5)).astype(np.float32)
    popularity = rng.random(900).astype(np.float32)
    cells = Cells.of(lambda items: points[items], popularity, rng)
    assert sorted(cells.members.tolist()) == list(range(900))
    for cell in range(len(cells)):
        own = cells.members[cells.starts[cell] : cells.starts[cell + 1]]
        assert (np.diff(popularity[own]) <= 0).all()
        assert (cells.cell_of[own] == cell).all() and cells.cell_of[cells.typical[cell]] == cell
        np.testing.assert_array_equal(cells.first_of(np.array([cell]), 2), own[:2])
        np.testing.assert_array_equal(cells.last_of(np.array([cell]), 2), own[-2:])
    some = popularity > 0.5
    fewer = cells.among(some)
    assert sorted(fewer.members.tolist()) == np.flatnonzero(some).tolist()
    every = fewer.first_of(np.arange(len(fewer)), 900)
    np.testing.assert_array_equal(every, fewer.members)


@pytest.fixture(scope="module")
def large(exact: Recommender, tmp_path_factory: pytest.TempPathFactory) -> Recommender:
    """The same model with as many items as make a catalog large, most of them cold, loaded."""
    n = np.arange(LARGE - N_ITEMS)
    more = {
        "item_id": [f"m{i}" for i in n],
        "categories": [f"g{i % GROUPS}" for i in n],
        "price": n % 997,
    }
    grown = exact.with_items(pl.DataFrame(more))
    found = Retrieval.of(grown.ensemble, np.random.default_rng(0))
    place = tmp_path_factory.mktemp("large") / "model"
    replace(grown, retrieval=replace(found, overlap=1.0)).save(place)
    return Recommender.load(place)


def test_a_large_catalog_is_joined_by_items_while_the_model_before_stays(
    large: Recommender, tmp_path: Path
) -> None:
    before = [slate.item_ids for slate in large.recommend(requests(3), cold_share=0.1)]
    told = {"item_id": ["fresh", "i7"], "categories": ["g3", "g9"], "price": [5, 6]}
    grown = large.with_items(pl.DataFrame(told))
    assert large.vocabulary.indexes(["fresh"])[0] == -1
    again = [slate.item_ids for slate in large.recommend(requests(3), cold_share=0.1)]
    assert again == before
    user = Request(history=["i3", "i43"], allow=["fresh", "i7"])
    assert set(grown.recommend([user])[0].item_ids) == {"fresh", "i7"}
    assert grown.retrieval is not None and "fresh" in grown.vocabulary
    assert grown.vocabulary.names(grown.retrieval.late.tolist()) == ["i7", "fresh"]
    assert grown.catalog.titles([LARGE]) == ["fresh"]
    shown = grown.recommend([Request(history=["fresh", "i3"])])[0]
    assert "fresh" not in shown.item_ids and len(shown.item_ids) == 10
    grown.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model")
    for slate, other in zip(
        loaded.recommend(requests(3)), grown.recommend(requests(3)), strict=True
    ):
        assert slate.item_ids == other.item_ids
        np.testing.assert_allclose(slate.scores, other.scores, atol=1e-4)


def test_what_joins_by_rows_scores_as_what_is_made_anew(large: Recommender) -> None:
    told = {"item_id": ["fresh", "i7"], "categories": ["g3", "g9"], "price": [5, 6]}
    large.recommend([Request()])  # which finds out what is taken over
    grown = large.with_items(pl.DataFrame(told)).with_items(pl.DataFrame({"item_id": ["last"]}))
    anew = replace(grown, ensemble=large.ensemble.with_content(grown.content))
    asked = [*requests(2), Request(history=["fresh", "i3"])]
    np.testing.assert_allclose(grown.score(asked), anew.score(asked), atol=2e-4)
    parts, whole = grown.score_components(asked[:1]), grown.score(asked[:1])
    np.testing.assert_allclose(sum(parts.values()), whole, atol=1e-3)


def test_cells_are_found_anew_where_many_items_joined(
    model: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "MAX_LATE", 3)
    told = pl.DataFrame({"item_id": [f"f{i}" for i in range(3)], "categories": ["g1"] * 3})
    grown = model.with_items(told)
    assert grown.retrieval is not None and grown.retrieval.late.tolist() == [12000, 12001, 12002]
    more = grown.with_items(pl.DataFrame({"item_id": ["f3"], "categories": ["g1"]}))
    assert more.retrieval is not None and not len(more.retrieval.late)
    assert more.retrieval.cells.n_items == N_ITEMS + 4
    assert len(more.recommend(requests(1))[0].item_ids) == 10

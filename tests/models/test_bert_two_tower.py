"""The article's score over the text encoder, adapted by MAML."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from metarec.data.dataset import Dataset
from metarec.data.read import read
from metarec.data.schema import BadInput
from metarec.evaluation.adapters import learners_for
from metarec.recommendation.slate import Request
from metarec.recommender import Recommender

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "domains" / "education"


@pytest.fixture(scope="module")
def data() -> Dataset:
    return read(EXAMPLE)


def test_adapting_beats_not_adapting_on_new_users(data: Dataset) -> None:
    users = data.interactions.frame["user_id"].unique().sort().to_list()
    new = users[::4]
    train = data.with_interactions(data.interactions.frame.filter(~pl.col("user_id").is_in(new)))
    adapted, plain = learners_for(["bert_two_tower"], encoder="tfidf")
    assert [adapted.name, plain.name] == ["bert_two_tower", "bert_two_tower, not adapted"]
    for model in (adapted, plain):
        model.fit(train, [], np.random.default_rng(0))
    goals = data.items.frame["goals"].to_list()
    index = {item: row for row, item in enumerate(data.items.frame["item_id"])}
    found: dict[str, list[float]] = {adapted.name: [], plain.name: []}
    for item in ("DA11", "WE12", "DE13", "LA11"):
        request = Request(history=[(item, None, "complete")])
        for model in (adapted, plain):
            best = np.argsort(-model.score([request])[0])[:9]
            ids = model.vocabulary.names(best.tolist())
            same = [goals[index[one]] == goals[index[item]] for one in ids]
            found[model.name].append(float(np.mean(same)))
    assert np.mean(found[adapted.name]) > np.mean(found[plain.name]) + 0.2


def test_it_joins_a_model_and_survives_its_folder(data: Dataset, tmp_path: Path) -> None:
    model = Recommender.fit(data, preset="tiny", encoder="tfidf", learner="bert_two_tower")
    assert "bert_two_tower" in model.ensemble.gate.names
    asked = [
        Request(profile={"goal": "designer"}),
        Request(history=["DA11"], profile={"goal": "data analyst"}),
    ]
    model.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model")
    assert np.array_equal(model.score(asked), loaded.score(asked))
    grown = loaded.with_items(
        pl.DataFrame({"item_id": ["DA99"], "title": ["Data Analyst practice 9"]})
    )
    parts = grown.score_components(asked)["bert_two_tower"]
    assert parts.shape == (2, len(model.catalog) + 1)
    assert np.isfinite(parts).all()


def test_without_texts_it_is_refused(data: Dataset) -> None:
    with pytest.raises(BadInput, match="encodes users and items as text"):
        Recommender.fit(data, preset="tiny", encoder="none", learner="bert_two_tower")

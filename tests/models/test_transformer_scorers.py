"""Sequence Transformers as scorers: evidence like any other's, from arrays, for items nobody has
met.
"""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from metarec.data.cold_users import Horizon
from metarec.features.behavior import Behavior
from metarec.features.items import ItemInputs
from metarec.models.registry import BEHAVIOR_ENCODERS
from metarec.models.transformer import scorer as transformers
from metarec.models.transformer.scorer import (
    CandidateTransformer,
    Caser,
    CaserConfig,
    Gru4Rec,
    MaskedTransformer,
    Transformer,
    TransformerConfig,
)
from metarec.models.transformer.sizes import SequenceSizes
from metarec.models.transformer.training_set import SequenceTraining
from metarec.recommendation.configs import config_of
from world import evidence_of, read_events, read_lists


@pytest.fixture(scope="module")
def behavior(world):
    histories, _ = read_events(world.data.interactions, world.data.items.vocabulary)
    _, content, _ = ItemInputs.fit(world.data.items, encoder="tfidf")
    return Behavior(
        histories=histories,
        profiles=np.eye(2, dtype=np.float32)[np.arange(len(histories)) % 2],
        content=content,
        relevant_from=-np.inf,
        horizon=Horizon(support_sizes=(0, 1, 3), pool=4, min_events=6),
    )


@pytest.fixture(
    scope="module",
    params=[Transformer, MaskedTransformer, CandidateTransformer, Gru4Rec, Caser],
    ids=lambda kind: kind.form,
)
def fitted(request, behavior):
    config = TransformerConfig(
        steps=150 if request.param is CandidateTransformer else 60,
        learning_rate=1e-2,
        check_every=50,
        patience=4,
        sampled=64 * (request.param is CandidateTransformer),
    )
    return request.param.fit(behavior, np.random.default_rng(0), config)


def support(world, *tastes):
    histories, _ = read_lists(
        [world.history(taste, 3) if taste else [] for taste in tastes], world.data.items.vocabulary
    )
    return histories


def test_evidence_names_the_taste(world, fitted):
    evidence = evidence_of(
        fitted, support(world, "space", "garden", None), np.zeros((3, 2), np.float32)
    )
    assert evidence.shape == (3, 24) and evidence.dtype == np.float32 and (evidence >= 0).all()
    np.testing.assert_allclose(evidence.sum(axis=1), 1, rtol=1e-5)
    space, garden = (
        world.data.items.vocabulary.indexes(world.items_of_taste[taste])
        for taste in ("space", "garden")
    )
    assert evidence[0, space].sum() > 0.8 and evidence[1, garden].sum() > 0.8
    assert evidence_of(fitted, support(world), np.zeros((0, 2), np.float32)).shape == (0, 24)


def test_comes_back_from_arrays(world, fitted):
    given = support(world, "space", None), np.eye(2, dtype=np.float32)
    again = type(fitted).from_arrays(
        {name: np.array(value) for name, value in fitted.arrays().items()}
    )
    np.testing.assert_array_equal(evidence_of(again, *given), evidence_of(fitted, *given))


def test_new_items_are_placed_by_their_content(world, fitted, behavior):
    vocabulary = world.data.items.vocabulary
    space, garden = vocabulary.indexes(
        [world.items_of_taste["space"][5], world.items_of_taste["garden"][5]]
    )
    content = np.concatenate([behavior.content, behavior.content[[space, garden]]])
    grown = fitted.with_content(content, np.full(26, 1 / 26, np.float32))
    evidence = evidence_of(grown, support(world, "space"), np.zeros((1, 2), np.float32))[0]
    assert evidence.shape == (26,) and evidence[24] > 2 * evidence[25]


def test_everyone_teaches_as_much_however_much_they_liked(behavior):
    some = np.arange(len(behavior.histories.items)) % 3 > 0
    few = replace(
        behavior, histories=behavior.histories.where(some | (behavior.histories.owners % 2 == 0))
    )
    taught = transformers._targets(few, evenness=1.0)
    assert len(set(np.diff(taught.indptr))) > 1
    totals = np.asarray(taught.sum(axis=1)).ravel()
    np.testing.assert_allclose(totals, totals[0], rtol=1e-5)
    assert taught.data.mean() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(transformers._targets(few, evenness=0.0).data, 1.0, rtol=1e-5)
    half = np.asarray(transformers._targets(few, evenness=0.5).sum(axis=1)).ravel()
    counts = np.diff(taught.indptr)
    np.testing.assert_allclose(half / half[0], np.sqrt(counts / counts[0]), rtol=1e-5)


def test_the_window_of_caser_is_set_and_saved(behavior):
    """Files of before, which do not say how wide it is, have the default."""
    users = behavior.batch_of(np.arange(3), behavior.pool.users(np.arange(3)))
    for config in (CaserConfig(steps=1, window=2, horizontal=3, vertical=1), CaserConfig(steps=1)):
        model = Caser.fit(behavior, np.random.default_rng(0), config)
        again = Caser.from_arrays(model.arrays(), config)
        assert again.network.sizes.window == config.window
        np.testing.assert_array_equal(model.evidence(users), again.evidence(users))
    arrays = dict(model.arrays())
    settings = json.loads(arrays["settings"].tobytes())
    for name in ("window", "horizontal", "vertical"):
        del settings["sizes"][name]
    arrays["settings"] = np.frombuffer(json.dumps(settings).encode(), np.uint8)
    old = Caser.from_arrays(arrays)
    np.testing.assert_array_equal(model.evidence(users), old.evidence(users))


def test_every_setting_of_training_and_size_is_one_of_a_model() -> None:
    models = {name: {one.name for one in fields(config_of(name))} for name in BEHAVIOR_ENCODERS}
    for kind, own in ((SequenceTraining, set()), (SequenceSizes, {"max_events", "tie_weights"})):
        assert {one.name for one in fields(kind)} - own <= set.union(*models.values())
    assert [name for name in models if "masked" in models[name]] == ["encoder"]
    config = config_of("encoder", {"masked": 0.5, "prefixes": 2, "positives": 3, "layers": 2})
    training = config.training()
    assert (training.masked, training.prefixes, training.positives) == (0.5, 2, 3)
    assert config.sizes(9).layers == 2 and config.sizes(9).max_events == 9
    assert config_of("caser", {"window": 7}).sizes(9).window == 7

"""Sequence Transformers: each form finds the withheld item, ignores padding, and serves users
without a history.
"""

import numpy as np
import pytest
import torch

from metarec.data.schema import BadInput
from metarec.features.events import EventReader
from metarec.features.histories import Histories
from metarec.models.transformer.encoders import CAUSAL, CaserBlock
from metarec.models.transformer.inputs import SequenceReader, log_gaps
from metarec.models.transformer.network import (
    FORMS,
    ItemVectors,
    SequenceTransformer,
    as_tensors,
)
from metarec.models.transformer.objective import Objective, _sampling_chance
from metarec.models.transformer.sizes import SequenceSizes
from metarec.models.transformer.training import train_sequence
from metarec.models.transformer.training_set import SequenceTraining, TrainingSet
from world import read_events

SIZES = SequenceSizes(dim=16, layers=1, dropout=0.0, max_events=12)


NOTHING = np.zeros((0, 0), np.int64)


def training_set(world, length=12):
    vocabulary = world.data.items.vocabulary
    histories, _ = read_events(world.data.interactions, vocabulary)
    reader = SequenceReader(value_mean=1.0)
    inputs = reader.read(histories, NOTHING, length)
    return TrainingSet(inputs=inputs, targets=histories.matrix(len(vocabulary))), reader


def scores(model, reader, world, histories):
    known = EventReader.of(world.data.interactions)
    read = known.accepted(histories, world.data.items.vocabulary)
    with torch.no_grad():
        return model.score(as_tensors(reader.read(read, NOTHING, SIZES.max_events))).numpy()


@pytest.mark.parametrize("form", FORMS)
def test_the_withheld_item_comes_first(world, form):
    data, reader = training_set(world)
    training = SequenceTraining(steps=200, learning_rate=1e-2)
    model = train_sequence(
        data,
        np.zeros((24, 0)),
        reader,
        form=form,
        sizes=SIZES,
        training=training,
        rng=np.random.default_rng(0),
    )
    users = list(world.withheld)[::8]
    histories = [world.history_of(user) for user in users]
    found = scores(model, reader, world, histories)
    vocabulary = world.data.items.vocabulary
    for row, user in enumerate(users):
        seen = vocabulary.indexes(item for item, _ in histories[row])
        found[row, seen] = -np.inf
        assert vocabulary.ids[found[row].argmax()] == world.withheld[user]
    nobody = scores(model, reader, world, [[]])
    assert np.isfinite(nobody).all() and nobody.std() < found[np.isfinite(found)].std()


@pytest.mark.parametrize("form", FORMS)
def test_batched_equals_one_by_one_and_padding_changes_nothing(world, form):
    data, reader = training_set(world)
    torch.manual_seed(0)
    model = SequenceTransformer(torch.randn(24, 5), SIZES, form=form, kinds=2).eval()
    histories = [world.history("space", n) for n in (0, 1, 3, 7)]
    together = scores(model, reader, world, histories)
    assert together.std(axis=0).max() > 1e-3
    for row, history in enumerate(histories):
        np.testing.assert_allclose(
            scores(model, reader, world, [history])[0], together[row], atol=1e-5
        )


def test_candidates_in_chunks_equal_all_at_once(world, monkeypatch):
    data, reader = training_set(world)
    torch.manual_seed(0)
    model = SequenceTransformer(torch.randn(24, 5), SIZES, form="encoder_decoder").eval()
    histories = [world.history("space", 3), world.history("garden", 3)]
    whole = scores(model, reader, world, histories)
    monkeypatch.setattr("metarec.models.transformer.network.CANDIDATE_NUMBERS", 0)
    np.testing.assert_allclose(scores(model, reader, world, histories), whole, atol=1e-6)


@pytest.mark.parametrize("form", CAUSAL)
def test_order_matters_only_through_places(world, form):
    """A causal form cannot see what follows a prefix: the tokens of a prefix stay as they are."""
    data, reader = training_set(world)
    torch.manual_seed(0)
    model = SequenceTransformer(torch.zeros(24, 0), SIZES, form=form).eval()
    inputs = as_tensors(data.inputs.rows(np.arange(4)))
    changed = {**inputs, "items": inputs["items"].clone()}
    changed["items"][:, 5:] = (changed["items"][:, 5:] + 7) % 24
    with torch.no_grad():
        before, after = (model.read(given, model.items())[0] for given in (inputs, changed))
    torch.testing.assert_close(before[:, :6], after[:, :6])
    assert not torch.allclose(before[:, 6:], after[:, 6:])


@pytest.mark.parametrize("size", [5, 2])
def test_caser_sees_its_window_and_the_first_token(size):
    """As the paper's equations 3 to 8 have it, written out for one window."""
    torch.manual_seed(0)
    sizes = SequenceSizes(dim=6, window=size, horizontal=size + 1, vertical=3)
    block, x = CaserBlock(sizes).eval(), torch.randn(1, 9, 6)
    window = x[0, 9 - size :]
    assert len(block.horizontal[0].weight) == size + 1 and len(block.vertical.weight) == 3
    found = [
        torch.stack(
            [
                torch.relu((window[t : t + height].T * filters.weight).sum((1, 2)) + filters.bias)
                for t in range(size - height + 1)
            ]
        ).amax(0)
        for height, filters in enumerate(block.horizontal, start=1)
    ]
    vertical = window.T @ block.vertical.weight[:, 0].T + block.vertical.bias
    whole = torch.cat([*found, vertical.flatten(), x[0, 0]])
    expected = torch.relu(block.join(whole))
    torch.testing.assert_close(block(x)[0, -1], expected)
    changed = x.clone()
    changed[:, 1 : 9 - size] += 1
    torch.testing.assert_close(block(changed)[0, -1], block(x)[0, -1])


@pytest.mark.parametrize("field", ["kinds", "values", "gaps", "circumstances"])
def test_every_part_of_a_token_counts(world, field):
    data, reader = training_set(world)
    torch.manual_seed(0)
    model = SequenceTransformer(torch.zeros(24, 0), SIZES, kinds=3, circumstances=2).eval()
    inputs = as_tensors(data.inputs.rows(np.arange(4)))
    inputs["circumstances"] = torch.zeros(4, 2)
    changed = {**inputs, field: (inputs[field] + 1) % 3}
    with torch.no_grad():
        assert (model.score(inputs) - model.score(changed)).abs().max() > 1e-4


def test_profile_moves_the_empty_history(world):
    torch.manual_seed(0)
    data, reader = training_set(world)
    model = SequenceTransformer(torch.zeros(24, 0), SIZES, profile=2).eval()
    empty = reader.read(Histories.of_indexes([np.zeros(0, np.int64)] * 2), NOTHING, 12)
    with torch.no_grad():
        found = model.score(as_tensors(empty, np.array([[1, 0], [0, 1]])))
    assert (found[0] - found[1]).abs().max() > 1e-4


def test_items_nobody_met_are_scored_from_their_content():
    torch.manual_seed(0)
    items = ItemVectors(torch.tensor([[1.0, 0], [1.0, 0], [0, 1.0]]), 8, id_dropout=0.5)
    with torch.no_grad():
        items.residual.zero_()
    vectors = items.eval()()
    torch.testing.assert_close(vectors[0], vectors[1])
    assert not torch.allclose(vectors[0], vectors[2])
    with torch.no_grad():
        items.residual.fill_(1.0)
    kept = (items.train()() - items.eval()()).mean(dim=1).round()
    assert set(kept.tolist()) <= {-1.0, 1.0}  # dropped whole, or kept at twice its size


def test_untied_weights_score_with_a_second_table():
    torch.manual_seed(0)
    tied, untied = (
        SequenceTransformer(torch.zeros(6, 0), SequenceSizes(dim=8, layers=1, tie_weights=tie))
        for tie in (True, False)
    )
    assert tied.eval().score_vectors().data_ptr() == tied.items.residual.data_ptr()
    assert (
        sum(p.numel() for p in untied.parameters())
        == sum(p.numel() for p in tied.parameters()) + 6 * 8
    )


def test_stops_early_and_keeps_the_best(world):
    data, reader = training_set(world)
    seen = []

    def validate(model):
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return [1.0, 3.0, 2.0, 2.0][len(seen) - 1]

    training = SequenceTraining(steps=100, check_every=2, patience=2)
    model = train_sequence(
        data,
        np.zeros((24, 0)),
        reader,
        sizes=SIZES,
        training=training,
        rng=np.random.default_rng(0),
        validate=validate,
    )
    assert len(seen) == 4
    torch.testing.assert_close(model.state_dict()["items.residual"], seen[1]["items.residual"])


def test_same_seed_same_model_and_the_global_generator_is_left_alone(world):
    data, reader = training_set(world)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second = (
        train_sequence(
            data,
            np.zeros((24, 0)),
            reader,
            sizes=SIZES,
            training=SequenceTraining(steps=3),
            rng=np.random.default_rng(1),
        )
        for _ in range(2)
    )
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)
    assert torch.rand(1) == expected


@pytest.mark.parametrize("form", ["decoder", "encoder"])
def test_sampled_softmax_learns_too(world, form):
    data, reader = training_set(world)
    model = train_sequence(
        data,
        np.zeros((24, 0)),
        reader,
        form=form,
        sizes=SIZES,
        rng=np.random.default_rng(0),
        training=SequenceTraining(steps=400, learning_rate=1e-2, sampled=64),
    )
    found = scores(model, reader, world, [world.history("space", 3)])[0]
    space = world.data.items.vocabulary.indexes(world.items_of_taste["space"][3:])
    garden = world.data.items.vocabulary.indexes(world.items_of_taste["garden"])
    assert found[space].min() > found[garden].max()


@pytest.mark.parametrize("form", ["decoder", "encoder_decoder"])
def test_sampling_changes_the_cost_of_the_loss_and_not_what_it_asks_for(world, form):
    """Users who like much count as much as in the full softmax, and what else they like stays in
    its sum.
    """
    data, reader = training_set(world)
    targets = data.targets[:6].tolil()
    targets[:4, 2:] = 0  # four users who like little beside two who like much
    few = TrainingSet(inputs=data.inputs.rows(np.arange(6)), targets=targets.tocsr())
    torch.manual_seed(0)
    model = SequenceTransformer(torch.randn(24, 5) / 2, SIZES, form=form, kinds=2).eval()
    popularity = np.arange(1.0, 25)
    full, sampled = [
        float(
            Objective(
                data=few,
                log_chance=_sampling_chance(popularity),
                training=SequenceTraining(sampled=sampled, positives=500, prefixes=1),
            )(model, np.arange(6), np.random.default_rng(0)).detach()
        )
        for sampled in (0, 5000)
    ]
    assert sampled == pytest.approx(full, abs=0.02)


def test_bad_arguments_are_named(world):
    data, reader = training_set(world)
    with pytest.raises(BadInput, match="form must be one of.*got 'rnn'"):
        SequenceTransformer(torch.zeros(3, 0), SIZES, form="rnn")
    with pytest.raises(BadInput, match="steps must be 1 or more, got 0"):
        SequenceTraining(steps=0)
    empty = TrainingSet(inputs=data.inputs, targets=data.targets * 0)
    empty.targets.eliminate_zeros()
    with pytest.raises(BadInput, match="no training user has an event left"):
        train_sequence(empty, np.zeros((24, 0)), reader, rng=np.random.default_rng(0))


def test_events_are_read_with_kind_value_gap_and_circumstances():
    histories = Histories(
        offsets=np.array([0, 3, 4, 4]),
        items=np.array([7, 1, 2, 0]),
        values=np.array([1, 2, 3, 2], np.float32),
        kinds=np.array([1, 2, 3, 1], np.int16),
        times=np.array([0.0, 10.0, 1000.0, np.nan]),
    )
    reader = SequenceReader(
        n_kinds=3, value_mean=2.0, value_spread=0.5, gap_spread=2.0, sizes=(3, 2)
    )
    read = reader.read(histories, np.array([[2, 1], [0, 1], [0, 0]]), 2)
    assert read.items.tolist() == [[1, 2], [0, 0], [0, 0]]
    assert read.is_real.tolist() == [[True, True], [True, False], [False, False]]
    assert read.kinds.tolist() == [[2, 0], [1, 0], [0, 0]]  # the third was never met in training
    assert read.values[0].tolist() == [0.0, 2.0] and read.values[1].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(read.gaps, [[0, np.log1p(990) / 2], [0, 0], [0, 0]], rtol=1e-6)
    assert read.circumstances.tolist() == [[0, 0, 1, 0, 1], [0, 0, 0, 0, 1], [0] * 5]
    assert not reader.read(histories, NOTHING, 2).circumstances.any()


def test_gaps_are_0_at_the_start_without_a_clock_and_where_time_runs_backwards():
    histories = Histories(
        offsets=np.array([0, 0, 3, 5]),
        items=np.arange(5),
        values=np.ones(5, np.float32),
        times=np.array([50.0, 40.0, 41.0, np.nan, 60.0]),
    )
    np.testing.assert_allclose(log_gaps(histories), [0, 0, np.log(2), 0, 0])

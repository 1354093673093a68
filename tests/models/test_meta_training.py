"""Meta-training of the decoder: in a world of many small tastes, known only from events, steps on a
user's events must help, and more of them the more events there are.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metarec.data.cold_users import Horizon
from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.registry import config_of, model_class
from metarec.models.transformer.adaptive import AdaptiveDecoder
from metarec.models.transformer.losses import lambda_loss
from metarec.models.transformer.meta_training import MetaTraining
from metarec.models.transformer.scorer import _split
from metarec.runtime.gains import ndcg_of_scores

TASTES, EACH, EVENTS = 12, 12, 24
QUICK = {"steps": 30, "outer_steps": 20, "codes": 16, "check_every": 20, "anchors": 64}
BRIEF = QUICK | {"steps": 5, "outer_steps": 3}


def histories(users: int, rng: np.random.Generator) -> Histories:
    """Users of two tastes each, in any order, a fifth of the acts on anything."""
    rows = []
    for _ in range(users):
        own = rng.choice(TASTES, 2, replace=False)
        among = (own[:, None] * EACH + np.arange(EACH)).ravel()
        others = np.setdiff1d(np.arange(TASTES * EACH), among)
        some = [rng.choice(among, EVENTS - 5, replace=False), rng.choice(others, 5, replace=False)]
        rows.append(rng.permutation(np.concatenate(some)))
    return Histories.of_indexes(rows)


def behavior_of(known: Histories) -> Behavior:
    return Behavior(
        histories=known,
        profiles=np.zeros((len(known), 0), np.float32),
        content=np.zeros((TASTES * EACH, 0), np.float32),
        relevant_from=-np.inf,
        horizon=Horizon(support_sizes=(0, 1, 3, 10), pool=12, min_events=16),
    )


def ndcg(model: AdaptiveDecoder, whole: Histories, events: int) -> np.ndarray:
    """[U] NDCG@10 of what each user took after the first 12 events, known by `events` of them."""
    support = whole.first(np.full(len(whole), events))
    batch = UserBatch(support=support, profiles=np.zeros((len(whole), 0), np.float32))
    scores, wanted = np.array(model.evidence(batch)), np.zeros((len(whole), TASTES * EACH), bool)
    scores[support.owners, support.items] = -np.inf
    later = whole.after(np.full(len(whole), 12))
    wanted[later.owners, later.items] = True
    return ndcg_of_scores(scores, wanted, 10)


def clearly_above(more: np.ndarray, less: np.ndarray) -> bool:
    gains = more - less
    return bool(gains.mean() > 2 * gains.std(ddof=1) / np.sqrt(len(gains)))


@pytest.mark.parametrize("learner", ["decoder_lora", "decoder_reptile"])
def test_steps_on_a_user_s_events_help_and_the_curve_rises(learner: str) -> None:
    rng = np.random.default_rng(0)
    config = config_of(learner, QUICK)
    model = model_class(learner).fit(behavior_of(histories(240, rng)), rng, config)
    assert isinstance(model, AdaptiveDecoder)
    new = histories(120, rng)
    one, ten = ndcg(model, new, 1), ndcg(model, new, 10)
    assert clearly_above(ten, one)
    assert clearly_above(ten, ndcg(model.after_steps(0), new, 10))
    assert clearly_above(ndcg(model, new, 3), ndcg(model.after_steps(0), new, 3))


def test_lora_leaves_the_decoder_as_it_was_trained() -> None:
    """So that its row without steps is the decoder, trained without meta-learning."""
    behavior = behavior_of(histories(40, np.random.default_rng(1)))
    with_steps, without = (
        model_class("decoder_lora").fit(
            behavior, np.random.default_rng(2), config_of("decoder_lora", BRIEF | more)
        )
        for more in ({}, {"outer_steps": 0})
    )
    for name, value in without.network.state_dict().items():
        torch.testing.assert_close(with_steps.network.state_dict()[name], value, msg=name)


def test_nobody_adapts_by_codes_in_which_they_have_a_part() -> None:
    known = histories(40, np.random.default_rng(3))
    config = config_of("decoder_anil", BRIEF | {"outer_steps": 0})
    model = model_class("decoder_anil").fit(behavior_of(known), np.random.default_rng(0), config)
    data, asked = _split(behavior_of(known), model.reader, config, np.random.default_rng(0))
    folds = MetaTraining.of(model, data, asked, np.random.default_rng(0)).folds
    assert np.array_equal(np.sort(np.concatenate([fold.users for fold in folds])), data.usable)
    # What nobody of the other folds met has no code there; the own users' acts give it none.
    for fold in folds:
        others = np.setdiff1d(np.arange(data.targets.shape[0]), fold.users)
        met = np.asarray(data.targets[others].sum(0)).ravel() > 0
        met[data.inputs.items[others][data.inputs.is_real[others]]] = True
        assert not fold.codes_NK[~met].abs().max().item() if (~met).any() else True
        assert fold.codes_NK[met].abs().max() > 0


TEN = {"places": 10, "reach": 60}


def test_the_lambda_loss_is_what_each_wrong_pair_costs() -> None:
    scores = torch.tensor([[3.0, 2.0, 1.0], [0.0, 1.0, 2.0]])
    wanted = torch.tensor([[False, True, False], [False, False, False]])
    # One wanted item at the second place of the first user: pairs with the first and the third.
    at = 1 / np.log2(np.arange(2, 5))
    by_hand = (at[0] - at[1]) * np.log1p(np.exp(3.0 - 2.0)) + (at[1] - at[2]) * np.log1p(
        np.exp(1.0 - 2.0)
    )
    assert float(lambda_loss(scores, wanted, **TEN)) == pytest.approx(by_hand, rel=1e-5)
    first = np.log1p(np.exp(3.0 - 2.0))
    assert float(lambda_loss(scores, wanted, places=1, reach=60)) == pytest.approx(first)
    two = (at[0] - at[1]) * first
    assert float(lambda_loss(scores, wanted, places=10, reach=2)) == pytest.approx(two, rel=1e-5)
    best = torch.tensor([[1.0, 30.0, 0.0], [0.0, 1.0, 2.0]])
    assert float(lambda_loss(best, wanted, **TEN)) < 1e-6

"""Places and circumstances while an ensemble is learned: decays are chosen once, circumstances in
each fold, and a part of the users tells where they are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from context_world import context_world
from metarec.features.behavior import Behavior
from metarec.models.location.local_knn import LocalKnn, LocalKnnConfig
from metarec.models.location.model import Location
from metarec.recommendation.ensemble.gate_config import GateConfig
from metarec.recommendation.fitting.cross_fitting import Fitted, score_held_out
from metarec.recommendation.fitting.ensemble_fit import _completed_configs
from metarec.recommendation.fitting.held_out_users import located_share
from metarec.recommendation.fitting.reading import Reading
from metarec.recommendation.settings import Settings
from metarec.runtime.progress import silent

NAMES = ("item_knn", "location", "local_knn")


@pytest.fixture(scope="module")
def behavior() -> Behavior:
    settings = Settings(preset="tiny", encoder="none")
    no = {"policy": None, "horizon": None, "user_weights": None}
    return Reading.of(context_world(), settings, **no, progress=silent).behavior


def test_only_who_is_to_tell_is_asked_about_by_models_of_places(behavior: Behavior) -> None:
    fitted = Fitted.of(behavior, NAMES, {}, np.random.default_rng(0))
    users = np.arange(72)

    whole, *_ = fitted.score(behavior, 2, users)
    part, *_ = replace(fitted, located=0.5).score(behavior, 2, users)

    np.testing.assert_array_equal(part[0], whole[0])
    tells = part[1].any(1)
    assert 20 < tells.sum() < 52
    for place in (1, 2):
        np.testing.assert_allclose(part[place][tells], whole[place][tells], rtol=1e-5, atol=1e-8)
        assert not part[place][~tells].any() and whole[place].any(1).all()
    nobody, *_ = replace(fitted, located=0.0).score(behavior, 2, users)
    assert not nobody[1:].any()


def test_as_many_tell_where_they_are_as_the_gate_is_to_learn_from(behavior: Behavior) -> None:
    assert located_share(behavior, GateConfig()) == 1.0
    config = GateConfig(max_located=24)
    assert located_share(behavior, config) == pytest.approx(24 / 72)

    tasks = score_held_out(
        behavior, NAMES, {"gate": config}, np.arange(36), np.random.default_rng(0)
    )

    told = tasks[2].shares[..., 1].sum(1) > 0
    assert 4 < told.sum() < 20


def test_what_is_chosen_by_all_users_is_not_chosen_anew_by_some(behavior: Behavior) -> None:
    wanted = LocalKnnConfig(scales=(0.1, 3.0), crowding=0.25)
    settled = _completed_configs(
        behavior, NAMES, {"local_knn": wanted, "gate": GateConfig(folds=2)}, 0
    )
    some, rng = behavior.users(np.arange(0, 72, 2)), np.random.default_rng(5)

    place = Location.fit(some, rng, settled["location"])
    knn = LocalKnn.fit(some, rng, settled["local_knn"])

    assert settled["gate"] == GateConfig(folds=2) and "item_knn" not in settled
    assert (place.scale,) == settled["location"].scales
    assert (knn.scale,) == settled["local_knn"].scales and knn.scale in wanted.scales
    assert knn.config.crowding == 0.25 and len(knn.norms) == 36
    whole = Location.fit(behavior, np.random.default_rng(0))
    assert settled["location"].scales == (whole.scale,)


def test_circumstances_are_chosen_anew_in_each_fold(behavior: Behavior) -> None:
    """Chosen once for all folds, slates for new users were worse on Frappe."""
    assert "context" not in _completed_configs(behavior, ("context",), {}, 0)

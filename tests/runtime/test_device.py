"""Networks on another device: everything they read goes there, and the numbers are the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from metarec import BadInput, Dataset, Recommender, Request, use_device
from metarec.app.service.settings import ServiceSettings
from metarec.features.behavior import Behavior
from metarec.features.encoders.text.trained import TrainedEncoder, TrainedOptions
from metarec.models.base import dense
from metarec.models.cold_items.training import fit_new_items
from metarec.models.cold_items.unrated import UnratedItems
from metarec.models.few_shot.learners import LEARNERS
from metarec.models.few_shot.training import Training
from metarec.models.registry import ADAPTIVE_DECODERS, BEHAVIOR_ENCODERS, MODELS, config_of
from metarec.recommendation.fitting.fit import behavior_of
from metarec.runtime import device as place
from runtime.second_device import NAME, TwoDevices, second_device

METAREC = Path(sys.executable).with_name("metarec")
QUICK: Mapping[str, Mapping[str, Any]] = {
    "deep_set": {"steps": 6},
    "bert_two_tower": {"outer_steps": 3},
    **dict.fromkeys(BEHAVIOR_ENCODERS, {"steps": 6}),
    **dict.fromkeys(ADAPTIVE_DECODERS, {"steps": 6, "outer_steps": 2}),
    **dict.fromkeys(LEARNERS, {"outer_steps": 4}),
}
"""Every model that trains a network."""


@pytest.fixture(scope="module")
def fitted() -> Recommender:
    """Three groups of items, one liked by each user, with titles and homes."""
    rng, rows = np.random.default_rng(0), []
    for user in range(60):
        for moment, item in enumerate(rng.permutation(12)[:9]):
            at = user % 3 * 12 + item if rng.random() < 0.85 else rng.integers(36)
            rows.append((f"u{user}", f"i{at}", float(rng.integers(1, 6)), float(moment)))
    columns = ["user_id", "item_id", "value", "timestamp"]
    events = pl.DataFrame(rows, schema=columns, orient="row")
    titles = [f"thing {n} of {('tea', 'rope', 'ink')[n // 12]}" for n in range(36)]
    return Recommender.fit(
        Dataset(
            interactions=events.unique(columns[:2], keep="first", maintain_order=True),
            items=pl.DataFrame({"item_id": [f"i{n}" for n in range(36)], "title": titles}),
            users=pl.DataFrame(
                {"user_id": [f"u{n}" for n in range(60)], "home": [f"h{n % 3}" for n in range(60)]}
            ),
        ),
        "tiny",
        encoder="tfidf",
    )


@pytest.fixture(scope="module")
def behavior(fitted: Recommender) -> Behavior:
    return behavior_of(fitted)


@pytest.fixture(autouse=True)
def cpu_again() -> Iterator[None]:
    yield
    use_device("cpu")


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Networks are computed on a second device."""
    with second_device():
        monkeypatch.setattr(place, "_CHOSEN", [NAME])
        yield


def answers(name: str, behavior: Behavior) -> np.ndarray:
    """What a model fitted here says of some users, and says again once it was read back."""
    users = np.arange(5)
    asked = behavior.batch_of(users, behavior.pool.users(users))
    model = MODELS[name].fit(behavior, np.random.default_rng(0), config_of(name, QUICK[name]))
    said = dense(model.evidence(asked))
    again = MODELS[name].from_arrays(model.arrays(), model.config)
    if name == "bert_two_tower":
        again = again.with_words(behavior.words)  # type: ignore[attr-defined]
    np.testing.assert_allclose(dense(again.evidence(asked)), said, atol=1e-6)
    return said


@pytest.fixture(scope="module")
def on_the_cpu(behavior: Behavior) -> dict[str, np.ndarray]:
    return {name: answers(name, behavior) for name in QUICK}


def test_the_second_device_is_none_of_the_cpu() -> None:
    with second_device():
        there = torch.ones(3).to(NAME)
        assert there.device.type == (there + 1).device.type == NAME
        with pytest.raises(TwoDevices):
            there + torch.ones(3)
        with pytest.raises(TwoDevices):
            there.numpy()
        assert there.cpu().numpy().tolist() == [1.0, 1.0, 1.0]


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("name", QUICK)
def test_a_model_says_the_same_from_a_second_device(
    name: str, behavior: Behavior, on_the_cpu: dict[str, np.ndarray]
) -> None:
    np.testing.assert_array_equal(answers(name, behavior), on_the_cpu[name])


def cold(behavior: Behavior) -> np.ndarray:
    """Scores of items as if nobody had rated them, for three users."""
    training = Training(outer_steps=4, evaluate_every=2)
    model = fit_new_items(behavior, np.random.default_rng(0), training=training)
    items = UnratedItems.of([model], behavior.content[:3])
    return items.scores(behavior.histories.users(np.arange(3)))


def test_cold_items_are_scored_the_same_from_a_second_device(
    behavior: Behavior, request: pytest.FixtureRequest
) -> None:
    here = cold(behavior)
    request.getfixturevalue("elsewhere")
    np.testing.assert_array_equal(cold(behavior), here)


def vectors() -> np.ndarray:
    """Of texts, by an encoder trained on them."""
    texts = [f"{kind} of {what}" for kind in ("cup", "pot") for what in ("tea", "rope", "ink")]
    targets = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    encoder = TrainedEncoder.fit(
        texts,
        targets,
        kind="textcnn",
        options=TrainedOptions(epochs=2),
        rng=np.random.default_rng(0),
    )
    return encoder.encode(texts)


def test_an_encoder_reads_the_same_on_a_second_device(request: pytest.FixtureRequest) -> None:
    here = vectors()
    request.getfixturevalue("elsewhere")
    np.testing.assert_array_equal(vectors(), here)


@pytest.mark.gpu
@pytest.mark.parametrize("name", QUICK)
def test_a_model_says_nearly_the_same_from_a_gpu(
    name: str, behavior: Behavior, on_the_cpu: dict[str, np.ndarray]
) -> None:
    """Dropout is drawn there, so a trained network differs; what it says is a whole answer."""
    if use_device("auto") == "cpu":
        pytest.skip("torch finds no accelerator here")
    said = answers(name, behavior)
    assert np.isfinite(said).all()
    like = [np.corrcoef(a, b)[0, 1] for a, b in zip(said, on_the_cpu[name], strict=True)]
    assert np.mean(like) > 0.5


@pytest.mark.gpu
def test_a_model_fitted_here_says_the_same_from_a_gpu(fitted: Recommender, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model")
    asked = [Request(history=["i1", "i2"]), Request(history=[])]
    here = fitted.score(asked)
    if use_device("auto") == "cpu":
        pytest.skip("torch finds no accelerator here")
    there = Recommender.load(tmp_path / "model").score(asked)
    np.testing.assert_allclose(there, here, atol=1e-4)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device")
def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="device 'cuda': torch finds none on this machine"):
        use_device("cuda")
    with pytest.raises(ValueError, match="device 'tpu': choose one of cpu, auto"):
        use_device("tpu")
    with pytest.raises(BadInput, match="device must be one of"):
        ServiceSettings(model="m", device="tpu")
    done = subprocess.run(
        [METAREC, "fit", "nowhere", "--out", tmp_path / "model", "--device", "cuda"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "torch finds none on this machine" in done.stderr


def test_auto_is_the_cpu_where_there_is_nothing_else() -> None:
    found = use_device("auto")
    assert found == ("cuda" if torch.cuda.is_available() else found)
    assert place.device().type == found

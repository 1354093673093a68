"""Fine-tuning by LoRA: learns what goes together for users, keeps the better encoder, comes back
from plain arrays.
"""

import json

import numpy as np
import pytest
import scipy.sparse as sp

from metarec.data.schema import BadInput
from metarec.features.encoders import encoder_from_state
from metarec.features.encoders.locate import locate
from metarec.features.encoders.text.lora import (
    ATTENTION_WEIGHTS,
    LoraOptions,
    _adapter,
    cold_ndcg,
    fine_tune,
)
from metarec.features.encoders.text.pretrained import PretrainedEncoder, pool
from metarec.features.encoders.text.pretrained_options import PretrainedOptions
from metarec.features.encoders.text.text_model import load_model
from tiny_models import build_model

pytest.importorskip("peft")
GROUPS = [[f"{letter}{n}" for n in range(20)] for letter in "zp"]
FILLER = ["the", "of", "a", "very"]


@pytest.fixture(scope="module")
def catalog():
    """80 items of two groups: texts are three of a group's twenty words among common ones; users
    like one group only.
    """
    rng = np.random.default_rng(0)
    groups = np.arange(80) % 2
    texts = [
        " ".join(rng.permutation([*rng.choice(GROUPS[group], 3), *rng.choice(FILLER, 3)]))
        for group in groups
    ]
    tastes = rng.integers(2, size=120)
    liked = (groups[None, :] == tastes[:, None]) & (rng.random((120, 80)) < 0.3)
    return texts, sp.csr_matrix(liked.astype(np.float32)), groups


@pytest.fixture(scope="module", params=["bert", "gpt2"])
def encoder(request, tmp_path_factory, catalog):
    folder = build_model(tmp_path_factory.mktemp(request.param), request.param, catalog[0])
    return PretrainedEncoder(locate(str(folder)), PretrainedOptions(pooling="mean"), cache=False)


OPTIONS = LoraOptions(
    steps=120, items_per_step=40, check_every=60, learning_rate=2e-2, held_out=0.25
)


def test_tuning_beats_the_frozen_baseline_and_is_kept(encoder, catalog):
    texts, liked, _ = catalog
    tuned = fine_tune(texts, liked, encoder, options=OPTIONS, rng=np.random.default_rng(0))
    assert tuned.improved and tuned.tuned_score > tuned.frozen_score + 0.1
    assert tuned.encoder.name.endswith("+ LoRA")
    state = tuned.encoder.state()
    again = encoder_from_state(
        type(state)(settings=json.loads(json.dumps(state.settings)), arrays=state.arrays),
        cache=False,
    )
    np.testing.assert_allclose(again.encode(texts), tuned.encoder.encode(texts), atol=1e-6)
    assert not np.allclose(again.encode(texts), encoder.encode(texts), atol=1e-2)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")
def test_merged_weights_give_what_peft_gives(encoder, catalog):
    """The adapter applied to a fresh model equals the model that peft makes of the same weights."""
    import peft
    import torch

    text = catalog[0][:1]
    tokenizer, base = load_model(encoder.located)
    names = {name.rsplit(".", 1)[-1] for name, _ in base.named_modules()}
    adapted = sorted(names & set(ATTENTION_WEIGHTS))
    config = peft.LoraConfig(
        r=4,
        lora_alpha=8,
        target_modules=adapted,
        fan_in_fan_out="c_attn" in adapted,
        init_lora_weights=False,  # up and down drawn at random, so that they change something
    )
    torch.manual_seed(0)
    model = peft.get_peft_model(base, config).eval()
    given = tokenizer(text, return_tensors="pt")
    mask = given["attention_mask"]
    with torch.no_grad():
        hidden = model(input_ids=given["input_ids"], attention_mask=mask).last_hidden_state
    vector = pool(hidden, mask.bool(), encoder.pooling)[0].numpy()
    expected = vector / np.linalg.norm(vector)
    reader = PretrainedEncoder(
        encoder.located, encoder.options, adapter=_adapter(model, 2.0), cache=False
    )
    assert np.abs(encoder.encode(text)[0] - expected).max() > 1e-2
    merged = reader.encode(text)[0]
    np.testing.assert_allclose(merged, expected, atol=1e-5)


def test_what_does_not_beat_the_baseline_is_not_kept(encoder, catalog):
    texts, liked, _ = catalog
    noise = sp.csr_matrix((np.random.default_rng(3).random(liked.shape) < 0.2).astype(np.float32))
    options = LoraOptions(steps=1, items_per_step=8, learning_rate=1e-9)
    kept = fine_tune(texts, noise, encoder, options=options, rng=np.random.default_rng(1))
    assert kept.tuned_score == pytest.approx(kept.frozen_score, abs=0.02)
    if not kept.improved:
        assert kept.encoder is encoder


def test_it_stops_when_held_out_items_gain_no_more(encoder, catalog):
    """A rate too small to change anything: the first judgment is the best, and two more without a
    better one are enough.
    """
    seen = []
    options = LoraOptions(
        steps=50, items_per_step=20, check_every=2, patience=2, learning_rate=1e-30
    )
    tuned = fine_tune(
        catalog[0],
        catalog[1],
        encoder,
        options=options,
        rng=np.random.default_rng(0),
        progress=lambda stage, share, note="": seen.append(round(share * 50)),
    )
    assert seen == [1, 2, 3, 4, 5, 6] and not tuned.improved


def test_cold_ndcg_by_hand():
    vectors = np.array([[1.0, 0], [0, 1.0], [0.9, 0.1], [0.1, 0.9]])
    liked = sp.csr_matrix([[1.0, 0, 1, 0], [0, 1, 1, 0], [0, 0, 1, 0]])
    assert cold_ndcg(vectors, liked, np.array([2, 3])) == pytest.approx((1 + 1 / np.log2(3)) / 2)
    assert cold_ndcg(vectors, liked * 0, np.array([2, 3])) == 0


def test_too_little_is_refused(encoder):
    with pytest.raises(BadInput, match="only 2 items have both text and two users"):
        fine_tune(
            ["a", "b", ""], sp.csr_matrix(np.ones((3, 3))), encoder, rng=np.random.default_rng(0)
        )
    with pytest.raises(BadInput, match="rank must be 1 or more, got 0"):
        LoraOptions(rank=0)

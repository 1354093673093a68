"""The cache of encodings: gives back what was kept, survives damage, melts its shards."""

import numpy as np
import pytest

from metarec.features.encoders import cache as module
from metarec.features.encoders.cache import EncodingCache, cache_folder, content_key


@pytest.fixture
def cache(tmp_path):
    return EncodingCache("encoder", tmp_path)


def some(n, seed=0, dim=3):
    return [content_key(f"{seed}/{row}") for row in range(n)], np.random.default_rng(seed).normal(
        size=(n, dim)
    ).astype(np.float32)


def test_gives_back_what_was_kept_in_the_order_asked(cache):
    keys, vectors = some(50)
    cache.keep(keys[:30], vectors[:30])
    cache.keep(keys[30:40], vectors[30:40])
    order = np.random.default_rng(1).permutation(50)
    found, known = cache.look_up([keys[row] for row in order])
    assert (found == (order < 40)).all()
    np.testing.assert_array_equal(known, vectors[order[order < 40]])


def test_nothing_kept_finds_nothing(cache):
    found, known = cache.look_up(some(3)[0])
    assert not found.any() and len(known) == 0
    assert cache.look_up([])[0].shape == (0,)


def test_another_encoder_has_its_own(cache, tmp_path):
    keys, vectors = some(3)
    cache.keep(keys, vectors)
    assert not EncodingCache("other encoder", tmp_path).look_up(keys)[0].any()
    assert EncodingCache("encoder", tmp_path).look_up(keys)[0].all()


def test_many_shards_are_melted_and_nothing_is_lost(cache):
    keys, vectors = some(2 * module.MAX_SHARDS)
    for row in range(len(keys)):
        cache.keep(keys[row : row + 1], vectors[row : row + 1])
    assert len(list(cache.folder.glob("*"))) <= module.MAX_SHARDS
    found, known = cache.look_up(keys)
    assert found.all()
    np.testing.assert_array_equal(known, vectors)


def test_one_new_text_after_another_does_not_write_a_catalog_anew(cache):
    keys, vectors = some(5_000 + 2 * module.MAX_SHARDS)
    cache.keep(keys[:5_000], vectors[:5_000])
    (catalog,) = cache.folder.glob("*")
    for row in range(5_000, len(keys)):
        cache.keep(keys[row : row + 1], vectors[row : row + 1])
    assert catalog.exists()
    assert len(list(cache.folder.glob("*"))) <= module.MAX_SHARDS
    assert cache.look_up(keys)[0].all()


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[: len(raw) // 2], lambda raw: b"", lambda raw: b"\xff" * len(raw)]
)
def test_a_damaged_shard_is_forgotten_not_fatal(cache, damage):
    keys, vectors = some(5)
    cache.keep(keys, vectors)
    (shard,) = cache.folder.glob("*")
    shard.write_bytes(damage(shard.read_bytes()))
    assert not cache.look_up(keys)[0].any()
    assert not shard.exists()
    cache.keep(keys, vectors)
    assert cache.look_up(keys)[0].all()


def test_a_place_that_cannot_be_written_is_no_reason_to_fail(tmp_path):
    (tmp_path / "encodings").write_text("a file where a folder should be")
    keys, vectors = some(2)
    cache = EncodingCache("encoder", tmp_path)
    cache.keep(keys, vectors)
    assert not cache.look_up(keys)[0].any()


def test_home_is_taken_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("METAREC_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "cache"

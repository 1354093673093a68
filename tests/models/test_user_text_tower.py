"""Users as text: the same encoder that reads items tells what users described like this go on to
like.
"""

import numpy as np
import pytest
import scipy.sparse as sp

from metarec.data.schema import BadInput
from metarec.features.encoders import fit_text_encoder
from metarec.features.text import item_text, user_text
from metarec.models.user_text import NobodyToRead, UserTextTower
from world import read_events


@pytest.fixture(scope="module")
def tower(world):
    data = world.data
    titles = dict(zip(data.items.frame["item_id"], item_text(data.items), strict=True))
    histories, users = read_events(data.interactions, data.items.vocabulary)
    texts = [
        user_text({}, [titles[item] for item, _ in world.history_of(user)[:4]]) for user in users
    ]
    encoder, _ = fit_text_encoder([*titles.values(), *texts], "tfidf")
    tower = UserTextTower.fit(encoder.encode(texts), histories.after(4).matrix(len(data.items)))
    return tower, titles, encoder


def test_users_are_told_by_what_they_are_said_to_like(world, tower):
    fitted, titles, encoder = tower
    said = [
        user_text({}, [titles[item] for item in world.items_of_taste[taste][:2]])
        for taste in ("space", "garden")
    ]
    evidence = fitted.evidence(encoder.encode([*said, ""]))
    space, garden = (
        world.data.items.vocabulary.indexes(world.items_of_taste[taste])
        for taste in ("space", "garden")
    )
    assert evidence[0, space].sum() > 2 * evidence[0, garden].sum()
    assert evidence[1, garden].sum() > 2 * evidence[1, space].sum()
    np.testing.assert_allclose(evidence[2], fitted.mean, rtol=1e-6)


def test_noise_is_shrunk_away():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdefghij"), 4)) for _ in range(80)]
    encoder, _ = fit_text_encoder(texts, "bow")
    liked = sp.csr_matrix((rng.random((80, 12)) < 0.3).astype(np.float32))
    fitted = UserTextTower.fit(encoder.encode(texts), liked)
    assert np.abs(fitted.evidence(encoder.encode(texts)) - fitted.mean).mean() < 0.15


def test_a_weight_of_two_is_a_user_there_twice():
    rng = np.random.default_rng(0)
    vectors, liked = (
        rng.normal(size=(40, 5)),
        sp.csr_matrix((rng.random((40, 12)) < 0.3).astype(np.float32)),
    )
    twice = np.concatenate([np.arange(40), np.arange(0, 40, 3)])
    copied = UserTextTower.fit(vectors[twice], sp.csr_matrix(liked[twice]))
    weighed = UserTextTower.fit(vectors, liked, weights=np.where(np.arange(40) % 3 == 0, 2.0, 1.0))
    np.testing.assert_allclose(weighed.mean, copied.mean, rtol=1e-5)
    np.testing.assert_allclose(weighed.center, copied.center, rtol=1e-4, atol=1e-6)
    for strength in (copied, weighed):
        assert np.isfinite(strength.evidence(vectors)).all()


def test_what_is_missing_is_named():
    with pytest.raises(BadInput, match="3 texts and 2 rows"):
        UserTextTower.fit(np.ones((3, 2)), sp.csr_matrix((2, 4)))
    with pytest.raises(NobodyToRead, match="only 0 of 2 tasks have a text that the encoder reads"):
        UserTextTower.fit(np.zeros((2, 2)), sp.csr_matrix(np.ones((2, 4))))

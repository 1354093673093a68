"""People as text: the same encoder that reads items tells what people described like this go on to like."""

import numpy as np
import pytest
import scipy.sparse as sp

from metarec.backbone.user_text import UserTextTower
from metarec.data.schema import BadInput
from metarec.features.encoders import fit_text_encoder
from metarec.features.histories import Histories
from metarec.features.text import item_text, user_text


@pytest.fixture(scope="module")
def tower(world):
    data = world.data
    titles = dict(zip(data.items.frame["item_id"], item_text(data.items), strict=True))
    histories, users = Histories.of_interactions(data.interactions, data.items.vocabulary)
    texts = [user_text({}, [titles[item] for item, _ in world.history_of(user)[:4]]) for user in users]
    encoder, _ = fit_text_encoder([*titles.values(), *texts], "tfidf")
    tower = UserTextTower.fit(texts, histories.after(4).matrix(len(data.items)), encoder)
    return tower, titles


def test_people_are_told_by_what_they_are_said_to_like(world, tower):
    fitted, titles = tower
    said = [user_text({}, [titles[item] for item in world.items_of_taste[taste][:2]]) for taste in ("space", "garden")]
    evidence = fitted.evidence([*said, ""])
    space, garden = (world.data.items.vocabulary.indexes(world.items_of_taste[taste]) for taste in ("space", "garden"))
    assert evidence[0, space].sum() > 2 * evidence[0, garden].sum()
    assert evidence[1, garden].sum() > 2 * evidence[1, space].sum()
    np.testing.assert_allclose(evidence[2], fitted.mean, rtol=1e-6)


def test_noise_is_shrunk_away():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdefghij"), 4)) for _ in range(80)]
    encoder, _ = fit_text_encoder(texts, "bow")
    liked = sp.csr_matrix((rng.random((80, 12)) < 0.3).astype(np.float32))
    fitted = UserTextTower.fit(texts, liked, encoder)
    assert np.abs(fitted.evidence(texts) - fitted.mean).mean() < 0.15


def test_what_is_missing_is_named(world, tower):
    encoder = tower[0].encoder
    with pytest.raises(BadInput, match="3 texts and 2 rows"):
        UserTextTower.fit(["a", "b", "c"], sp.csr_matrix((2, 4)), encoder)
    with pytest.raises(BadInput, match="only 0 of 2 tasks have a text that TF-IDF reads"):
        UserTextTower.fit(["", ""], sp.csr_matrix(np.ones((2, 4))), encoder)

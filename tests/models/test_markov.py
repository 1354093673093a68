"""What follows what: counts by hand, chosen constants, and silence where order says nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.base import dense
from metarec.models.markov import counts as markov_counts
from metarec.models.markov.alike import Alike
from metarec.models.markov.counts import Chain, MarkovConfig
from metarec.models.markov.model import Markov, choose_chain
from world import behavior_of


def asked(*supports: list[int]) -> UserBatch:
    return UserBatch(
        support=Histories.of_indexes([np.array(row) for row in supports]),
        profiles=np.zeros((len(supports), 0), np.float32),
    )


def rings(users: int, items: int = 40, length: int = 8) -> list[np.ndarray]:
    """Everyone walks the same ring of items."""
    return [(user + np.arange(length)) % items for user in range(users)]


def test_weights_are_the_first_step_of_the_regression_on_pasts() -> None:
    """Gram matrix and targets from the definition: one row for each event."""
    rng = np.random.default_rng(0)
    rows = [rng.permutation(7)[: rng.integers(2, 6)] for _ in range(30)]
    model = Markov.fit(behavior_of(rows, 7), rng)  # too few users to choose: the defaults
    chain, pasts, targets = Chain(), [], []
    for row in rows:
        for place, target in enumerate(row):
            past = np.zeros(7)
            past[row[:place]] = chain.recency ** np.arange(place)[::-1]
            pasts.append(past)
            targets.append(np.eye(7)[target])
    past, target = np.array(pasts), np.array(targets)
    count = target.sum(0)
    expected = (past.T @ target) / ((past**2).sum(0) + chain.pull)[:, None]
    expected = expected * (count + markov_counts.DEFAULT.rarity_damping) ** -chain.rarity
    assert model.following.toarray() == pytest.approx(expected, rel=1e-5)


def test_what_follows_is_told_from_what_precedes_and_the_newest_event_is_loudest() -> None:
    model = Markov.fit(behavior_of(rings(200), 40), np.random.default_rng(0))
    scores = dense(model.evidence(asked([9, 10], [30, 10])))
    assert scores.argmax(1).tolist() == [11, 11]
    assert scores[0, 11] > 0 and scores[0, 8] == 0.0


def test_the_newest_event_counts_double_and_as_before_in_models_saved_earlier() -> None:
    """Expected from the definition: 2, .8, .64 times the weights of the three events."""
    model = Markov.fit(behavior_of(rings(200), 40), np.random.default_rng(0))
    rows = model.following.toarray()

    def after(newest: float) -> np.ndarray:
        return newest * rows[12] + 0.8 * rows[20] + 0.64 * rows[9]

    support = asked([9, 20, 12])
    assert dense(model.evidence(support))[0] == pytest.approx(after(2.0), rel=1e-5)
    earlier = {name: array for name, array in model.arrays().items() if name != "newest"}
    for arrays, newest in ((model.arrays(), 2.0), (earlier, 1.0)):
        again = Markov.from_arrays(arrays)
        assert dense(again.evidence(support))[0] == pytest.approx(after(newest), rel=1e-5)
    plain = Markov.fit(
        behavior_of(rings(200), 40), np.random.default_rng(0), MarkovConfig(newest=0.0)
    )
    assert dense(plain.evidence(support))[0] == pytest.approx(after(1.0), rel=1e-5)


def walk(follows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Only the newest event says what comes: one of its few followers."""
    items = [int(rng.integers(len(follows)))]
    while len(items) < 12:
        items.append(int(rng.choice(np.setdiff1d(follows[items[-1]], items))))
    return np.array(items)


def group(user: int, rng: np.random.Generator) -> np.ndarray:
    """Half of the events are of the user's own group of 24 among 120 items, half are noise."""
    own = rng.permutation(24)[:6] + 24 * (user % 5)
    return rng.permutation(np.concatenate([own, np.setdiff1d(rng.permutation(120)[:12], own)[:6]]))


def test_constants_are_chosen_by_held_out_users() -> None:
    """A short memory where only the newest event tells, a long one where all tell the same."""
    rng = np.random.default_rng(0)
    follows = np.stack([rng.permutation(120)[:15] for _ in range(120)])
    worlds = [
        [walk(follows, rng) for _ in range(1500)],
        [group(user, rng) for user in range(1500)],
    ]
    short, long = (choose_chain(behavior_of(w, 120), np.random.default_rng(1)) for w in worlds)
    assert (short.recency, long.recency) == (0.6, 0.9)


def test_constants_that_are_settled_are_not_chosen_again() -> None:
    """Each fold is fitted with what was chosen once: holding users out again would tell nothing."""
    behavior, rng = behavior_of(rings(600), 40), np.random.default_rng(1)
    settled = Markov.chosen_config(behavior, np.random.default_rng(0))
    before = rng.bit_generator.state

    chain = choose_chain(behavior, rng, settled)

    assert chain == Chain.of(settled)
    assert rng.bit_generator.state == before  # nobody was drawn


def test_fits_on_parts_of_the_users_take_the_constants_chosen_among_all() -> None:
    """Users who do not agree: of all users the newest event tells, of this part all events do."""
    rng = np.random.default_rng(0)
    follows = np.stack([rng.permutation(120)[:15] for _ in range(120)])
    rows = [walk(follows, rng) for _ in range(2000)] + [group(user, rng) for user in range(1000)]
    everyone = behavior_of(rows, 120)
    part = everyone.users(np.arange(2000, 3000))
    apart = Markov.fit(part, np.random.default_rng(1))
    settled = Markov.chosen_config(everyone, np.random.default_rng(1))
    assert (apart.recency, settled.recencies) == (0.9, (0.6,))
    assert Markov.fit(part, np.random.default_rng(1), settled).recency == 0.6


def with_text(rows: list[np.ndarray], text: np.ndarray) -> Behavior:
    return replace(behavior_of(rows, len(text)), text=text.astype(np.float32))


def test_what_reads_alike_is_heeded_where_it_says_what_comes_and_only_there() -> None:
    """Everyone stays within a brand of ten items; the texts name the brand, or nothing."""
    rng = np.random.default_rng(0)
    brand = np.arange(400) // 10
    rows = [10 * rng.integers(40) + rng.permutation(10)[:4] for _ in range(600)]
    telling = np.eye(40)[brand] + 0.1 * rng.normal(size=(400, 40))
    silent = rng.normal(size=(400, 40))
    behavior, other = with_text(rows, telling), with_text(rows, silent)
    fitted, plain = (Markov.fit(b, np.random.default_rng(1)) for b in (behavior, other))
    scores, without = (dense(m.evidence(asked([25])))[0] for m in (fitted, plain))
    best = np.argsort(-scores)[:9]
    assert set(brand[best]) == {2}
    assert (scores > 0).sum() > (without > 0).sum()
    nothing = MarkovConfig(alikes=(0.0,))
    untold = Markov.fit(other, np.random.default_rng(1), nothing)
    assert (plain.following != untold.following).nnz == 0


def test_a_pull_towards_what_reads_alike_adds_its_chances() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.permutation(9)[:4] for _ in range(20)]
    behavior = with_text(rows, rng.normal(size=(9, 3)))
    told, plain = (
        Markov.fit(behavior, rng, MarkovConfig(alikes=(pull,), rarities=(0.0,)))
        for pull in (5.0, 0.0)
    )
    counts = np.bincount(np.concatenate(rows), minlength=9)
    near = Alike.of(behavior.text, counts, 100)
    added = (told.following - plain.following).toarray()
    scale = added.sum(1, keepdims=True)
    assert added / scale == pytest.approx(near.chances(counts, 10.0, 0.5).toarray(), abs=1e-5)
    assert scale[:, 0] == pytest.approx(5.0 * plain_scale(rows, 9), rel=1e-4)


def plain_scale(rows: list[np.ndarray], items: int) -> np.ndarray:
    """[N] 1 / (energy + pull) from the definition."""
    chain, energy = Chain(), np.zeros(items)
    for row in rows:
        for target in range(1, len(row)):
            energy[row[:target]] += chain.recency ** (2.0 * np.arange(target)[::-1])
    return 1.0 / (energy + chain.pull)


def test_choosing_is_repeatable_and_leaves_the_draws_of_other_models_alone() -> None:
    behavior = behavior_of(rings(600), 40)
    rng = np.random.default_rng(3)
    first = Markov.fit(behavior, rng)
    after = rng.random()
    again = Markov.fit(behavior, np.random.default_rng(3))
    assert (first.following != again.following).nnz == 0
    assert after == np.random.default_rng(3).random()


def test_a_saved_chain_is_the_same_and_older_files_have_the_default_recency() -> None:
    model = Markov.fit(behavior_of(rings(600), 40), np.random.default_rng(0))
    users = asked([1, 2, 3], [7])
    arrays = dict(model.arrays())
    before, after = (dense(m.evidence(users)) for m in (model, Markov.from_arrays(arrays)))
    np.testing.assert_array_equal(before, after)
    del arrays["recency"]
    assert Markov.from_arrays(arrays).recency == Chain().recency


def test_pairs_counted_a_few_items_at_a_time_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    behavior = behavior_of([rng.permutation(40)[: rng.integers(2, 15)] for _ in range(80)], 40)
    whole = Markov.fit(behavior, np.random.default_rng(0)).arrays()
    monkeypatch.setattr(markov_counts, "PAIRS_AT_ONCE", 900)
    for name, array in Markov.fit(behavior, np.random.default_rng(0)).arrays().items():
        np.testing.assert_array_equal(array, whole[name])


def test_items_without_events_follow_nothing_by_text_and_folds_share_the_comparison() -> None:
    text = np.tile(np.eye(2, dtype=np.float32), (4, 1))  # even items read alike, and odd ones
    counts = np.array([3, 2, 5, 1, 0, 4, 2, 2])
    near = Alike.of(text, np.ones(8, int), 3)
    assert near is not None
    for popularity in (0.0, 0.5):
        chances = near.chances(counts, 10.0, popularity).toarray()
        assert not chances[:, 4].any()
        np.testing.assert_allclose(chances.sum(1), counts > 0, atol=1e-6)
    behavior = replace(behavior_of([[0, 1, 2, 3]] * 4 + [[4, 5, 6, 7]] * 4, 8), text=text)
    config = MarkovConfig(alikes=(10.0,))
    Markov.fit(behavior, np.random.default_rng(0), config)
    fold = behavior.users(np.arange(4))
    assert fold.of_catalog is behavior.of_catalog
    assert len(fold.of_catalog) == 1
    after = Markov.fit(fold, np.random.default_rng(0), config)
    alone = Markov.fit(replace(fold, of_catalog={}), np.random.default_rng(0), config)
    np.testing.assert_allclose(after.following.toarray(), alone.following.toarray(), atol=1e-6)
    other = replace(fold, text=text[:, ::-1] * np.array([[1.0, 0.5]], np.float32))
    Markov.fit(other, np.random.default_rng(0), config)  # other texts are compared anew
    assert other.of_catalog["alike 100"][0] is other.text

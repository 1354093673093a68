"""The closed forms against slow, obvious versions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metarec.data.cold_users import SHORT
from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.rating.choice import ChoicePrior, chance_of, counting
from metarec.models.rating.head import RatingHead
from metarec.models.rating.kernel import RatingConfig, factors_of
from metarec.models.rating.profile import ProfileEquations, ProfilePrior
from metarec.models.rating.rehearsal import _least_absolute, _spread
from metarec.models.ridge_rows import ridge_of_few, ridge_rows
from metarec.models.support_ridge.model import SupportRidge, SupportRidgeConfig
from world import evidence_of, popular_first

N_ITEMS, USERS = 15, 40


@pytest.fixture
def behavior() -> Behavior:
    rng = np.random.default_rng(1)
    lists = [rng.choice(N_ITEMS, size=rng.integers(5, 10), replace=False) for _ in range(USERS)]
    plain = Histories.of_indexes(lists)
    histories = Histories(
        offsets=plain.offsets,
        items=plain.items,
        values=rng.integers(1, 6, len(plain.items)).astype(np.float32),
    )
    return Behavior(
        histories=histories,
        profiles=rng.random((USERS, 2)).astype(np.float32),
        content=rng.normal(size=(N_ITEMS, 3)).astype(np.float32),
        relevant_from=4.0,
        horizon=SHORT,
    )


@pytest.mark.parametrize("few", [False, True])
def test_ridges_of_rows_equal_a_solve_row_by_row(few: bool) -> None:
    rng = np.random.default_rng(0)
    rows = Histories.of_indexes([rng.integers(0, 8, n) for n in (3, 0, 5, 1)])
    weights, targets = rng.random(9).astype(np.float32), rng.normal(size=9).astype(np.float32)
    factors, gram = (
        rng.normal(size=(8, 4)).astype(np.float32),
        np.diag([0.7, 0.9, 1.1, 1.3]).astype(np.float32),
    )
    gram[0, 1] = gram[1, 0] = 0.2

    solved = (
        ridge_of_few(rows, weights, targets, factors, factors @ np.linalg.inv(gram))
        if few
        else ridge_rows(rows, weights, targets, factors, gram)
    )

    for row in range(4):
        events = slice(rows.offsets[row], rows.offsets[row + 1])
        met = factors[rows.items[events]]
        expected = np.linalg.solve(
            gram + met.T @ (met * weights[events, None]), met.T @ targets[events]
        )
        np.testing.assert_allclose(solved[row], expected, atol=1e-4)


def test_the_episodic_ridge_is_the_primal_ridge_of_its_tasks(
    behavior: Behavior,
) -> None:
    histories = popular_first(behavior.histories)
    behavior = replace(behavior, histories=histories, whole=None)
    assert behavior.is_ordered
    config = SupportRidgeConfig(rank=N_ITEMS - 1)
    head = SupportRidge.fit(behavior, np.random.default_rng(0), config)
    point = 2
    dense, items = head.features(
        behavior.histories.first(np.minimum(head.points[point], behavior.pools)),
        behavior.profiles,
    )
    features = np.concatenate([dense, items.toarray()], axis=1)
    targets = behavior.targets.matrix(N_ITEMS).toarray()

    primal = np.linalg.solve(
        features.T @ features + config.regularization * np.eye(features.shape[1]),
        features.T @ (targets - targets.mean(0)),
    )
    left, strength, right = np.linalg.svd(targets - targets.mean(0), full_matrices=False)
    kept = (left[:, : N_ITEMS - 1] * strength[: N_ITEMS - 1]) @ right[: N_ITEMS - 1]
    truncated = np.linalg.solve(
        features.T @ features + config.regularization * np.eye(features.shape[1]),
        features.T @ kept,
    )

    np.testing.assert_allclose(head.weights[point] @ head.directions, truncated, atol=2e-4)
    assert np.abs(truncated - primal).max() < 0.05


def test_the_episodic_ridge_answers_for_supports_longer_than_any_trained_on(
    behavior: Behavior,
) -> None:
    head = SupportRidge.fit(behavior, np.random.default_rng(0))

    evidence = evidence_of(head, behavior.histories, behavior.profiles)

    assert np.isfinite(evidence).all()
    assert (evidence >= 0).all()


def test_items_that_nobody_wanted_change_nothing_however_many_they_are(behavior: Behavior) -> None:
    head = SupportRidge.fit(behavior, np.random.default_rng(0))
    users = behavior.batch_of(np.arange(3), behavior.histories.users(np.arange(3)))
    content = np.zeros((4 * N_ITEMS, 3), np.float32)
    grown = head.with_content(content, np.full(4 * N_ITEMS, 0.1, np.float32))
    found = grown.evidence(users, np.full((3, 4 * N_ITEMS), np.nan, np.float32))
    np.testing.assert_allclose(found[:, :N_ITEMS], head.evidence(users), atol=1e-6)
    assert not found[:, N_ITEMS:].any()


def test_the_rating_process_equals_an_exact_posterior(behavior: Behavior) -> None:
    head = RatingHead.fit(behavior, np.random.default_rng(0))
    support, asked = behavior.histories.first(3), behavior.histories.after(3)

    mean, variance = head.process(support, asked)

    user = 7
    met = slice(support.offsets[user], support.offsets[user + 1])
    wanted = slice(asked.offsets[user], asked.offsets[user + 1])
    seen, query = (
        head.features[support.items[met]].astype(float),
        head.features[asked.items[wanted]].astype(float),
    )
    kernel = seen @ seen.T + head.offset_variance + head.config.noise * np.eye(len(seen))
    cross = query @ seen.T + head.offset_variance
    residual = (support.values[met] - head.mean) / head.unit - head.item_bias[support.items[met]]
    np.testing.assert_allclose(mean[wanted], cross @ np.linalg.solve(kernel, residual), atol=1e-4)
    prior = (query**2).sum(1) + head.offset_variance
    np.testing.assert_allclose(
        variance[wanted],
        prior - np.einsum("qs,sq->q", cross, np.linalg.solve(kernel, cross.T)),
        atol=1e-4,
    )


def test_users_asked_a_few_at_a_time_get_the_same(
    behavior: Behavior, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = RatingHead.fit(behavior, np.random.default_rng(0))
    support, asked = behavior.histories.first(3), behavior.histories.after(3)
    whole = head.process(support, asked)
    for numbers in (1, 5000):
        monkeypatch.setattr("metarec.models.rating.head.NUMBERS_AT_ONCE", numbers)
        for one, other in zip(head.process(support, asked), whole, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)


def test_no_support_predicts_the_item_mean_and_more_support_is_surer(behavior: Behavior) -> None:
    head = RatingHead.fit(behavior, np.random.default_rng(0))
    asked = behavior.histories.after(4)

    mean, before = head.process(behavior.histories.first(0), asked)
    _, after = head.process(behavior.histories.first(4), asked)

    np.testing.assert_array_equal(mean, 0.0)
    assert (after <= before + 1e-5).all()
    assert after.mean() < before.mean()


@pytest.mark.parametrize(
    ("max_events", "lengths"),
    [
        (13, [10, 3, 0]),
        (12, [9, 3, 0]),
        (8, [5, 3, 0]),
        (7, [4, 3, 0]),
        (5, [2, 2, 0]),
        (1, [1] * 2),
    ],
)
def test_of_too_many_ratings_users_with_the_most_give_equally_many(
    max_events: int, lengths: list[int]
) -> None:
    histories = Histories.of_indexes([np.arange(10), np.arange(3), np.arange(0)])

    assert _spread(histories, max_events).lengths.tolist()[: len(lengths)] == lengths
    assert _spread(histories, 7).items.tolist() == [2, 4, 7, 9, 0, 1, 2]  # of all times


def test_no_other_coefficients_have_a_smaller_absolute_error() -> None:
    rng = np.random.default_rng(0)
    columns = np.column_stack([np.ones(4000), rng.normal(size=(4000, 2))])
    targets = columns @ [0.4, 0.2, 0.9] + rng.exponential(1.0, 4000)
    weights = rng.random(4000)

    fitted = _least_absolute(columns, targets, weights)

    def error(shares: np.ndarray) -> float:
        return float(np.average(np.abs(targets - columns @ shares), weights=weights))

    np.testing.assert_allclose(fitted, [0.4 + np.log(2), 0.2, 0.9], atol=0.06)
    for near in fitted + 0.05 * np.vstack([np.eye(3), -np.eye(3)]):
        assert error(near) > error(fitted)


@pytest.mark.parametrize(("scale", "shift"), [(0.25, 0.0), (0.7, 0.0), (2.5, -2.5), (1000.0, 7.0)])
def test_the_unit_of_ratings_changes_no_prediction(
    behavior: Behavior, scale: float, shift: float
) -> None:
    histories = behavior.histories
    moved = replace(histories, values=(histories.values * scale + shift).astype(np.float32))
    other = replace(behavior, histories=moved, whole=moved, relevant_from=4.0 * scale + shift)

    plain = RatingHead.fit(behavior, np.random.default_rng(0))
    same = RatingHead.fit(other, np.random.default_rng(0))

    for n_support in (0, 1, 4):
        asked = histories.after(4)
        values, uncertainty = plain.predict(histories.first(n_support), asked)
        other_values, other_uncertainty = same.predict(moved.first(n_support), asked)
        np.testing.assert_allclose((other_values - shift) / scale, values, atol=2e-3)
        np.testing.assert_allclose(other_uncertainty / scale, uncertainty, atol=2e-3)


def test_ratings_that_are_all_the_same_are_predicted(behavior: Behavior) -> None:
    constant = replace(behavior.histories, values=np.full(len(behavior.histories.items), 3.0))
    head = RatingHead.fit(
        replace(behavior, histories=constant, whole=constant), np.random.default_rng(0)
    )

    values, _ = head.predict(constant.first(2), constant.after(2))

    np.testing.assert_allclose(values, 3.0, atol=1e-6)


def test_acts_without_a_rating_teach_no_prediction(behavior: Behavior) -> None:
    histories = behavior.histories
    is_rated = histories.items != 0
    mixed = replace(histories, is_rated=is_rated, values=np.where(is_rated, histories.values, 5.0))

    head = RatingHead.fit(replace(behavior, histories=mixed, whole=mixed), np.random.default_rng(0))

    told = head.content_bias
    assert head.item_bias[0] == pytest.approx(behavior.content[0] @ told[:-1] + told[-1])


def test_a_head_saved_without_a_unit_predicts_as_it_did(behavior: Behavior) -> None:
    head = RatingHead.fit(behavior, np.random.default_rng(0))
    head = replace(head, unit=1.0, offset_variance=0.1)
    arrays = head.arrays()

    old = RatingHead.from_arrays({**arrays, "scale": arrays["scale"][:3]})

    support, asked = behavior.histories.first(3), behavior.histories.after(3)
    np.testing.assert_array_equal(old.predict(support, asked), head.predict(support, asked))


def by_group(seed: int, *, taste: float) -> Behavior:
    """300 users of two groups that see the items' quality with opposite signs of `taste`."""
    rng = np.random.default_rng(seed)
    lists = [rng.choice(30, size=12, replace=False) for _ in range(300)]
    group, liking = rng.random(300) < 0.5, rng.normal(size=30)
    plain = Histories.of_indexes(lists)
    sides = np.where(group, taste, -taste)[plain.owners] * liking[plain.items]
    return Behavior(
        histories=Histories(
            offsets=plain.offsets,
            items=plain.items,
            values=(3.0 + sides + rng.normal(0, 0.5, len(sides))).astype(np.float32),
        ),
        profiles=np.stack([group, ~group], axis=1).astype(np.float32),
        content=np.zeros((30, 0), np.float32),
        relevant_from=4.0,
        horizon=SHORT,
    )


def test_what_users_of_a_profile_rate_alike_is_known_before_any_rating() -> None:
    behavior = by_group(0, taste=1.0)
    head = RatingHead.fit(behavior, np.random.default_rng(0))
    none, asked = behavior.histories.first(0), behavior.histories

    informed = head.predict(none, asked, behavior.profiles)[0]
    silent = head.predict(none, asked, np.zeros_like(behavior.profiles))[0]

    np.testing.assert_array_equal(silent, head.predict(none, asked)[0])
    errors = [np.abs(values - asked.values).mean() for values in (informed, silent)]
    assert errors[0] < 0.7 * errors[1]


def test_profiles_are_not_read_where_they_tell_nothing() -> None:
    behavior = by_group(0, taste=0.0)

    head = RatingHead.fit(behavior, np.random.default_rng(0))

    assert not len(head.prior.weights)


def test_profiles_that_are_all_the_same_say_nothing() -> None:
    """As those of the users who are left when a part of a handful is held out."""
    histories = by_group(0, taste=1.0).histories
    profiles, rng = np.tile(np.float32([[1.0, 0.0]]), (300, 1)), np.random.default_rng(0)
    equations = ProfileEquations.of(
        histories,
        rng.normal(size=len(histories.items)),
        profiles,
        rng.normal(size=(30, 4)),
        offset_variance=0.1,
        noise=1.0,
        weights=np.ones(300),
        max_directions=10,
    )

    prior = ProfilePrior.fit(equations, 1.0)

    np.testing.assert_array_equal(prior.of(profiles, 300), np.zeros((300, 5)))
    assert equations.best_pull([1.0]) is None


def test_a_profile_s_prior_counts_as_the_mean_of_the_process() -> None:
    behavior = by_group(1, taste=1.0)
    head = RatingHead.fit(behavior, np.random.default_rng(0))
    support, asked = behavior.histories.first(3), behavior.histories.after(3)

    mean, _ = head.process(support, asked, behavior.profiles)

    start = (behavior.profiles - head.prior.middle) @ head.prior.weights
    features = np.column_stack([head.features, np.ones(30)])
    said = [np.einsum("ef,ef->e", features[h.items], start[h.owners]) for h in (support, asked)]
    left = replace(support, values=(support.values - head.unit * said[0]).astype(np.float32))
    np.testing.assert_allclose(mean, said[1] + head.process(left, asked)[0], atol=1e-4)


def test_a_head_keeps_what_profiles_say_when_saved() -> None:
    behavior = by_group(2, taste=1.0)
    head = RatingHead.fit(behavior, np.random.default_rng(0))
    support, asked = behavior.histories.first(1), behavior.histories.after(1)

    again, old = (
        RatingHead.from_arrays({name: array for name, array in head.arrays().items() if keep(name)})
        for keep in (lambda _: True, lambda name: "profile" not in name)
    )

    expected = head.predict(support, asked, behavior.profiles)
    np.testing.assert_array_equal(again.predict(support, asked, behavior.profiles), expected)
    np.testing.assert_array_equal(
        old.predict(support, asked, behavior.profiles), head.predict(support, asked)
    )


def by_content(users: int = 200) -> Behavior:
    """Items of two topics, one of them better, each rated by few; factors of two tastes."""
    rng = np.random.default_rng(5)
    n_items = 120
    topic, taste = rng.random(n_items) < 0.5, rng.normal(size=n_items)
    plain = Histories.of_indexes([rng.choice(100, size=8, replace=False) for _ in range(users)])
    wants = rng.normal(size=users)[plain.owners]
    values = 3.0 + np.where(topic, 0.8, -0.8)[plain.items] + 0.8 * wants * taste[plain.items]
    return Behavior(
        histories=Histories(
            offsets=plain.offsets,
            items=plain.items,
            values=(values + rng.normal(0, 0.3, len(values))).astype(np.float32),
        ),
        profiles=np.zeros((users, 0), np.float32),
        content=np.stack([topic, ~topic], axis=1).astype(np.float32),
        relevant_from=4.0,
        horizon=SHORT,
    )


def test_an_item_nobody_rated_starts_where_its_content_says() -> None:
    behavior = by_content()

    head = RatingHead.fit(behavior, np.random.default_rng(0))

    is_good = behavior.content[100:, 0] > 0
    unrated = head.item_bias[100:]
    assert unrated[is_good].min() > 0.4 > -0.4 > unrated[~is_good].max()
    grown = head.with_content(np.concatenate([behavior.content, [[1.0, 0.0], [0.0, 1.0]]]))
    np.testing.assert_allclose(
        grown.item_bias[-2:], [unrated[is_good][0], unrated[~is_good][0]], atol=1e-5
    )
    again = RatingHead.from_arrays(head.arrays()).with_content(
        np.concatenate([behavior.content, [[1.0, 0.0], [0.0, 1.0]]])
    )
    np.testing.assert_array_equal(again.item_bias, grown.item_bias)


def test_each_sweep_makes_the_ratings_of_users_more_likely() -> None:
    rng = np.random.default_rng(2)
    plain = Histories.of_indexes([rng.choice(20, size=4, replace=False) for _ in range(500)])
    wants, truth = rng.normal(size=(500, 2)), 0.7 * rng.normal(size=(20, 2))
    sides = np.einsum("ef,ef->e", wants[plain.owners], truth[plain.items])
    residual = (sides + rng.normal(0, 0.6, len(sides))).astype(np.float32)

    def likelihood(sweeps: int) -> float:
        config = RatingConfig(dim=2, noise=0.36, sweeps=sweeps, factor_regularization=1e-3)
        found = factors_of(plain, residual, 20, np.random.default_rng(0), config)
        rows = found[plain.items].reshape(500, 4, 2).astype(float)
        spread = rows @ rows.transpose(0, 2, 1) + config.offset_variance[0] + 0.36 * np.eye(4)
        asked = residual.reshape(500, 4, 1).astype(float)
        distance = (asked * np.linalg.solve(spread, asked)).sum()
        return float(-np.linalg.slogdet(spread)[1].sum() - distance)

    found = [likelihood(sweeps) for sweeps in (1, 3, 6, 12, 24)]

    assert found == sorted(found)


def by_choice(*, users: int = 300, times: float) -> Behavior:
    """Users of two groups that see the items' quality with opposite signs; each group rates its own
    half of the items so many `times` as often as the other.
    """
    rng = np.random.default_rng(4)
    group, liking = rng.random(users) < 0.5, rng.normal(size=30)
    own = np.where(np.arange(30) < 15, times, 1.0)
    chances = [np.where(side, own, own[::-1]) for side in group]
    lists = [rng.choice(30, size=12, replace=False, p=p / p.sum()) for p in chances]
    plain = Histories.of_indexes(lists)
    sides = np.where(group, 1.0, -1.0)[plain.owners] * liking[plain.items]
    return Behavior(
        histories=Histories(
            offsets=plain.offsets,
            items=plain.items,
            values=(3.0 + sides + rng.normal(0, 0.5, len(sides))).astype(np.float32),
        ),
        profiles=np.zeros((users, 0), np.float32),
        content=np.zeros((30, 0), np.float32),
        relevant_from=4.0,
        horizon=SHORT,
    )


@pytest.fixture(scope="module")
def chosen() -> tuple[Behavior, RatingHead]:
    behavior = by_choice(times=9.0)
    return behavior, RatingHead.fit(behavior, np.random.default_rng(0))


def test_what_is_rated_at_all_says_something_of_ratings(
    chosen: tuple[Behavior, RatingHead],
) -> None:
    behavior, head = chosen
    support, asked = behavior.histories.first(2), behavior.histories.after(3)

    silent = replace(head, choices=ChoicePrior.nothing())
    errors = [
        np.abs(one.predict(support, asked)[0] - asked.values).mean() for one in (head, silent)
    ]

    assert errors[0] < 0.85 * errors[1]
    none = behavior.histories.first(0)
    np.testing.assert_array_equal(head.predict(none, asked), silent.predict(none, asked))


def test_whole_histories_teach_what_a_single_choice_says() -> None:
    """A single choice of so few users teaches nothing clear by itself."""
    behavior = by_choice(users=150, times=4.0)
    head = RatingHead.fit(behavior, np.random.default_rng(0))
    support, asked = behavior.histories.first(1), behavior.histories.after(3)

    silent = replace(head, choices=ChoicePrior.nothing())
    errors = [
        np.abs(one.predict(support, asked)[0] - asked.values).mean() for one in (head, silent)
    ]

    assert errors[0] < 0.95 * errors[1]


def test_a_direction_of_choices_counts_after_as_many_ratings_as_make_it_no_chance() -> None:
    rng = np.random.default_rng(0)
    own = rng.normal(0.0, 2.0, (4000, 1, 2)) * [1.0, 0.25]
    vectors = (own + rng.normal(size=(4000, 10, 2))).reshape(-1, 2)
    histories = Histories.of_indexes(list(np.arange(40_000).reshape(4000, 10)))

    chance = chance_of(vectors, histories)
    share = counting(np.array([0, 1, 4]), chance, last=4)

    np.testing.assert_allclose(chance, [0.25, 4.0], rtol=0.1)
    np.testing.assert_allclose(share[1], 1 / (1 + chance))
    np.testing.assert_allclose(share[2], 4 / (4 + chance) / 2)
    assert not share[0].any()


def test_choices_are_not_read_where_they_tell_nothing() -> None:
    head = RatingHead.fit(by_choice(times=1.0), np.random.default_rng(0))

    assert not len(head.choices.vectors)


def test_a_head_keeps_what_choices_say_when_saved_and_when_the_catalog_grows(
    chosen: tuple[Behavior, RatingHead],
) -> None:
    behavior, head = chosen
    support, asked = behavior.histories.first(2), behavior.histories.after(3)
    arrays = head.arrays()

    grown = RatingHead.from_arrays(arrays).with_content(np.zeros((31, 0), np.float32))
    old = RatingHead.from_arrays({name: arrays[name] for name in arrays if "choice" not in name})

    np.testing.assert_array_equal(grown.predict(support, asked), head.predict(support, asked))
    of_new = replace(support, items=np.full_like(support.items, 30))
    assert np.isfinite(grown.predict(of_new, asked)).all()
    assert not grown.choices.of(of_new).any()
    known = Histories.of_indexes([np.array([3, 4])])
    both = Histories.of_indexes([np.array([3, 30, 4])])
    np.testing.assert_array_equal(grown.choices.of(both), grown.choices.of(known))
    silent = replace(head, choices=ChoicePrior.nothing())
    np.testing.assert_array_equal(old.predict(support, asked), silent.predict(support, asked))


def test_choices_after_more_ratings_than_any_learned_from_count_as_the_last(
    chosen: tuple[Behavior, RatingHead],
) -> None:
    _, head = chosen
    once = Histories.of_indexes([np.arange(3)])
    copies = Histories.of_indexes([np.tile(np.arange(3), 40)])

    np.testing.assert_allclose(head.choices.of(copies), head.choices.of(once), rtol=1e-4, atol=1e-6)

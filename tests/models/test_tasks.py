from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from episodes import histories_of
from metarec.data.schema import BadInput
from metarec.models.few_shot.tasks import FewShotTasks, by_item

users = st.lists(
    st.lists(
        st.tuples(st.integers(0, 29), st.sampled_from([-1.0, 0.5, 1.0])),
        max_size=14,
        unique_by=lambda e: e[0],
    ),
    min_size=1,
    max_size=6,
)


def rows_of(batch, part):
    rows = getattr(batch, part)
    return [
        [int(i) for i, real in zip(items, is_real, strict=True) if real]
        for items, is_real in zip(rows.items, rows.is_real, strict=True)
    ]


@settings(max_examples=60, deadline=None)
@given(
    users=users,
    pool=st.integers(1, 6),
    in_order=st.booleans(),
    liked_only=st.booleans(),
    seed=st.integers(0, 9),
)
def test_support_is_the_start_and_the_query_lies_after_it(users, pool, in_order, liked_only, seed):
    histories = histories_of(users)
    try:
        tasks = FewShotTasks(
            histories=histories,
            n_items=30,
            pool=pool,
            in_order=in_order,
            liked_only=liked_only,
            query_most=4,
        )
    except BadInput:
        return
    batch = tasks.sample(5, np.random.default_rng(seed))
    whole = {tuple(sorted(i for i, _ in row)): dict(row) for row in users}
    orders = [[i for i, _ in row] for row in users]
    for b, (shown, asked) in enumerate(
        zip(rows_of(batch, "support"), rows_of(batch, "query"), strict=True)
    ):
        assert len(shown) <= pool and len(asked) <= 4
        assert not set(shown) & set(asked)
        owners = [order for order in orders if set(shown) | set(asked) <= set(order)]
        assert owners, "events of one task come from one user"
        # A support is the very start of someone's history, and nothing asked comes before its end
        if in_order:
            assert any(
                order[: len(shown)] == shown and all(order.index(i) >= len(shown) for i in asked)
                for order in owners
            )
        candidates = {i for i in range(30) if batch.query.is_candidate[b, i]}
        assert set(asked) <= candidates
        assert not set(shown) & candidates
        values = batch.query.values[b][batch.query.is_real[b]].tolist()
        assert not liked_only or all(value > 0 for value in values)
        assert all(
            any(values_of[i] == pytest.approx(v) for values_of in whole.values() if i in values_of)
            for i, v in zip(asked, values, strict=True)
        )


def test_the_pool_is_never_asked_whatever_is_shown():
    histories = histories_of([[(item, 1.0) for item in range(12)]])
    tasks = FewShotTasks(histories=histories, n_items=12, pool=5)
    sizes = set()
    for seed in range(40):
        batch = tasks.sample(1, np.random.default_rng(seed))
        sizes.add(int(batch.support.is_real.sum()))
        assert batch.query.is_candidate[0].tolist() == [False] * 5 + [True] * 7
        assert set(rows_of(batch, "query")[0]) == set(range(5, 12))
    assert sizes == set(range(6))


def test_a_shuffled_history_shows_any_part_of_it():
    histories = histories_of([[(item, 1.0) for item in range(12)]])
    tasks = FewShotTasks(histories=histories, n_items=12, pool=4, in_order=False)
    seen = {
        item
        for seed in range(40)
        for item in rows_of(tasks.sample(1, np.random.default_rng(seed)), "support")[0]
    }
    assert seen == set(range(12))


def test_short_histories_give_half_to_the_support():
    tasks = FewShotTasks(
        histories=histories_of([[(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]]), n_items=4, pool=20
    )
    for seed in range(20):
        batch = tasks.sample(1, np.random.default_rng(seed))
        assert len(rows_of(batch, "support")[0]) <= 2
        assert rows_of(batch, "query")[0] == [2, 3]


def test_nobody_to_ask_is_said():
    with pytest.raises(BadInput, match="no history among 2 has an event to ask for"):
        FewShotTasks(histories=histories_of([[(0, 1.0)], [(1, 1.0), (2, -1.0)]]), n_items=3)
    with pytest.raises(BadInput, match="pool must be 1 or more, got 0"):
        FewShotTasks(histories=histories_of([[(0, 1.0), (1, 1.0)]]), n_items=2, pool=0)


def test_items_histories_are_their_raters_first_come_first():
    users = histories_of([[(0, 1.0), (1, -1.0)], [(1, 1.0)], [(1, 0.5), (2, 1.0)]])
    items = by_item(users, np.array([5.0, 9.0, 2.0, 4.0, 6.0]), 4)
    assert items.lengths.tolist() == [1, 3, 1, 0]
    assert items.items.tolist() == [0, 1, 2, 0, 2]
    assert items.values.tolist() == [1.0, 1.0, 0.5, -1.0, 1.0]

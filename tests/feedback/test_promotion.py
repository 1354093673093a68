from __future__ import annotations

import json

import pytest

from metarec.feedback.promotion import Comparison, Guardrails, decide


def mean(champion, challenger, low=None, high=None):
    return Comparison(name="NDCG@10", champion=champion, challenger=challenger, low=low, high=high)


def group(champion, challenger, low, high):
    return Comparison(
        name="NDCG@10 of gender=F",
        champion=champion,
        challenger=challenger,
        reading="clear",
        low=low,
        high=high,
    )


@pytest.mark.parametrize(
    ("comparison", "passes"),
    [
        (mean(0.30, 0.31), True),
        (mean(0.30, 0.295), True),
        (mean(0.30, 0.29), False),
        (mean(0.30, 0.29, -0.03, 0.01), True),
        (mean(0.30, 0.29, -0.02, -0.001), False),
        (mean(0.30, 0.26, -0.1, 0.02), False),
        (mean(-0.80, -0.80), True),
        (mean(-0.80, -0.85), False),
        (group(0.30, 0.20, -0.2, 0.01), True),
        (group(0.30, 0.20, -0.2, -0.01), False),
        (group(0.30, 0.295, -0.01, -0.001), True),
        (Comparison(name="ms", champion=2.0, challenger=2.9, reading="ratio"), True),
        (Comparison(name="ms", champion=2.0, challenger=3.1, reading="ratio"), False),
    ],
)
def test_one_comparison_decides_alone(comparison, passes):
    decision = decide([mean(0.3, 0.3), comparison], cold_users=100, rails=Guardrails())
    assert decision.promote is passes
    assert decision.checks[1].passed is passes
    if not passes:
        assert (
            f"{comparison.name}: challenger {comparison.challenger:.4g}, champion "
            f"{comparison.champion:.4g}; must be" in decision.reason
        )


@pytest.mark.parametrize(
    ("worse", "rows", "promotes"), [(13, 14, False), (11, 14, True), (6, 6, True), (7, 7, False)]
)
def test_a_small_loss_nearly_everywhere_is_believed(worse, rows, promotes):
    unsure = [
        mean(0.30, 0.299 if row < worse else 0.301, low=-0.02, high=0.02) for row in range(rows)
    ]
    time_taken = Comparison(name="ms", champion=2.0, challenger=2.1, reading="ratio")

    decision = decide([*unsure, time_taken], cold_users=100, rails=Guardrails())

    assert decision.promote is promotes
    assert all(check.passed for check in decision.checks)
    assert promotes or decision.reason.startswith(f"worse in {worse} of {rows} rows")


def test_equal_rows_say_nothing_by_their_signs():
    assert decide([mean(0.3, 0.3)] * 14, cold_users=100, rails=Guardrails()).promote


def test_too_few_users_promote_nothing():
    decision = decide([mean(0.3, 0.6)], cold_users=29, rails=Guardrails())
    assert not decision.promote
    assert "only 29 new users to evaluate on, 30 needed" in decision.reason


def test_a_decision_is_plain_data():
    decision = decide([mean(0.3, 0.2)], cold_users=100, rails=Guardrails())
    assert json.loads(json.dumps(decision.as_dict()))["table"][0]["passed"] is False

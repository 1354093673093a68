"""The ways that `python -m benchmarks.cli` times give one meta-gradient; a way that does not is
refused.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch
from benchmarks.meta import run
from benchmarks.meta.run import Disagreement, bench_meta, describe
from benchmarks.meta.ways import ours, plain_loop


def fewer(contests):
    """One step only, and JAX, which takes seconds to compile a Transformer, on the MLP alone."""
    return [
        replace(
            contest,
            ways={
                way: f
                for way, f in contest.ways.items()
                if way != "jax" or contest.name == "MLP head"
            },
        )
        for contest in contests
        if contest.steps <= 1
    ]


def test_every_way_agrees_and_is_told(monkeypatch):
    all_contests = run._contests
    monkeypatch.setattr(run, "_contests", lambda seed: fewer(all_contests(seed)))
    rows = bench_meta(rounds=1)
    assert {row.case for row in rows} == {
        "MLP head",
        "Transformer head",
        "closed form",
        "its solution",
        "MeLU's setting",
    }
    assert all(row.error <= 1e-10 and row.tasks_per_second > 0 for row in rows)
    assert all(row.ratio == 1.0 for row in rows if row.way == "loop")
    assert "closed form" in describe(rows)
    assert (
        any(row.way == "jax" and row.first_seconds * row.tasks_per_second > 32 for row in rows)
        or find_spec("jax") is None
    )


def test_a_way_that_differs_is_refused(monkeypatch):
    contest = run._contests(0)[0]
    wrong = {
        "metarec": lambda case, steps: {
            name: value * (1 + 1e-8) for name, value in ours(case, steps).items()
        },
        "loop": plain_loop,
    }
    monkeypatch.setattr(
        run,
        "_contests",
        lambda seed: [run._Contest(name="wrong", steps=1, case=contest.case, ways=wrong)],
    )
    threads = torch.get_num_threads()
    with pytest.raises(Disagreement, match="metarec on wrong, 1 steps, differs from the loop by 1"):
        bench_meta(rounds=1)
    assert torch.get_num_threads() == threads

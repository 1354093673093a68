from __future__ import annotations

import os
from pathlib import Path

import pytest

from metarec.runtime.jobs import run_jobs
from runtime.job_functions import divide, draw


def test_workers_change_nothing() -> None:
    alone = run_jobs(draw, range(6))
    assert run_jobs(draw, range(6), workers=2) == alone
    assert len(set(alone)) == 6


def test_a_failure_names_its_item() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run_jobs(divide, [1, 2, 0])
    assert caught.value.__notes__ == ["while running job 2 on 0"]


@pytest.mark.ray
def test_ray_gives_the_same_results(monkeypatch: pytest.MonkeyPatch) -> None:
    tests = str(Path(__file__).parents[1])  # its workers import what they run, as this process did
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]))
    assert run_jobs(draw, range(6), workers=2, backend="ray") == run_jobs(draw, range(6))
    with pytest.raises(ZeroDivisionError):
        run_jobs(divide, [1, 0], workers=2, backend="ray")


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="workers must be 1 or more, got 0"):
        run_jobs(divide, [1], workers=0)
    with pytest.raises(ValueError, match="backend must be one of here, ray, got 'moon'"):
        run_jobs(divide, [1], backend="moon")


def test_who_listens_hears_of_every_item_and_items_are_asked_for_one_by_one() -> None:
    asked: list[int] = []

    class Lazy(list[int]):
        def __getitem__(self, position: int) -> int:  # type: ignore[override]
            asked.append(position)
            return position + 1

    heard: list[tuple[int, int]] = []
    run_jobs(divide, Lazy(range(3)), on_done=lambda done: heard.append((done, len(asked))))
    assert heard == [(1, 1), (2, 2), (3, 3)]

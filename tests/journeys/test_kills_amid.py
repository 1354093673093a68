"""A few kills in the midst of each job; `benchmarks/kills.py` makes many."""

from __future__ import annotations

import shutil

import pytest

from feedback.cluster import private_cluster
from journeys.kills_amid import (
    kill_forgetting,
    kill_imports,
    kill_merges,
    kill_migrations,
    kill_promotions,
    kill_retraining,
    rename_users,
)
from served_model import saved_model


@pytest.fixture
def model(tmp_path):
    shutil.copytree(saved_model(), tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store_url(request, tmp_path):
    if request.param == "sqlite":
        yield str(tmp_path / "events.db")
        return
    with private_cluster() as cluster:
        yield cluster.new_database("amid")


def test_killed_promotions_leave_one_model_that_serves(model):
    left = kill_promotions(model, 3)
    assert left.problems == []


def test_killed_forgetting_leaves_nobody_by_half(model, store_url):
    rename_users(model)
    left = kill_forgetting(model, store_url, 3)
    assert left.problems == []


@pytest.mark.slow
def test_killed_retrainings_leave_nothing(model, store_url):
    left = kill_retraining(model, store_url, 3)
    assert left.problems == []


def test_killed_migrations_leave_the_store_before_or_after(tmp_path):
    left = kill_migrations(lambda number: str(tmp_path / f"{number}.db"), 3)
    assert left.problems == []


def test_killed_imports_bring_every_event_once(tmp_path):
    left = kill_imports(lambda number: str(tmp_path / f"{number}.db"), tmp_path, 2)
    assert left.problems == []


def test_killed_merges_leave_every_anonymous_user_whole(store_url):
    left = kill_merges(store_url, 3)
    assert left.problems == []

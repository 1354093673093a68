"""One small fitted model for all tests of the service: fitting is most of their time, so it happens
once in a run.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from context_world import context_world
from metarec.recommender import Recommender
from world import tiny_world


@functools.cache
def fitted_model(seed: int = 0) -> Recommender:
    """A tiny model of the world with ratings; other seeds give other worlds and so other
    versions.
    """
    return Recommender.fit(
        tiny_world(ratings=True, seed=seed).data, preset="tiny", seed=seed, encoder="tfidf"
    )


def saved_model() -> Path:
    """Where `fitted_model()` lies on disk; copy it before writing or serving there."""
    place, names = _saved_model()
    more = {path.name for path in place.iterdir()} - names
    assert not more, f"a test before this one left {more} in the folder that all tests share"
    return place


@functools.cache
def _saved_model() -> tuple[Path, frozenset[str]]:
    """The folder, and the names of all that lies there."""
    folder = Path(tempfile.mkdtemp(prefix="metarec-model-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    fitted_model().save(folder / "model")
    return folder / "model", frozenset(path.name for path in (folder / "model").iterdir())


def save_two_versions(folder: Path) -> Path:
    """A registry at `folder`: `fitted_model()` serves, `fitted_model(1)` lies beside it."""
    shutil.copytree(saved_model(), folder)
    challenger = fitted_model(1)
    challenger.save(folder / "versions" / challenger.version)
    return folder


@functools.cache
def context_model() -> Recommender:
    """A tiny model of the world with friends, places, moods and searches."""
    return Recommender.fit(context_world(), preset="tiny", encoder="none")


@functools.cache
def saved_context_model() -> Path:
    """Where `context_model()` lies on disk; copy it before writing there."""
    folder = Path(tempfile.mkdtemp(prefix="metarec-model-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    context_model().save(folder / "model")
    return folder / "model"

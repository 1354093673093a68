from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

pytest.importorskip("sqlalchemy")  # what follows imports it

from feedback.cluster import Cluster, private_cluster  # noqa: E402
from metarec.feedback import open_store  # noqa: E402
from metarec.feedback.store.event_store import Store  # noqa: E402

_numbers = itertools.count()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with private_cluster() as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store_url(request, tmp_path) -> str:
    """The url of an empty store: every test of the store runs on both kinds."""
    if request.param == "sqlite":
        return str(tmp_path / "events.db")
    return request.getfixturevalue("cluster").new_database(f"test{next(_numbers)}")


@pytest.fixture
def store(store_url) -> Iterator[Store]:
    opened = open_store(store_url)
    yield opened
    opened.close()

"""The Python client against a real service in a second process."""

from __future__ import annotations

import shutil

import pytest

for module in ("fastapi", "uvicorn", "sqlalchemy"):
    pytest.importorskip(module)

from journeys.running import Running, free_port  # noqa: E402
from metarec.client import Client, ServiceError  # noqa: E402
from served_model import saved_model  # noqa: E402


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    model = shutil.copytree(saved_model(), folder / "model")
    with Running(model, str(folder / "events.db")) as running:
        yield Client(f"http://127.0.0.1:{running.port}/")


def test_what_is_sent_is_stored_once_and_changes_the_slate(service: Client) -> None:
    event = {"user_id": "ä/1", "item_id": "s00", "kind": "like", "event_id": "e1"}
    assert service.send([event])["accepted"] == 1
    assert service.send([event])["duplicates"] == 1
    assert service.user("ä/1")["events"][0]["event_id"] == "e1"
    slate = service.recommend("ä/1", k=3)
    assert slate["n_known"] == 1
    assert "s00" not in [item["item_id"] for item in slate["items"]]
    assert service.explain(slate["items"][0]["item_id"], "ä/1")["item_id"]
    assert len(service.similar("s00", k=2)["items"]) == 2
    service.forget("ä/1")
    with pytest.raises(ServiceError, match="nothing is kept of this user") as gone:
        service.user("ä/1")
    assert gone.value.status == 404


def test_what_is_refused_says_why(service: Client) -> None:
    with pytest.raises(ServiceError, match="k") as refused:
        service.recommend("u1", k=0)
    assert refused.value.status == 422


def test_a_language_may_be_asked_for(service: Client) -> None:
    with pytest.raises(ServiceError, match="必须不小于 1"):
        Client(service.address, language="zh").recommend("u1", k=0)


def test_nobody_there_is_told_with_the_address() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ServiceError, match=f"{address} does not answer") as away:
        Client(address, tries=2).recommend("u1")
    assert away.value.status == 0

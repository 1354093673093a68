"""An A/B experiment of two workers, through kills and a restart, ended from the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

for module in ("fastapi", "uvicorn", "sqlalchemy"):
    pytest.importorskip(module)  # what follows imports them

from journeys.running import Running  # noqa: E402
from metarec.feedback import open_store  # noqa: E402
from metarec.feedback.experiments.experiment import Experiment  # noqa: E402
from served_model import fitted_model, saved_model  # noqa: E402
from waiting import eventually  # noqa: E402  # once what it needs is there

USERS = [f"user{n}" for n in range(60)]


def ab(*words):
    """`metarec ab` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "metarec.app.cli", "ab", *map(str, words), "--json"],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def slates(service, users):
    asks = [{"user_id": user, "k": 3} for user in users]
    status, told = service.ask("POST", "/v1/recommendations/batch", {"requests": asks}, 60.0)
    assert status == 200, told
    return dict(zip(users, told["slates"], strict=True))


def test_two_workers_agree_lose_nothing_and_end_it_together(tmp_path):
    model, store = shutil.copytree(saved_model(), tmp_path / "model"), str(tmp_path / "events.db")
    challenger = fitted_model(1)
    challenger.save(model / "versions" / challenger.version)
    arms = ["--arm", "control=0.5", "--arm", f"new=0.5,model={challenger.version}"]
    begun = ab("start", model, "two", *arms, "--store", store, "--measure", "clicks")
    assert begun.pop("notes") == []  # no arm's policy forbids less
    started = Experiment.of(begun)
    arm_of = {user: started.arm_of(user).name for user in USERS}
    with Running(model, store, workers=2) as service:
        service.wait_for_all_workers()
        shown = slates(service, USERS[:30])
        assert {user: slate["arm"] for user, slate in shown.items()} == {
            user: arm_of[user] for user in USERS[:30]
        }
        likes = [
            {"user_id": user, "item_id": slate["items"][0]["item_id"], "kind": "like"}
            | {"slate_id": slate["slate_id"], "event_id": user}
            for user, slate in shown.items()
        ]
        assert service.ask("POST", "/v1/events", {"events": likes})[1]["accepted"] == 30
        service.kill(service.worker_ids()[0])
        eventually(lambda: len(service.worker_ids()) == 2)
        service.kill_all()
        service.start()
        service.wait_for_all_workers()
        for user, slate in slates(service, USERS[30:50]).items():
            assert slate["arm"] == arm_of[user]
            version = started.arm_named(slate["arm"]).model
            assert slate["model_version"] == version

        def counted():
            found = service.ask("GET", "/v1/experiments/two")[1]["results"]["arms"]
            return sum(arm["users"] for arm in found), sum(arm["clicks"] for arm in found)

        def all_that_is_kept():
            kept = kept_slates(store)
            return len(kept), len(kept & set(shown))  # a like of a lost slate is of none

        eventually(lambda: counted() == all_that_is_kept())
        assert liked(store, shown) == set(shown)
        assert ab("promote", model, "two", "new", "--store", store)["status"] == "promoted"

        def everybody_has_it():
            asked = [slates(service, USERS[50:]) for _ in range(6)]
            return all(
                (slate["model_version"], slate["arm"]) == (challenger.version, None)
                for one in asked
                for slate in one.values()
            )

        eventually(everybody_has_it)
    assert '"level": "error"' not in service.log()


def kept_slates(url):
    """Users with a slate on disk: slates are told before they are kept, so a kill may lose some."""
    opened = open_store(url)
    try:
        return set(opened.slates()["user_id"])
    finally:
        opened.close()


def liked(url, users):
    """Those whose like is on disk: what was accepted is never lost."""
    opened = open_store(url)
    try:
        return {user for user in users if [e.kind for e in opened.events_of(user)] == ["like"]}
    finally:
        opened.close()

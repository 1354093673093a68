from __future__ import annotations

import subprocess
import sys

import pytest

from metarec.data.schema import BadInput
from metarec.feedback.registry import Registry
from metarec.runtime.artefacts import Artefact, BrokenArtefact, write_artefact


def saved(folder, version):
    return write_artefact(folder, Artefact(config={"version": version}))


@pytest.fixture
def registry(tmp_path):
    return Registry(saved(tmp_path / "model", "first"))


def add(registry, version):
    saved(registry.place_of(version), version)
    return version


def test_a_saved_model_is_a_registry_with_one_entry(registry):
    assert registry.current() == "first"
    assert [(e.version, e.is_current, e.problem) for e in registry.entries()] == [
        ("first", True, None)
    ]
    assert registry.place_of("first") == registry.folder


def test_promoting_and_going_back(registry):
    add(registry, "second")
    assert registry.promote("second", "better") == "first"
    assert Registry(registry.folder).current() == "second"
    assert registry.promote("first", "complaints") == "second"
    assert registry.current() == "first"
    assert [(p["from"], p["to"], p["reason"]) for p in registry.promotions()] == [
        ("first", "second", "better"),
        ("second", "first", "complaints"),
    ]


def test_what_cannot_serve_is_not_promoted(registry):
    add(registry, "second")
    (registry.place_of("second") / "config.json").write_text("{")
    with pytest.raises(
        BadInput, match="'second' cannot serve: .*config.json is missing or unreadable"
    ):
        registry.promote("second", "x")
    with pytest.raises(BadInput, match="no model version 'third'; there are: first, second"):
        registry.promote("third", "x")
    assert registry.current() == "first"
    assert "unreadable" in {e.version: e.problem for e in registry.entries()}["second"]


def test_a_file_cut_short_is_a_problem_before_it_is_loaded(registry):
    add(registry, "second")
    (registry.place_of("second") / "model.safetensors").write_bytes(b"")
    with pytest.raises(
        BadInput, match=r"'second' cannot serve: .*model.safetensors is missing or cut short"
    ):
        registry.promote("second", "x")
    assert "cut short" in {e.version: e.problem for e in registry.entries()}["second"]


def test_ways_back_go_from_the_latest_to_the_first(registry):
    assert registry.ways_back() == ["first"]
    for version in ("second", "third"):
        registry.promote(add(registry, version), "better")
    (registry.folder / "current").write_text("by-hand\n")
    assert registry.ways_back() == ["by-hand", "third", "second", "first"]


@pytest.mark.parametrize("name", ["../evil", "a/b", "", ".", "..", ".hidden"])
def test_a_version_is_a_plain_name(registry, name):
    with pytest.raises(BadInput, match="is no model version"):
        registry.promote(name, "x")


def test_decisions_lie_beside_their_model(registry):
    add(registry, "second")
    registry.note_decision("second", {"promote": False, "reason": "worse"})
    assert {e.version: e.decision for e in registry.entries()} == {
        "first": {},
        "second": {"promote": False, "reason": "worse"},
    }


def test_only_one_retrains_and_a_killed_one_lets_go(registry):
    script = (
        "import sys, time; from metarec.feedback.registry import Registry\n"
        "with Registry(sys.argv[1]).retraining(): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(registry.folder)], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(BadInput, match="being retrained by another process"),
            registry.retraining(),
        ):
            pass
        other.kill()
    with registry.retraining():
        pass


def test_a_folder_without_a_model_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="no model folder"):
        Registry(tmp_path / "none")
    with pytest.raises(BrokenArtefact, match="no metarec model"):
        Registry(tmp_path)

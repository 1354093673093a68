from __future__ import annotations

import os
import subprocess
import sys

import pytest

from metarec.data.schema import BadInput
from metarec.feedback.registry import Registry
from metarec.runtime.artifacts import Artifact, BrokenArtifact, new_folder, write_artifact


def saved(folder, version):
    return write_artifact(folder, Artifact(config={"version": version}))


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


def test_an_order_given_twice_keeps_the_way_back(registry):
    """The version before was lost, and removed with the old ones."""
    for version in ("second", "third"):
        add(registry, version)
    registry.promote("third", "better")
    registry.promote("second", "complaints")
    assert registry.promote("second", "complaints") == "second"
    assert [(p["from"], p["to"]) for p in registry.promotions()][1:] == [("third", "second")]
    assert registry.ways_back()[:2] == ["second", "third"]
    with registry.changing():
        assert registry.prune(0) == []
    noted = '{"timestamp": 1.0, "from": "second", "to": "second", "reason": "again"}'
    with (registry.folder / "promotions.jsonl").open("a") as history:
        history.write(noted + "\n")
    with registry.changing():
        assert registry.prune(0) == []


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
    with pytest.raises(BrokenArtifact, match="no metarec model"):
        Registry(tmp_path)


def test_a_torn_history_never_keeps_a_model_from_serving(registry):
    add(registry, "second")
    registry.promote("second", "better")
    history = registry.folder / "promotions.jsonl"
    torn = (
        b'{"timestamp": 1, "from": "fi\n\xff\xfe\n[]\n{"from": "../x", "to": 3}\n' + b"[" * 99_999
    )
    for lines in (torn + b"\n" + history.read_bytes(), history.read_bytes() + torn):
        history.write_bytes(lines)
        again = Registry(registry.folder)
        assert again.current() == "second"
        assert [p["to"] for p in again.promotions()] == ["second"]
        assert again.ways_back() == ["second", "first"]
        assert any("promotions.jsonl cannot be read" in problem for problem in again.problems)
    again.promote("first", "back")  # a torn last line does not swallow the next one
    assert [p["to"] for p in Registry(registry.folder).promotions()] == ["second", "first"]


@pytest.mark.parametrize("pointer", [b"", b"\xff\xfe", b"../../etc\n", b"\0\n", b"a/b\n", b" \n"])
def test_a_pointer_that_cannot_be_read_gives_way_to_the_history(registry, pointer):
    add(registry, "second")
    registry.promote("second", "better")
    (registry.folder / "current").write_bytes(pointer)
    again = Registry(registry.folder)
    assert again.current() == "second"
    assert again.problems


def test_a_folder_instead_of_the_pointer_or_the_history(registry):
    (registry.folder / "current").mkdir()
    (registry.folder / "promotions.jsonl").mkdir()
    assert registry.ways_back() == ["first"]
    assert len(registry.problems) == 2


def test_a_kill_between_the_pointer_and_the_history_loses_no_promotion(registry):
    add(registry, "second")
    registry.promote("second", "better")
    (registry.folder / "promotions.jsonl").unlink()  # as if killed before the line was written
    assert [p["reason"] for p in registry.promotions()] == ["better"]
    registry.promote("first", "complaints")
    assert [p["to"] for p in registry.promotions()] == ["second", "first"]


def test_a_broken_first_model_does_not_keep_the_others_from_serving(registry):
    add(registry, "second")
    registry.promote("second", "better")
    (registry.folder / "config.json").write_text("{")
    again = Registry(registry.folder)
    assert again.ways_back() == ["second", "first"]
    assert "the first model cannot be read" in again.problems[0]
    (registry.place_of("second") / "config.json").write_text("{")
    with pytest.raises(BrokenArtifact):
        Registry(registry.folder)


def test_a_decision_that_cannot_be_read_is_told(registry):
    registry.note_decision("first", {"promote": True})
    (registry.folder / "decisions" / "first.json").write_text('{"promo')
    assert [entry.decision for entry in registry.entries()] == [{}]
    assert "first.json cannot be read" in registry.problems[0]


def test_a_model_that_fails_its_probe_is_not_promoted(registry):
    add(registry, "second")

    def probe(place):
        raise RuntimeError(f"no slate from {place.name}")

    with pytest.raises(BadInput, match=r"'second' cannot serve: .*no slate from second"):
        registry.promote("second", "x", probe=probe)
    assert registry.current() == "first"
    assert registry.promotions() == []


def test_old_versions_go_but_never_those_that_serve(registry):
    for number, version in enumerate(["a", "b", "c", "d", "e"]):
        place = registry.place_of(add(registry, version))
        os.utime(place, (number, number))
        registry.note_decision(version, {"promote": True})
    registry.promote("a", "x")
    registry.promote("b", "x")
    with registry.changing():
        assert registry.prune(2) == ["c"]
    assert {e.version for e in registry.entries()} == {"first", "a", "b", "d", "e"}
    assert not (registry.folder / "decisions" / "c.json").exists()
    assert registry.ways_back()[1] == "a"


def test_drafts_of_the_killed_are_swept_and_those_of_the_living_stay(registry):
    add(registry, "second")
    dead = registry.folder / "versions" / ".third.draft-abc"
    dead.mkdir()
    (dead / "interactions.parquet").write_text("ann")
    beside = registry.folder.parent / f".{registry.folder.name}.draft-abc"
    beside.mkdir()
    texts = [
        registry.folder / ".current.12.draft",
        registry.folder / "decisions" / ".a.json.1.draft",
    ]
    for text in texts:
        text.parent.mkdir(exist_ok=True)
        text.touch()
    with new_folder(registry.place_of("fourth")) as living, registry.changing():
        swept = registry.sweep()
        assert living.is_dir()
    assert swept == [dead.name, beside.name, *(text.name for text in texts)]
    assert not any(text.exists() for text in texts)
    assert not dead.exists()
    assert not beside.exists()
    assert registry.place_of("fourth").is_dir()

"""Whatever happens to the bytes of a model folder: it is read as it was written, or told to be
broken, never anything else.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file, save_file

from metarec.recommendation.slate import Request
from metarec.recommender import Recommender
from metarec.runtime.artifacts import (
    Artifact,
    BrokenArtifact,
    read_artifact,
    rewrite_tables,
    sweep_files,
    write_artifact,
)
from metarec.runtime.manifest import _digest, sha256_of
from served_model import fitted_model, saved_model

FILES = ("model.safetensors", "interactions.parquet", "catalog.parquet", "users.parquet", "CARD.md")


def _config(place: Path, change) -> None:
    """Change `config.json` and keep its digest right, as someone who knows the format would."""
    config = json.loads((place / "config.json").read_text())
    changed = change(config)
    config = config if changed is None else changed
    if isinstance(config, dict):
        config["digest"] = _digest(config)
    (place / "config.json").write_text(json.dumps(config))


def _set(*path_and_value):
    *path, last, value = path_and_value

    def change(config):
        at = config
        for key in path:
            at = at[key]
        at[last] = value

    return lambda place: _config(place, change)


def _flip(name, where):
    def flip(place):
        content = bytearray((place / name).read_bytes())
        content[int(where * (len(content) - 1))] ^= 0x10
        (place / name).write_bytes(content)

    return flip


def _cut(name):
    return lambda place: (place / name).write_bytes((place / name).read_bytes()[:-7])


def _pad(name):
    return lambda place: (place / name).write_bytes((place / name).read_bytes() + b"\0" * 9)


def _remove(name):
    return lambda place: (place / name).unlink()


def _folder_instead(name):
    def change(place):
        (place / name).unlink()
        (place / name).mkdir()

    return change


def _link(name, to):
    def change(place):
        (place / name).unlink()
        (place / name).symlink_to(to)

    return change


def _pipe(name):
    def change(place):
        (place / name).unlink()
        os.mkfifo(place / name)

    return change


def _swap(one, other):
    def change(place):
        (place / one).rename(place / "x")
        (place / other).rename(place / one)
        (place / "x").rename(place / other)

    return change


def _known_to_the_manifest(place, name):
    """Note a changed file's new size and digest, as someone who knows the format would."""

    def change(config):
        said = {"file": name, "size": (place / name).stat().st_size}
        config["files"][name] = {**said, "sha256": sha256_of(place / name)}

    _config(place, change)


def _arrays(change):
    def write(place):
        arrays = load_file(place / "model.safetensors")
        arrays = change(dict(arrays)) or arrays
        save_file(arrays, place / "model.safetensors")
        _known_to_the_manifest(place, "model.safetensors")

    return write


def _nan(arrays):
    return {**arrays, "content": np.full_like(arrays["content"], np.nan)}


def _wider(arrays):
    return {**arrays, "text": arrays["text"].astype(np.float64)}


def _turned(arrays):
    return {**arrays, "content": np.ascontiguousarray(arrays["content"].T)}


def _less(arrays):
    return {name: array for name, array in arrays.items() if name != "center"}


def _huge_header(place):
    header = json.dumps({"x": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4 << 40]}})
    content = len(header).to_bytes(8, "little") + header.encode() + b"\0" * 64
    (place / "model.safetensors").write_bytes(content)
    _known_to_the_manifest(place, "model.safetensors")


def _long_header(place):
    (place / "model.safetensors").write_bytes((1 << 62).to_bytes(8, "little") + b"{}")
    _known_to_the_manifest(place, "model.safetensors")


def _other_rows(place):
    pl.DataFrame({"user_id": ["x"] * 100_000}).write_parquet(place / "interactions.parquet")
    _known_to_the_manifest(place, "interactions.parquet")


def _no_parquet(place):
    (place / "users.parquet").write_bytes(b"PAR1" + b"\xff" * 400 + b"PAR1")
    _known_to_the_manifest(place, "users.parquet")


def _deep(place):
    (place / "config.json").write_text("[" * 200_000)


BROKEN = {
    **{f"{name} cut short": _cut(name) for name in (*FILES, "config.json")},
    **{f"{name} longer": _pad(name) for name in FILES},
    **{f"{name} missing": _remove(name) for name in (*FILES, "config.json")},
    **{f"a bit of {name} at {at}": _flip(name, at) for name in FILES for at in (0.0, 0.4, 1.0)},
    **{f"a folder instead of {name}": _folder_instead(name) for name in (*FILES, "config.json")},
    "a link out of the folder": _link("CARD.md", "/etc/hostname"),
    "a link to nothing": _link("users.parquet", "nowhere"),
    "a link to itself": _link("model.safetensors", "model.safetensors"),
    "a pipe instead of arrays": _pipe("model.safetensors"),
    "a pipe instead of the configuration": _pipe("config.json"),
    "tables swapped": _swap("interactions.parquet", "users.parquet"),
    "arrays and a table swapped": _swap("model.safetensors", "catalog.parquet"),
    "configuration: no JSON": lambda place: (place / "config.json").write_text("{"),
    "configuration: not UTF-8": lambda place: (place / "config.json").write_bytes(b'{"\xff":1}'),
    "configuration: a list": lambda place: (place / "config.json").write_text("[]"),
    "configuration: nested without end": _deep,
    "configuration: a number that is none": lambda place: (place / "config.json").write_text(
        (place / "config.json").read_text().replace('"seed": 0', '"seed": NaN')
    ),
    "configuration: another seed": lambda place: (place / "config.json").write_text(
        (place / "config.json").read_text().replace('"seed": 0', '"seed": 7')
    ),
    "a later format": _set("format", 99),
    "a format that is text": _set("format", "2"),
    "files are a list": _set("files", ["model.safetensors"]),
    "a file without facts": _set("files", "CARD.md", None),
    "a file of another folder": _set("files", "CARD.md", "file", "../../secret"),
    "sizes are text": _set("files", "CARD.md", "size", "12"),
    "sizes are negative": _set("files", "CARD.md", "size", -1),
    "digests are numbers": _set("files", "CARD.md", "sha256", 5),
    "contents are text": _set("contents", "arrays"),
    "arrays are a list": _set("contents", "arrays", []),
    "rows are text": _set("contents", "tables", "users", "many"),
    "settings are a list": _set("settings", []),
    "a setting that nobody knows": _set("settings", "flavor", "mint"),
    "the horizon is a number": _set("horizon", 3),
    "scorers that nobody knows": _set("scorers", ["oracle"]),
    "data is null": _set("data", None),
    "arrays that are no numbers": _arrays(_nan),
    "arrays of another type": _arrays(_wider),
    "arrays of another shape": _arrays(_turned),
    "an array too few": _arrays(_less),
    "an array too many": _arrays(lambda arrays: {**arrays, "more": np.zeros(3)}),
    "a shape larger than the disk": _huge_header,
    "a header longer than the file": _long_header,
    "a table of other rows": _other_rows,
    "a table that is none": _no_parquet,
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    shutil.copytree(saved_model(), tmp_path / "model")
    return tmp_path / "model"


def test_there_are_many_ways_to_break_a_folder() -> None:
    assert len(BROKEN) >= 60


@pytest.mark.parametrize("how", BROKEN)
def test_a_tampered_folder_is_told_to_be_broken(place: Path, how: str) -> None:
    BROKEN[how](place)
    with pytest.raises(BrokenArtifact) as told:
        Recommender.load(place)
    assert str(place) in str(told.value)
    assert len(str(told.value)) < 1000


def test_each_bit_of_the_configuration_counts(place: Path) -> None:
    """It is read as it was written, or told to be broken."""
    whole, request = (place / "config.json").read_bytes(), [Request(history=[("s01", 5.0)])]
    expected = fitted_model().recommend(request, k=3)[0].item_ids
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        content = bytearray(whole)
        content[at] ^= 1 << (at % 7)
        (place / "config.json").write_bytes(content)
        try:
            loaded = Recommender.load(place)
        except BrokenArtifact:
            continue
        assert loaded.recommend(request, k=3)[0].item_ids == expected


def test_what_is_not_listed_is_not_read(place: Path) -> None:
    (place / "more.parquet").write_bytes(b"no table at all")
    (place / "notes.txt").write_text("mine")
    assert "more" not in read_artifact(place).tables
    Recommender.load(place)


def old_folder(place: Path) -> Path:
    """A folder as format 1 had it: sizes only, no digests. Frozen: never change what it writes."""
    place.mkdir()
    save_file(
        {"weights": np.arange(6, dtype=np.float32).reshape(2, 3)}, place / "model.safetensors"
    )
    events = pl.DataFrame({"user_id": ["ann", "bob", "ann"], "item_id": ["a", "b", "c"]})
    events.write_parquet(place / "interactions.parquet")
    (place / "CARD.md").write_text("# Old\n")
    sizes = {path.name: path.stat().st_size for path in sorted(place.iterdir())}
    (place / "config.json").write_text(
        json.dumps({"format": 1, "files": sizes, "version": "old", "dim": 3}, indent=1) + "\n"
    )
    return place


def test_a_folder_of_format_1_is_still_read(tmp_path: Path) -> None:
    back = read_artifact(old_folder(tmp_path / "old"))
    assert back.config == {"version": "old", "dim": 3}
    assert back.arrays["weights"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert back.tables["interactions"]["user_id"].to_list() == ["ann", "bob", "ann"]
    assert back.card == "# Old\n"


def test_a_folder_of_format_1_with_numbers_that_are_none_is_broken(tmp_path: Path) -> None:
    place = old_folder(tmp_path / "old")
    save_file({"weights": np.full((2, 3), np.nan, np.float32)}, place / "model.safetensors")
    with pytest.raises(BrokenArtifact, match="weights.*numbers that are none"):
        read_artifact(place)


def without_ann(_name: str, table: pl.DataFrame) -> pl.DataFrame:
    return table.filter(pl.col("user_id") != "ann")


def test_rows_are_taken_out_of_a_folder_and_of_its_bytes(tmp_path: Path) -> None:
    place = old_folder(tmp_path / "old")
    assert rewrite_tables(place, without_ann) == {"interactions": 2}
    back = read_artifact(place)
    assert back.tables["interactions"].rows() == [("bob", "b")]
    assert back.config == {"version": "old", "dim": 3}
    held = b"".join(path.read_bytes() for path in place.iterdir())
    assert b"ann" not in held
    assert len(list(place.glob("*.parquet"))) == 1
    assert rewrite_tables(place, without_ann) == {}
    write_artifact(place, Artifact(config={"n": 1}))  # it is still a model that may be replaced


def test_a_kill_while_rows_are_taken_out_leaves_a_model_and_no_rows(tmp_path: Path) -> None:
    place = old_folder(tmp_path / "old")
    left = (place / "interactions.parquet").read_bytes()
    rewrite_tables(place, without_ann)
    (place / "interactions.parquet").write_bytes(left)  # killed before the old file went
    (place / ".interactions.parquet.draft").write_bytes(left)
    (place / "interactions.0123456789ab.parquet").write_bytes(left)
    assert len(sweep_files(place)) == 3
    assert b"ann" not in b"".join(path.read_bytes() for path in place.iterdir())
    read_artifact(place)


def test_a_full_disk_leaves_the_folder_as_it_was(tmp_path: Path, monkeypatch) -> None:
    place = old_folder(tmp_path / "old")
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    place.chmod(0o555)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        rewrite_tables(place, without_ann)
    monkeypatch.undo()
    place.chmod(0o755)
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before

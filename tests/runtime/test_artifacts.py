from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from metarec.runtime.artifacts import (
    Artifact,
    BrokenArtifact,
    new_folder,
    read_arrays,
    read_artifact,
    read_config,
    write_arrays,
    write_artifact,
)

ONE = Artifact(
    config={"name": "one", "dim": 4},
    arrays={"weights": np.arange(12, dtype=np.float32).reshape(3, 4), "ids": np.arange(3)},
    tables={"vocabulary": pl.DataFrame({"item_id": ["a", "b", "ü"]})},
    card="# One\n",
)
TWO = Artifact(config={"name": "two"}, arrays={"weights": np.zeros(2)}, tables={}, card="")


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    write_artifact(tmp_path / "deep" / "model", ONE)
    back = read_artifact(tmp_path / "deep" / "model")
    assert back.config == ONE.config
    assert back.card == ONE.card
    assert back.tables["vocabulary"].equals(ONE.tables["vocabulary"])
    assert {name: array.dtype for name, array in back.arrays.items()} == {
        "weights": np.float32,
        "ids": np.int64,
    }
    assert np.array_equal(back.arrays["weights"], ONE.arrays["weights"])


def test_tables_that_are_the_same_file_are_held_once(tmp_path: Path) -> None:
    table = pl.DataFrame({"item_id": ["a", "b"]})
    tables = {"catalog": table, "items": table.clone(), "users": table.head(1)}
    write_artifact(tmp_path / "m", Artifact(config={}, tables=tables))
    found = read_artifact(tmp_path / "m").tables
    assert found["items"] is found["catalog"]
    assert found["users"].equals(table.head(1)) and found["items"].equals(table)


def test_arrays_lie_in_their_file_which_what_is_done_to_them_never_changes(tmp_path: Path) -> None:
    wide = np.arange(200_000, dtype=np.float32).reshape(-1, 4)
    model = write_artifact(
        tmp_path / "model", replace(ONE, arrays={"wide": wide, "one": np.ones(1)})
    )
    before = (model / "model.safetensors").read_bytes()
    first, second = (read_artifact(model).arrays["wide"] for _ in range(2))
    assert not first.flags.owndata
    first[:] = -1.0
    assert np.array_equal(second, wide)
    assert (model / "model.safetensors").read_bytes() == before
    (model / "model.safetensors").unlink()  # as when a newer model takes its place
    assert np.array_equal(second, wide)


def test_arrays_that_another_writer_laid_unevenly_are_read(tmp_path: Path) -> None:
    header = json.dumps(
        {
            "byte": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]},
            "wide": {"dtype": "F32", "shape": [2, 1], "data_offsets": [3, 11]},
            "none": {"dtype": "F32", "shape": [0, 7], "data_offsets": [11, 11]},
        }
    ).encode()
    data = bytes([1, 2, 3]) + np.float32([1.5, -2.0]).tobytes()
    place = tmp_path / "odd.safetensors"
    place.write_bytes(len(header).to_bytes(8, "little") + header + data)
    arrays, facts = read_arrays(place)
    assert arrays["byte"].tolist() == [1, 2, 3]
    assert arrays["wide"].tolist() == [[1.5], [-2.0]]
    assert arrays["none"].shape == (0, 7)
    assert facts == {}


def test_every_file_may_be_read_by_whom_the_others_may(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_artifact(tmp_path / "model", ONE)
    finally:
        os.umask(before)
    assert {oct(path.stat().st_mode & 0o777) for path in (tmp_path / "model").iterdir()} == {
        "0o640"
    }


def test_torch_tensors_are_taken_whatever_their_layout(tmp_path: Path) -> None:
    import torch

    tensor = torch.arange(6.0).reshape(2, 3).T.requires_grad_()
    write_artifact(tmp_path / "model", Artifact(config={}, arrays={"t": tensor}))
    assert read_artifact(tmp_path / "model").arrays["t"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_new_model_takes_the_place_of_the_old_whole(tmp_path: Path) -> None:
    write_artifact(tmp_path / "model", ONE)
    write_artifact(tmp_path / "model", TWO)
    assert read_artifact(tmp_path / "model").tables == {}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_is_no_model_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("keep me")
    with pytest.raises(
        FileExistsError, match="letters' exists and is no metarec model; give another folder"
    ):
        write_artifact(tmp_path / "letters", ONE)
    assert (tmp_path / "letters" / "dear.txt").read_text() == "keep me"


def test_a_served_folder_is_not_replaced_with_its_events_in_it(tmp_path: Path) -> None:
    write_artifact(tmp_path / "model", ONE)
    (tmp_path / "model" / "events.db").write_text("what users did")
    with pytest.raises(
        FileExistsError, match=r"model' also holds events.db, which a new model would replace"
    ):
        write_artifact(tmp_path / "model", TWO)
    assert (tmp_path / "model" / "events.db").read_text() == "what users did"


def test_failing_half_way_leaves_the_old_model_and_no_litter(tmp_path: Path) -> None:
    write_artifact(tmp_path / "model", ONE)
    with pytest.raises(RuntimeError, match="disk on fire"), new_folder(tmp_path / "model") as draft:
        (draft / "half").write_text("x")
        raise RuntimeError("disk on fire")
    assert read_artifact(tmp_path / "model").config["name"] == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


WRITE_FOREVER = """
import sys
import numpy as np
from metarec.runtime.artifacts import Artifact, write_artifact
print("ready", flush=True)
n = 0
while True:
    n += 1
    write_artifact(sys.argv[1], Artifact(config={"n": n}, arrays={"n": np.full(200_000, n)}))
"""


def test_kill_9_leaves_a_whole_model(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOREVER, str(tmp_path / "model")], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(float(rng.uniform(0.2, 0.5)))
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        back = read_artifact(tmp_path / "model")
        assert (back.arrays["n"] == back.config["n"]).all()


def test_a_kill_between_the_two_renames_is_repaired(tmp_path: Path) -> None:
    write_artifact(tmp_path / "model", ONE)
    (tmp_path / "model").rename(tmp_path / ".model.previous")
    assert read_artifact(tmp_path / "model").config["name"] == "one"


def test_broken_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match="no model folder .*nowhere'; make one with: metarec fit"
    ):
        read_artifact(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BrokenArtifact, match=r"empty/config.json is missing or unreadable"):
        read_config(tmp_path / "empty")
    model = write_artifact(tmp_path / "model", ONE)
    arrays = model / "model.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-5])
    with pytest.raises(BrokenArtifact, match=r"model.safetensors is missing or cut short"):
        read_artifact(model)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "format": 99}))
    with pytest.raises(BrokenArtifact, match="another format than 1"):
        read_config(model)
    (model / "config.json").write_text("[]")
    with pytest.raises(BrokenArtifact, match="not the configuration of a metarec model"):
        read_config(model)


def test_a_place_that_takes_no_file_is_the_systems_error_not_the_librarys(tmp_path):
    """As on a full disk."""
    with pytest.raises(OSError, match=r"a.safetensors cannot be written"):
        write_arrays(tmp_path / "none" / "a.safetensors", {"x": np.zeros(1)})

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metarec.runtime.artifacts import BrokenArtifact
from metarec.runtime.checkpoints import read_checkpoint, write_checkpoint


def test_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "run" / "last.safetensors"
    assert read_checkpoint(path) is None
    write_checkpoint(path, {"w": np.arange(3.0)}, {"step": 1, "data": "abc"})
    write_checkpoint(path, {"w": np.arange(3.0) + 1}, {"step": 2, "data": "abc"})
    back = read_checkpoint(path, of={"data": "abc"})
    assert back is not None
    assert back.facts == {"step": 2, "data": "abc"}
    assert back.arrays["w"].tolist() == [1, 2, 3]
    assert [p.name for p in path.parent.iterdir()] == ["last.safetensors"]


def test_another_runs_checkpoint_is_none_to_go_on_from(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c", {}, {"data": "abc"})
    assert read_checkpoint(tmp_path / "c", of={"data": "xyz"}) is None


def test_a_broken_one_says_how_to_start_over(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(b"nonsense")
    with pytest.raises(
        BrokenArtifact, match="cannot be read .*; delete it to start from the beginning"
    ):
        read_checkpoint(tmp_path / "c")

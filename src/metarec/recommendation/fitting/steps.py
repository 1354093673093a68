"""Run options of a fit, and checkpoints of its finished steps, from which a killed fit resumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TypeVar

import numpy as np

from metarec.data.arguments import check_call, check_type, check_whole, shown
from metarec.data.errors import BadInput
from metarec.runtime.checkpoints import read_checkpoint, write_checkpoint
from metarec.runtime.jobs import BACKENDS
from metarec.runtime.progress import Progress, silent

MAX_WORKERS = 4096
"""Maximum number of processes of a fit; a larger number is taken for a typing error."""
_LAYOUT = 3
"""Version of the array names in a checkpoint; checkpoints of other versions are ignored."""
_STEP = ".step.safetensors"
"""Suffix of the checkpoint files of finished steps."""


Step = TypeVar("Step")


def steps_folder(model: Path) -> Path:
    """Return the folder, beside a model, of the finished steps of its fit, until it is written."""
    return model.with_name(f".{model.name}.steps")


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Checkpoints of the finished steps of a fit, from which a killed fit resumes; without a folder
    nothing is written.
    """

    folder: Path | None = None
    """Folder of the checkpoints; None: none are written."""
    version: str = ""
    """Digest of data and settings: checkpoints of another fit are ignored."""
    workers: int = 1
    """Number of processes that run steps in parallel."""
    backend: str = "here"
    """Where they run, as for `runtime.jobs.run_jobs`."""

    def remember(
        self,
        name: str,
        make: Callable[[], Step],
        arrays: Callable[[Step], Mapping[str, np.ndarray]],
        made_of: Callable[[Mapping[str, np.ndarray]], Step],
    ) -> Step:
        """Return the result of step `name` from its checkpoint, else compute it with `make` and
        write one.

        Args:
            arrays: turns a result into named arrays.
            made_of: rebuilds the result from them.
        """
        if self.folder is None:
            return make()
        path = self.folder / f"{name}{_STEP}"
        kept = read_checkpoint(path, of={"version": self.version, "layout": _LAYOUT})
        if kept is not None:
            return made_of(kept.arrays)
        made = make()
        write_checkpoint(path, arrays(made), {"version": self.version, "layout": _LAYOUT})
        return made

    def forget(self) -> None:
        """Delete the checkpoints, once the fit is done."""
        if self.folder is not None:
            for path in self.folder.glob(f"*{_STEP}"):
                path.unlink()
            if self.folder.is_dir() and not any(self.folder.iterdir()):
                self.folder.rmdir()


@dataclass(frozen=True, kw_only=True)
class Run:
    """How a fit runs; none of it changes the model.

    Raises:
        BadInput: naming the argument that is wrong.
    """

    checkpoint: str | Path | None = None
    """Folder for checkpoints of finished steps, from which a killed fit resumes."""
    workers: int = 1
    """Number of processes that run steps in parallel, 1 to `MAX_WORKERS`."""
    backend: str = "here"
    """Where they run, one of `BACKENDS`."""
    progress: Progress = silent
    """Called with the progress of each stage."""

    def __post_init__(self) -> None:
        check_whole("workers", self.workers, 1, at_most=MAX_WORKERS)
        if not isinstance(self.backend, str) or self.backend not in BACKENDS:
            choices, given = ", ".join(BACKENDS), shown(self.backend)
            raise BadInput(f"backend must be one of {choices}, got {given}")
        check_type("checkpoint", self.checkpoint, str | PathLike | None, "a folder")
        check_call("progress", self.progress, "a function of (stage, done, note)")

    def steps(self, version: str) -> Steps:
        """Return the checkpoints for a fit with this version (digest of data and settings)."""
        folder = None if self.checkpoint is None else Path(self.checkpoint)
        return Steps(folder=folder, version=version, workers=self.workers, backend=self.backend)

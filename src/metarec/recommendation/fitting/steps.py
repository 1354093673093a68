"""How a fit runs, and its finished steps on disk: a killed fit goes on from there."""

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
"""Processes of a fit: more is a slip of the hand."""
_LAYOUT = 3
"""Names of the arrays of a step; steps written under other names count as none."""
_STEP = ".step.safetensors"
"""How the names of files of finished steps end."""


Step = TypeVar("Step")


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Finished steps of a fit on disk, so that a killed fit goes on where it was; without a folder
    nothing is kept.
    """

    folder: Path | None = None
    version: str = ""
    """Digest of data and settings: steps of another fit count as none."""
    workers: int = 1
    """Processes that do steps at once."""
    backend: str = "here"
    """Where they run, as for `runtime.jobs.run_jobs`."""

    def remember(
        self,
        name: str,
        make: Callable[[], Step],
        arrays: Callable[[Step], Mapping[str, np.ndarray]],
        made_of: Callable[[Mapping[str, np.ndarray]], Step],
    ) -> Step:
        """What step `name` gave before the fit was killed, else what it gives now.

        Args:
            arrays: what a step gave, as named arrays.
            made_of: that again, from them.
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
        """Remove what was kept: the fit is done."""
        if self.folder is not None:
            for path in self.folder.glob(f"*{_STEP}"):
                path.unlink()
            if self.folder.is_dir() and not any(self.folder.iterdir()):
                self.folder.rmdir()


@dataclass(frozen=True, kw_only=True)
class Run:
    """How a fit runs, which changes nothing in the model.

    Raises:
        BadInput: naming the argument that is wrong.
    """

    checkpoint: str | Path | None = None
    """Folder of finished steps, from which a fit that was killed goes on."""
    workers: int = 1
    """Processes that do steps at once, 1 to `MAX_WORKERS`."""
    backend: str = "here"
    """Where they run, one of `BACKENDS`."""
    progress: Progress = silent
    """Called with how far each stage is."""

    def __post_init__(self) -> None:
        check_whole("workers", self.workers, 1, at_most=MAX_WORKERS)
        if not isinstance(self.backend, str) or self.backend not in BACKENDS:
            known, given = ", ".join(BACKENDS), shown(self.backend)
            raise BadInput(f"backend must be one of {known}, got {given}")
        check_type("checkpoint", self.checkpoint, str | PathLike | None, "a folder")
        check_call("progress", self.progress, "a function of (stage, done, note)")

    def steps(self, version: str) -> Steps:
        """The steps of a fit of these data and settings."""
        folder = None if self.checkpoint is None else Path(self.checkpoint)
        return Steps(folder=folder, version=version, workers=self.workers, backend=self.backend)

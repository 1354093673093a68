"""Finished steps of a fit on disk: a killed fit goes on from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from metarec.runtime.checkpoints import read_checkpoint, write_checkpoint

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

    @classmethod
    def of(
        cls, folder: str | Path | None, version: str, workers: int = 1, backend: str = "here"
    ) -> Steps:
        """Steps in `folder`, or nowhere."""
        place = None if folder is None else Path(folder)
        return cls(folder=place, version=version, workers=workers, backend=backend)

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

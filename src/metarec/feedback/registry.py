"""Models as folders with a card each, and a pointer to the one that serves.

A saved model's folder is a registry with one entry. Retrained models lie in its `versions/`, the
file `current` names the one that serves (without it, the folder's own model does), and
`promotions.jsonl` remembers every change.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metarec.data.schema import BadInput
from metarec.runtime.artefacts import BrokenArtefact, read_config, read_whole_config

_VERSIONS, _CURRENT, _PROMOTIONS, _DECISIONS = (
    "versions",
    "current",
    "promotions.jsonl",
    "decisions",
)


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """One model of a registry."""

    version: str
    folder: Path
    is_current: bool
    config: dict[str, Any]
    """Settings and facts saved with the model."""
    decision: dict[str, Any]
    """What was measured before it was promoted or refused; empty for the first model."""
    problem: str | None = None
    """Why the model cannot be loaded, if it cannot."""


class Registry:
    """The models under one folder."""

    def __init__(self, folder: str | Path) -> None:
        """Look at `folder`, which must hold a saved model.

        Raises:
            FileNotFoundError: if there is no such folder.
            metarec.runtime.artefacts.BrokenArtefact: if it holds no readable model.
        """
        self.folder = Path(folder)
        self._own_version = str(read_config(self.folder).get("version", "base"))

    def current(self) -> str:
        """The version that serves."""
        with suppress(FileNotFoundError):
            named = (self.folder / _CURRENT).read_text(encoding="utf-8").strip()
            if named:
                return named
        return self._own_version

    def ways_back(self) -> list[str]:
        """Versions in the order in which to try them: the one that should serve, those that served
        before it, the first model.
        """
        served = [
            version
            for promotion in reversed(self.promotions())
            for version in (promotion["to"], promotion["from"])
        ]
        return list(dict.fromkeys([self.current(), *served, self._own_version]))

    def place_of(self, version: str) -> Path:
        """The folder of a version, whether it exists or not.

        Raises:
            BadInput: if the version is no plain name.
        """
        if not version or Path(version).name != version or version.startswith("."):
            raise BadInput(f"{version!r} is no model version; `GET /v1/models` lists them")
        return self.folder if version == self._own_version else self.folder / _VERSIONS / version

    def entries(self) -> list[ModelEntry]:
        """All models, the first one first."""
        folders = sorted(
            (
                path
                for path in (self.folder / _VERSIONS).glob("*")
                if path.is_dir() and not path.name.startswith(".")
            ),
            key=lambda path: path.stat().st_mtime,
        )
        current = self.current()
        return [
            self._entry(version, folder, current)
            for version, folder in [
                (self._own_version, self.folder),
                *((path.name, path) for path in folders),
            ]
        ]

    def _entry(self, version: str, folder: Path, current: str) -> ModelEntry:
        config, problem = {}, None
        try:
            config = read_config(folder)
            read_whole_config(folder)
        except (BrokenArtefact, FileNotFoundError) as error:
            problem = str(error)
        noted = self._decision_of(version)
        decision = json.loads(noted.read_text(encoding="utf-8")) if noted.is_file() else {}
        return ModelEntry(
            version=version,
            folder=folder,
            is_current=version == current,
            config=config,
            decision=decision,
            problem=problem,
        )

    def note_decision(self, version: str, decision: dict[str, Any]) -> None:
        """Keep what was measured of a model, beside its folder: the folder itself holds nothing but
        the model.
        """
        noted = self._decision_of(version)
        noted.parent.mkdir(exist_ok=True)
        write_text(noted, json.dumps(decision, indent=1) + "\n")

    def _decision_of(self, version: str) -> Path:
        return self.folder / _DECISIONS / f"{version}.json"

    def promote(self, version: str, reason: str) -> str:
        """Let `version` serve from now on; gives the version that served before.

        The pointer is replaced in one step, so readers see the old version or the new one.

        Raises:
            BadInput: if there is no such model, or it cannot be read.
        """
        place = self.place_of(version)
        try:
            read_whole_config(place)
        except FileNotFoundError as error:
            known = ", ".join(entry.version for entry in self.entries())
            raise BadInput(f"no model version {version!r}; there are: {known}") from error
        except BrokenArtefact as error:
            raise BadInput(f"model version {version!r} cannot serve: {error}") from error
        before = self.current()
        write_text(self.folder / _CURRENT, version + "\n")
        line = json.dumps(
            {"timestamp": time.time(), "from": before, "to": version, "reason": reason}
        )
        with (self.folder / _PROMOTIONS).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        return before

    def promotions(self) -> list[dict[str, Any]]:
        """Every promotion, oldest first: `timestamp` (seconds since 1970), `from`, `to`,
        `reason`.
        """
        with suppress(FileNotFoundError):
            return [
                json.loads(line)
                for line in (self.folder / _PROMOTIONS).read_text(encoding="utf-8").splitlines()
                if line
            ]
        return []

    @contextmanager
    def retraining(self) -> Iterator[None]:
        """Hold the right to retrain; a killed holder loses it.

        Raises:
            BadInput: if someone else holds it.
        """
        handle = os.open(self.folder / "retrain.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                _lock(handle)
            except OSError as error:
                raise BadInput(
                    f"{self.folder} is being retrained by another process; wait until it ends"
                ) from error
            yield
        finally:
            os.close(handle)


def _lock(handle: int) -> None:
    """Take a lock that the system gives back when the process ends, however it ends."""
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        return
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def write_text(path: Path, text: str) -> None:
    """Replace a small file in one step, on disk before this returns."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

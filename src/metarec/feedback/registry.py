"""Registry of models: folders, each with a model card, and a pointer to the one that serves.

A saved model's folder is a registry with one entry. Retrained models are in its `versions/`. The
file `current` names the model that serves (without it, the folder's own model does) and holds the
promotion that made it so; `promotions.jsonl` logs all promotions. Unreadable parts are skipped and
reported in `problems`: a torn line never keeps an intact model from serving.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metarec.data.schema import BadInput
from metarec.feedback.registry_files import (
    check_with_probe,
    is_name,
    is_readable,
    locked,
    promotion_of,
)
from metarec.runtime.artifacts import (
    BrokenArtifact,
    read_config,
    read_whole_config,
    sweep_files,
)
from metarec.runtime.folders import sweep_drafts, sync, write_text

log = logging.getLogger("metarec.registry")
LOCK_SECONDS = 60.0
"""Seconds that a change of the folder waits for another one, such as the saving of a challenger."""

_VERSIONS, _CURRENT, _PROMOTIONS, _DECISIONS = (
    "versions",
    "current",
    "promotions.jsonl",
    "decisions",
)
_RETRAINING, _CHANGING = "retrain.lock", "registry.lock"

KEEP_VERSIONS = 5
"""Retrained versions to keep, unless settings say otherwise."""


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """One model of a registry."""

    version: str
    folder: Path
    is_current: bool
    config: dict[str, Any]
    """Settings and facts saved with the model."""
    decision: dict[str, Any]
    """Measurements before it was promoted or refused; empty for the first model."""
    problem: str | None = None
    """Why the model cannot be loaded; None if it can."""


class Registry:
    """The models under one folder."""

    def __init__(self, folder: str | Path) -> None:
        """Open the registry in `folder`, which must hold a saved model, or one in its `versions/`.

        Raises:
            FileNotFoundError: if there is no such folder.
            metarec.runtime.artifacts.BrokenArtifact: if it holds no readable model.
        """
        self.folder = Path(folder)
        self.problems: list[str] = []
        """Unreadable parts that were skipped, in sentences."""
        self._own_version = "base"
        try:
            self._own_version = str(read_config(self.folder).get("version", "base"))
        except BrokenArtifact as error:
            if not any(is_readable(path) for path in self._version_folders()):
                raise
            self._note_problem(f"the first model cannot be read: {error}")
            first = self.promotions()[:1]
            self._own_version = first[0]["from"] if first else self._own_version

    def _note_problem(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)
            log.warning("passed over in the registry", extra={"problem": problem})

    def _version_folders(self) -> list[Path]:
        """Return the folders of retrained models, oldest first."""
        folders = [
            path
            for path in (self.folder / _VERSIONS).glob("*")
            if path.is_dir() and not path.is_symlink() and not path.name.startswith(".")
        ]
        return sorted(folders, key=lambda path: (path.stat().st_mtime, path.name))

    def folders(self) -> dict[str, Path]:
        """Return version -> folder, the first model first, readable or not."""
        return {
            self._own_version: self.folder,
            **{path.name: path for path in self._version_folders()},
        }

    def current(self) -> str:
        """Return the version that serves; if its name cannot be read, the one promoted last."""
        named = self._pointer()[0]
        if named:
            return named
        if (self.folder / _CURRENT).exists():
            self._note_problem(f"{self.folder / _CURRENT} names no model version")
            history = self._history()
            if history:
                return str(history[-1]["to"])
        return self._own_version

    def _pointer(self) -> tuple[str, dict[str, Any] | None]:
        """Return the version that `current` names, empty if it names none, and its promotion."""
        try:
            lines = (self.folder / _CURRENT).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            return "", None
        named = lines[0].strip() if lines else ""
        if not is_name(named):
            return "", None
        noted = promotion_of(lines[1]) if len(lines) > 1 else None
        return named, noted if noted is not None and noted["to"] == named else None

    def ways_back(self) -> list[str]:
        """Return versions in the order in which to try to serve them: the current one, those that
        served before it, the first model, and all others, newest first.
        """
        current = self.current()
        served = [
            version
            for promotion in reversed(self.promotions())
            for version in (promotion["to"], promotion["from"])
            if self.place_of(version).is_dir()
        ]
        others = [path.name for path in reversed(self._version_folders())]
        return list(dict.fromkeys([current, *served, self._own_version, *others]))

    def place_of(self, version: str) -> Path:
        """Return the folder of a version, existing or not.

        Raises:
            BadInput: if the version is no plain name.
        """
        if not is_name(version):
            raise BadInput(f"{version!r} is no model version; `GET /v1/models` lists them")
        return self.folder if version == self._own_version else self.folder / _VERSIONS / version

    def entries(self) -> list[ModelEntry]:
        """Return all models, the first one first."""
        folders = self._version_folders()
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
        except (BrokenArtifact, FileNotFoundError) as error:
            problem = str(error)
        return ModelEntry(
            version=version,
            folder=folder,
            is_current=version == current,
            config=config,
            decision=self._decision(version),
            problem=problem,
        )

    def _decision(self, version: str) -> dict[str, Any]:
        """Return the recorded decision on a version; empty if there is none or it cannot be
        read.
        """
        noted = self._decision_of(version)
        try:
            decision = json.loads(noted.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError):
            decision = None
        if not isinstance(decision, dict):
            self._note_problem(f"{noted} cannot be read")
            return {}
        return decision

    def note_decision(self, version: str, decision: dict[str, Any]) -> None:
        """Record the decision on a model outside its folder, which holds nothing but the model."""
        noted = self._decision_of(version)
        with self.changing():
            noted.parent.mkdir(exist_ok=True)
            write_text(noted, json.dumps(decision, indent=1) + "\n")

    def _decision_of(self, version: str) -> Path:
        return self.folder / _DECISIONS / f"{version}.json"

    def promote(
        self, version: str, reason: str, *, probe: Callable[[Path], object] | None = None
    ) -> str:
        """Make `version` the serving model, and return the version that served before; the one that
        serves is left as it is, so that an order given twice keeps the way back.

        The pointer is replaced atomically, so readers see the old version or the new one; it holds
        the promotion too, so that a kill at any moment loses none of the history.

        Args:
            probe: loads and serves the folder as the service does; a model that fails is not
                promoted.

        Raises:
            BadInput: if there is no such model, or a file of it is missing.
            CannotServe: if it fails the probe.
        """
        place = self.place_of(version)
        try:
            read_whole_config(place)
        except FileNotFoundError as error:
            versions = ", ".join(entry.version for entry in self.entries())
            raise BadInput(f"no model version {version!r}; there are: {versions}") from error
        except BrokenArtifact as error:
            raise BadInput(f"model version {version!r} cannot serve: {error}") from error
        if probe is not None:
            check_with_probe(version, place, probe)
        with self.changing():
            if not place.is_dir():
                raise BadInput(f"model version {version!r} was removed meanwhile")
            before, noted = self.current(), self._pointer()[1]
            if before == version:
                return before
            if noted is not None:
                self._remember(noted)
            promotion = {"timestamp": time.time(), "from": before, "to": version, "reason": reason}
            line = json.dumps(promotion)
            write_text(self.folder / _CURRENT, f"{version}\n{line}\n")
            self._remember(promotion)
            return before

    def _remember(self, promotion: dict[str, Any]) -> None:
        """Append a promotion to the history, unless it is there."""
        if promotion in self._history():
            return
        path = self.folder / _PROMOTIONS
        torn = path.exists() and not path.read_bytes().endswith(b"\n")
        with path.open("a", encoding="utf-8") as file:
            file.write(("\n" if torn else "") + json.dumps(promotion) + "\n")
            file.flush()
            os.fsync(file.fileno())
        sync(self.folder)

    def promotions(self) -> list[dict[str, Any]]:
        """Return every promotion, oldest first: `timestamp` (seconds since 1970), `from`, `to`,
        `reason`.
        """
        history, noted = self._history(), self._pointer()[1]
        return history if noted is None or noted in history else [*history, noted]

    def _history(self) -> list[dict[str, Any]]:
        """Return the readable lines of the history."""
        path = self.folder / _PROMOTIONS
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            self._note_problem(f"{path} cannot be read ({error.strerror})")
            return []
        read = {number: promotion_of(line) for number, line in enumerate(lines, 1) if line.strip()}
        for number, promotion in read.items():
            if promotion is None:
                self._note_problem(f"line {number} of {path} cannot be read")
        return [promotion for promotion in read.values() if promotion is not None]

    @contextmanager
    def retraining(self) -> Iterator[None]:
        """Hold the lock on retraining; it is released when its holder is killed.

        Raises:
            BadInput: if another process holds it.
        """
        # `is_retraining` of another process takes the lock for a moment
        with locked(self.folder / _RETRAINING, wait=0.5) as is_held:
            if not is_held:
                raise BadInput(
                    f"{self.folder} is being retrained by another process; wait until it ends"
                )
            yield

    def is_retraining(self) -> bool:
        """Return whether the lock on retraining is held."""
        with locked(self.folder / _RETRAINING, wait=0.0) as is_held:
            return not is_held

    @contextmanager
    def changing(self, wait: float = LOCK_SECONDS) -> Iterator[None]:
        """Hold the lock on changes of folders: saving, promoting, pruning or rewriting a model. One
        process holds it at a time, for moments; it is released when its holder is killed.

        Raises:
            BadInput: if others hold it for `wait` seconds.
        """
        with locked(self.folder / _CHANGING, wait=wait) as is_held:
            if not is_held:
                raise BadInput(f"{self.folder} is being changed by another process; try again")
            yield

    def sweep(self) -> list[str]:
        """Remove leftovers of killed processes: drafts of models, tables that no model refers to;
        call within `changing()`. Return what was removed.
        """
        swept = sweep_drafts(self.folder / _VERSIONS)
        # `Path.resolve` would follow a link to a folder without drafts
        beside = Path(os.path.abspath(self.folder)).parent  # noqa: PTH100
        swept += sweep_drafts(beside, self.folder.name)
        texts = [
            *self.folder.glob(f".{_CURRENT}.*.draft"),
            *(self.folder / _DECISIONS).glob(".*.draft"),
        ]
        for text in texts:
            text.unlink(missing_ok=True)
        swept += [text.name for text in texts]
        for folder in self.folders().values():
            try:
                swept += sweep_files(folder)
            except (BrokenArtifact, FileNotFoundError):
                continue  # reported when it is listed or loaded
        return swept

    def remove(self, version: str) -> bool:
        """Remove a retrained version that does not serve; call within `changing()`. Return whether
        it was removed.
        """
        if version in (self.current(), self._own_version):
            return False
        shutil.rmtree(self.place_of(version))
        self._decision_of(version).unlink(missing_ok=True)
        return True

    def prune(self, keep: int, but: Collection[str] = ()) -> list[str]:
        """Remove retrained versions except the newest `keep`, the one that serves, the one before
        it, and those named in `but`; call within `changing()`. Return the versions removed.
        """
        promotions = self.promotions()
        # Earlier versions of metarec noted a promotion of the version that served already
        before = [one["from"] for one in promotions if one["from"] != one["to"]]
        stay = {self.current(), *before[-1:], *but}
        old = self._version_folders()
        gone = [path for path in old[: max(0, len(old) - keep)] if path.name not in stay]
        return [path.name for path in gone if self.remove(path.name)]

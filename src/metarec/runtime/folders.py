"""Folders written as drafts beside their path and renamed into it, so that a kill leaves the old or
the new one, never a partial one; and the removal of drafts that kills left.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from metarec.runtime.manifest import CONFIG, BrokenArtifact, read_manifest

REPORTS = "reports"
"""Folder of reports inside a model folder, which is replaced with the model."""


@contextmanager
def new_folder(folder: str | Path) -> Iterator[Path]:
    """Yield a draft folder to fill; at the end it replaces `folder`, or is deleted if filling it
    failed.

    Raises:
        FileExistsError: if the path is no model folder, or holds more than a model.
    """
    # resolve() would follow a symbolic link at this path
    place = Path(os.path.abspath(folder))  # noqa: PTH100
    finish_interrupted_swap(place)
    check_place(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    draft, held = _new_draft(place)
    try:
        draft.chmod(0o755)
        yield draft
        for path in draft.rglob("*"):
            sync(path)
        sync(draft)
        _take_place(draft, place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        os.close(held)


def _new_draft(place: Path) -> tuple[Path, int]:
    """Return an empty draft folder, and a locked handle that shows, while it is open, that the
    draft is being written.
    """
    while True:
        draft = Path(tempfile.mkdtemp(prefix=f".{place.name}.draft-", dir=place.parent))
        held = os.open(draft, os.O_RDONLY)
        if take_lock(held, wait=True) and draft.is_dir():  # unless it was swept meanwhile
            return draft, held
        os.close(held)


def sweep_drafts(parent: Path, name: str = "*") -> list[str]:
    """Remove drafts that killed writers of folders `name` left in `parent`, and return their names.
    Drafts that are still being written stay.

    Drafts that someone still writes stay.
    """
    swept = []
    for draft in sorted(parent.glob(f".{name}.draft-*")):
        with suppress(OSError):  # it was renamed or swept meanwhile
            held = os.open(draft, os.O_RDONLY)
            try:
                if draft.is_dir() and take_lock(held, wait=False):
                    shutil.rmtree(draft)
                    swept.append(draft.name)
            finally:
                os.close(held)
    for previous in sorted(parent.glob(f".{name}.previous")):
        if previous.with_name(previous.name[1 : -len(".previous")]).is_dir():
            shutil.rmtree(previous, ignore_errors=True)
            swept.append(previous.name)
    return swept


def take_lock(handle: int, *, wait: bool) -> bool:
    """Take a lock that the operating system releases when the process ends in any way; False if
    another process holds it.
    """
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        import msvcrt

        try:
            locks: Any = msvcrt  # type checkers know its names only on Windows
            locks.locking(handle, locks.LK_LOCK if wait else locks.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def check_place(folder: str | Path) -> None:
    """Check that a model may be written there: only a model folder may be replaced, and only if it
    holds nothing else.

    A served model's folder, for example, also holds users' events.

    Raises:
        FileExistsError: if something there would be lost.
    """
    place = Path(folder)
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return
    if not (place / CONFIG).is_file():
        raise FileExistsError(f"{str(place)!r} exists and is no metarec model; give another folder")
    try:
        files = read_manifest(place).files.values()
    except BrokenArtifact as error:
        raise FileExistsError(
            f"{str(place)!r} exists and its {CONFIG} is not metarec's; give another folder"
        ) from error
    model_files = {CONFIG, REPORTS, *(one.file for one in files)}
    if others := sorted({path.name for path in place.iterdir()} - model_files):
        raise FileExistsError(
            f"{str(place)!r} also holds {', '.join(others[:3])}, which a new model would replace; "
            f"give another folder"
        )


def check_target(place: Path, *, is_folder: bool) -> None:
    """Check that a file or folder can be written, before hours of work whose result goes there.

    Raises:
        OSError: as writing it would: something else is there, or it or the nearest folder that
            exists may not be written.
    """
    there = next(one for one in (place, *place.absolute().parents) if one.exists())
    number = 0
    if there == place and there.is_dir() != is_folder:
        number = errno.EEXIST if is_folder else errno.EISDIR
    elif there != place and not there.is_dir():
        number = errno.ENOTDIR
    elif not os.access(there, os.W_OK):
        number = errno.EACCES
        if hasattr(os, "statvfs") and os.statvfs(there).f_flag & os.ST_RDONLY:
            number = errno.EROFS
    if number:
        raise OSError(number, os.strerror(number), str(place))


def _previous(place: Path) -> Path:
    return place.with_name(f".{place.name}.previous")


def _take_place(draft: Path, place: Path) -> None:
    """Swap by two renames; the next reader repairs a kill between them."""
    previous = _previous(place)
    shutil.rmtree(previous, ignore_errors=True)
    if place.exists():
        place.rename(previous)
    draft.rename(place)
    sync(place.parent)
    shutil.rmtree(previous, ignore_errors=True)


def finish_interrupted_swap(place: Path) -> None:
    """Restore a folder that a kill between two renames left without its name."""
    if not place.exists() and _previous(place).is_dir():
        _previous(place).rename(place)


def sync(path: Path) -> None:
    """Flush a file or folder to disk: a rename must not reach the disk before the bytes it
    names.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Replace a small file atomically; it is on disk when this returns.

    Raises:
        OSError: if it cannot be written, as on a full disk; the old file is kept.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync(path.parent)

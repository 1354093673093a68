"""Manifest of a model folder: the part of `config.json` that describes the other files, and its
checks.

Format 2 has the size and SHA-256 of each file, the type and shape of each array, the rows of each
table, and a digest of `config.json` itself. Format 1 had sizes only, and can still be read.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

FORMAT = 2
"""Format that is written."""
READABLE = (1, 2)
"""Formats that can be read; `docs/compatibility.md` lists the versions of metarec that wrote
each.
"""
CONFIG = "config.json"
MAX_CONFIG_BYTES = 64_000_000
"""Bytes above which `config.json` is refused."""
_OWN_KEYS = ("format", "digest", "files", "contents")
_PIECE = 1 << 20


class BrokenArtifact(ValueError):
    """A model folder or checkpoint that cannot be read; the message names the file."""


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """Expected properties of one file."""

    file: str
    """Name in the folder, which changes when its content is replaced."""
    size: int
    """Bytes."""
    sha256: str | None
    """None in format 1."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Expected files of a folder."""

    files: dict[str, FileFacts]
    """Logical name, such as `interactions.parquet` -> file."""
    arrays: dict[str, dict[str, Any]] | None = None
    """Array -> `dtype, shape, finite`; None in format 1."""
    tables: dict[str, int] | None = None
    """Table -> rows; None in format 1."""
    config: dict[str, Any] = field(default_factory=dict)
    """The model's own settings and facts, stored in the same file."""


def manifest_text(manifest: Manifest) -> str:
    """Return the text of `config.json`."""
    files = {
        name: {"file": one.file, "size": one.size, "sha256": one.sha256}
        for name, one in manifest.files.items()
    }
    facts = {
        "format": FORMAT,
        "files": files,
        "contents": {"arrays": manifest.arrays, "tables": manifest.tables},
        **manifest.config,
    }
    content = json.loads(json.dumps(facts, allow_nan=False))  # as it will be parsed
    document = {"format": FORMAT, "digest": _digest(content), **content}
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_manifest(place: Path) -> Manifest:
    """Read the manifest of a folder from its `config.json`.

    Raises:
        BrokenArtifact: if it is missing, unreadable, changed since it was written or of a later
            format.
    """
    content = _read_json(place / CONFIG, place)
    if not isinstance(content, dict) or "files" not in content:
        raise BrokenArtifact(f"{place / CONFIG} is not the configuration of a metarec model")
    version = content.get("format")
    if type(version) is not int or version not in READABLE:
        raise BrokenArtifact(
            f"{place} was written in another format than "
            f"{' and '.join(map(str, READABLE))}; load it with the metarec that wrote it, or fit "
            f"again"
        )
    if version > 1 and content.get("digest") != _digest(content):
        raise BrokenArtifact(
            f"{place / CONFIG} was changed since it was written; restore the folder from a copy"
        )
    try:
        return _manifest(content, version)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BrokenArtifact(
            f"{place / CONFIG} does not say what the files must be ({error})"
        ) from error


def _manifest(content: dict[str, Any], version: int) -> Manifest:
    contents = content["contents"] if version > 1 else {"arrays": None, "tables": None}
    return Manifest(
        files={name: _file_facts(name, facts) for name, facts in content["files"].items()},
        arrays=contents["arrays"],
        tables=contents["tables"],
        config={name: value for name, value in content.items() if name not in _OWN_KEYS},
    )


def _file_facts(name: str, entry: Any) -> FileFacts:
    """Parse the entry of one file; format 1 has its size alone."""
    facts = entry if isinstance(entry, dict) else {"file": name, "size": entry, "sha256": None}
    file, size, sha256 = facts["file"], facts["size"], facts["sha256"]
    for one in (name, file):
        if type(one) is not str or not one or Path(one).name != one or one.startswith("."):
            raise ValueError(f"{one!r} is no name of a file")
    if type(size) is not int or size < 0 or not isinstance(sha256, str | None):
        raise ValueError(f"size and digest of {name!r} cannot be read")
    return FileFacts(file=file, size=size, sha256=sha256)


def _read_json(path: Path, place: Path) -> Any:
    """Read a JSON file, refusing NaN, infinities and files that are too large."""

    def no_number(name: str) -> None:
        raise ValueError(f"{name} is no number")

    try:
        size = regular_size(path)
        if size is None or size > MAX_CONFIG_BYTES:
            raise ValueError("no plain file of a sensible size")
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=no_number)
    except (OSError, ValueError, RecursionError) as error:
        raise BrokenArtifact(
            f"{path} is missing or unreadable; {str(place)!r} is no metarec model: name the "
            "folder that `metarec fit` wrote"
        ) from error


def _digest(content: Mapping[str, Any]) -> str:
    """Return the digest of a config's content, independent of its layout and without the digest
    itself.
    """
    plain = {name: value for name, value in content.items() if name != "digest"}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def file_facts(path: Path) -> FileFacts:
    """Return the properties of a file as it is now."""
    return FileFacts(file=path.name, size=path.stat().st_size, sha256=sha256_of(path))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 digest of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def regular_size(path: Path) -> int | None:
    """Return the size of a regular file, bytes; None for anything else: a link may lead out of the
    folder, and reading a pipe never ends.
    """
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def check_sizes(place: Path, manifest: Manifest) -> None:
    """Check that every file is there with its size.

    Raises:
        BrokenArtifact: if not.
    """
    for one in manifest.files.values():
        if regular_size(place / one.file) != one.size:
            raise BrokenArtifact(
                f"{place / one.file} is missing or cut short; write the model again or restore "
                f"the folder from a copy"
            )


def check_files(place: Path, manifest: Manifest) -> None:
    """Check that every file holds the bytes that were written.

    Raises:
        BrokenArtifact: if not.
    """
    check_sizes(place, manifest)
    for one in manifest.files.values():
        try:
            is_same = one.sha256 in (None, sha256_of(place / one.file))
        except OSError as error:
            raise BrokenArtifact(f"{place / one.file} cannot be read ({error})") from error
        if not is_same:
            raise BrokenArtifact(
                f"{place / one.file} was changed since it was written, by a fault of the disk or "
                f"by hand; restore the folder from a copy, or fit again"
            )


def array_facts(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Return the type, shape and finiteness of arrays."""
    return {
        name: {"dtype": str(array.dtype), "shape": list(array.shape), "finite": _is_finite(array)}
        for name, array in arrays.items()
    }


def check_arrays(path: Path, manifest: Manifest, arrays: Mapping[str, np.ndarray]) -> None:
    """Check that arrays have the types and shapes that were written, and are finite if they were.

    Raises:
        BrokenArtifact: if not.
    """
    noted = manifest.arrays
    if noted is not None and set(noted) != set(arrays):
        odd = ", ".join(sorted(set(noted) ^ set(arrays))[:3])
        raise BrokenArtifact(f"{path} does not hold the arrays it should hold (see {odd})")
    for name, facts in array_facts(arrays).items():
        must = {**facts, "finite": True} if noted is None else noted[name]
        if facts != must and not (must == {**facts, "finite": False}):
            raise BrokenArtifact(
                f"{path}: array {name!r} is {facts['dtype']} {facts['shape']}"
                f"{'' if facts['finite'] else ' with numbers that are none'}, not what was written"
            )


def check_rows(path: Path, name: str, manifest: Manifest) -> None:
    """Check that a table's own metadata has the number of rows that were written, before it is
    read, since a few bytes may claim millions of rows.

    Raises:
        BrokenArtifact: if not.
    """
    rows = pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()
    if manifest.tables is not None and manifest.tables.get(name) != rows:
        raise BrokenArtifact(f"{path} has {rows} rows, not the {manifest.tables.get(name)} written")


def _is_finite(array: np.ndarray) -> bool:
    if array.dtype.kind not in "fc":
        return True
    flat = array.reshape(-1)  # in chunks: a mask of the whole array would fill memory
    return all(
        np.isfinite(flat[start : start + _PIECE]).all() for start in range(0, len(flat), _PIECE)
    )

"""Model folders: plain data, written atomically, and checked when read.

A folder holds `config.json` (settings, and facts that the other files must match),
`model.safetensors` (arrays), tables as Parquet and `CARD.md`. Files that `config.json` does not
list are never read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from metarec.runtime.folders import (
    REPORTS,
    check_place,
    finish_interrupted_swap,
    new_folder,
    sync,
    write_text,
)
from metarec.runtime.manifest import (
    CONFIG,
    FORMAT,
    BrokenArtifact,
    FileFacts,
    Manifest,
    array_facts,
    check_arrays,
    check_files,
    check_rows,
    check_sizes,
    file_facts,
    manifest_text,
    read_manifest,
)
from metarec.runtime.mapped import mapped_arrays

__all__ = [
    "FORMAT",
    "REPORTS",
    "Artifact",
    "BrokenArtifact",
    "check_place",
    "new_folder",
    "read_arrays",
    "read_artifact",
    "read_config",
    "read_whole_config",
    "reading_whole",
    "rewrite_tables",
    "sweep_files",
    "write_arrays",
    "write_artifact",
]

ARRAYS, CARD = "model.safetensors", "CARD.md"
_TABLE = ".parquet"
_TRIES = 5
"""Maximum attempts to read a folder that changes while it is read."""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """Contents of a model folder."""

    config: dict[str, Any]
    """Settings and facts, serializable as JSON."""
    arrays: Mapping[str, Any] = field(default_factory=dict)
    """Name -> array; torch tensors are accepted when writing, NumPy arrays are returned."""
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    card: str = ""
    """The model card, Markdown."""


def write_artifact(folder: str | Path, artifact: Artifact) -> Path:
    """Write a model folder atomically, replacing an older model at the same path.

    Raises:
        FileExistsError: if the path is no model folder, or holds more than a model.
        OSError: if it cannot be written, as on a full disk; an older model is kept.
    """
    with new_folder(folder) as draft:
        arrays = {name: _as_numpy(value) for name, value in artifact.arrays.items()}
        write_arrays(draft / ARRAYS, arrays)
        for name, table in artifact.tables.items():
            _write_table(draft / f"{name}{_TABLE}", table)
        (draft / CARD).write_text(artifact.card, encoding="utf-8")
        manifest = Manifest(
            files={path.name: file_facts(path) for path in sorted(draft.iterdir())},
            arrays=array_facts(arrays),
            tables={name: table.height for name, table in artifact.tables.items()},
            config=artifact.config,
        )
        (draft / CONFIG).write_text(manifest_text(manifest), encoding="utf-8")
    return Path(folder)


def read_artifact(folder: str | Path) -> Artifact:
    """Read a model folder, checking that it is unchanged since it was written.

    Raises:
        FileNotFoundError: if there is no such folder.
        BrokenArtifact: if anything in it is missing, changed or of a later format.
    """
    place = Path(folder)
    for _ in range(_TRIES):
        manifest = _manifest_of(place)
        try:
            with reading_whole(place):
                return _read(place, manifest)
        except BrokenArtifact:
            if _manifest_of(place) == manifest:
                raise
    raise BrokenArtifact(f"{place} is written again and again while it is read; try again later")


def _read(place: Path, manifest: Manifest) -> Artifact:
    """Read and check all files of a folder; tables with equal files are read once."""
    check_files(place, manifest)
    tables: dict[str, pl.DataFrame] = {}
    by_digest: dict[str | None, pl.DataFrame] = {}  # by digest: equal files are read once
    for name, one in manifest.files.items():
        if name.endswith(_TABLE):
            table = name[: -len(_TABLE)]
            check_rows(place / one.file, table, manifest)
            array = by_digest.get(one.sha256) if one.sha256 is not None else None
            tables[table] = (
                pl.read_parquet(place / one.file, glob=False) if array is None else array
            )
            by_digest[one.sha256] = tables[table]
    arrays, _ = read_arrays(place / manifest.files[ARRAYS].file)
    check_arrays(place / ARRAYS, manifest, arrays)
    card = (place / manifest.files[CARD].file).read_text(encoding="utf-8")
    return Artifact(config=dict(manifest.config), arrays=arrays, tables=tables, card=card)


@contextmanager
def reading_whole(place: str | Path) -> Iterator[None]:
    """Turn any error in the block, in which a model is made from its folder, into `BrokenArtifact`;
    only import errors of missing libraries pass.

    Raises:
        BrokenArtifact: for any error in the block.
    """
    try:
        yield
    except ImportError:
        raise
    except BrokenArtifact as error:
        if str(place) in str(error):
            raise
        raise BrokenArtifact(f"{place}: {error}") from error
    # Polars panics on some damaged files, and a panic is no Exception
    except (Exception, pl.exceptions.PanicException) as error:
        reason = " ".join(str(error).split())[:300]
        raise BrokenArtifact(
            f"{place} cannot be read ({type(error).__name__}: {reason}): it is damaged, or another "
            f"version of metarec wrote it; restore it from a copy, or fit again"
        ) from error


def rewrite_tables(
    folder: str | Path, change: Callable[[str, pl.DataFrame], pl.DataFrame]
) -> dict[str, int]:
    """Replace tables of a model folder by `change(name, table)`, atomically, and return the number
    of rows removed from each changed table.

    A changed table is written under a new name, then `config.json` is replaced, then the old file
    is deleted: a reader, also after a kill, finds the old model or the new one.

    Raises:
        FileNotFoundError, BrokenArtifact: if there is no such model or it cannot be read.
        OSError: if it cannot be written, as on a full disk; the folder is unchanged.
    """
    place = Path(folder)
    manifest = _manifest_of(place)
    changed: dict[str, tuple[FileFacts, int, int]] = {}
    try:
        for name, one in manifest.files.items():
            if name.endswith(_TABLE):
                with reading_whole(place):
                    check_files(place, replace(manifest, files={name: one}))
                    before = pl.read_parquet(place / one.file, glob=False)
                after = change(name[: -len(_TABLE)], before)
                if after.height != before.height:
                    facts = _write_beside(place, name, after)
                    changed[name] = facts, after.height, before.height - after.height
        if changed:
            write_text(place / CONFIG, manifest_text(_with_changes(place, manifest, changed)))
    except BaseException:
        for facts, _, _ in changed.values():
            (place / facts.file).unlink(missing_ok=True)
        raise
    sweep_files(place)
    return {name[: -len(_TABLE)]: removed for name, (_, _, removed) in changed.items()}


def sweep_files(folder: str | Path) -> list[str]:
    """Remove tables and drafts of a model folder that its `config.json` does not name, as left by
    kills; no other process may be writing there. Return what was removed.
    """
    place = Path(folder)
    files = _manifest_of(place).files
    ours = [f".{CONFIG}.*.draft"]
    for name in files:
        if name.endswith(_TABLE):
            ours += [name, f"{name[: -len(_TABLE)]}.*{_TABLE}", f".{name}.draft"]
    paths = {path for pattern in ours for path in place.glob(pattern)}
    stale = [path for path in paths if path.name not in {one.file for one in files.values()}]
    for path in stale:
        path.unlink(missing_ok=True)
    return sorted(path.name for path in stale)


def _write_beside(place: Path, name: str, table: pl.DataFrame) -> FileFacts:
    """Write a table under a name with the digest of its content, so that it never replaces the
    older one.
    """
    draft = place / f".{name}.draft"
    try:
        _write_table(draft, table)
        facts = file_facts(draft)
        assert facts.sha256 is not None
        file = f"{name[: -len(_TABLE)]}.{facts.sha256[:12]}{_TABLE}"
        sync(draft)
        draft.replace(place / file)
    finally:
        draft.unlink(missing_ok=True)
    return replace(facts, file=file)


def _with_changes(
    place: Path, manifest: Manifest, changed: Mapping[str, tuple[FileFacts, int, int]]
) -> Manifest:
    """Return the manifest after tables were replaced; a manifest of format 1 is completed to format
    2.
    """
    files = {
        name: file_facts(place / one.file) if one.sha256 is None else one
        for name, one in manifest.files.items()
        if name not in changed
    }
    rows = read_rows(place)
    arrays = manifest.arrays
    if arrays is None:
        arrays = array_facts(read_arrays(place / manifest.files[ARRAYS].file)[0])
    return replace(
        manifest,
        files=dict(sorted({**files, **{n: facts for n, (facts, _, _) in changed.items()}}.items())),
        arrays=arrays,
        tables={**rows, **{n[: -len(_TABLE)]: height for n, (_, height, _) in changed.items()}},
    )


def _rows(place: Path, manifest: Manifest) -> dict[str, int]:
    return {
        name[: -len(_TABLE)]: pl.read_parquet(place / one.file, glob=False).height
        for name, one in manifest.files.items()
        if name.endswith(_TABLE)
    }


def _write_table(path: Path, table: pl.DataFrame) -> None:
    try:
        table.write_parquet(path)
    except pl.exceptions.PolarsError as error:  # raised on a full disk too
        raise OSError(f"{path} cannot be written ({error})") from error


def read_whole_config(folder: str | Path) -> dict[str, Any]:
    """Return the settings of a model folder, after checking that all its files are there with their
    sizes.

    Raises:
        FileNotFoundError: if there is no such folder.
        BrokenArtifact: if a file is missing, cut short or of a later format.
    """
    place = Path(folder)
    manifest = _manifest_of(place)
    check_sizes(place, manifest)
    return dict(manifest.config)


def read_config(folder: str | Path) -> dict[str, Any]:
    """Return the settings of a model folder, without reading its arrays.

    Raises:
        FileNotFoundError: if there is no such folder.
        BrokenArtifact: if `config.json` is missing, unreadable or of a later format.
    """
    return dict(_manifest_of(Path(folder)).config)


def read_rows(folder: str | Path) -> dict[str, int]:
    """Return the number of rows of each table of a model folder; format 2 needs no reading of the
    tables.

    Raises:
        FileNotFoundError, BrokenArtifact: as `read_config`.
    """
    place = Path(folder)
    manifest = _manifest_of(place)
    return manifest.tables if manifest.tables is not None else _rows(place, manifest)


def _manifest_of(place: Path) -> Manifest:
    finish_interrupted_swap(place)
    if not place.is_dir():
        raise FileNotFoundError(
            f"no model folder {str(place)!r}; make one with: metarec fit DATA --out {place}"
        )
    return read_manifest(place)


def write_arrays(
    path: Path, arrays: Mapping[str, Any], facts: Mapping[str, Any] | None = None
) -> None:
    """Write named arrays, and a few JSON facts, as one safetensors file, atomically.

    Raises:
        OSError: if it cannot be written, as on a full disk.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    plain = {name: np.asarray(_as_numpy(value), order="C") for name, value in arrays.items()}
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        draft.touch()
        mode = (
            draft.stat().st_mode
        )  # the library would make it readable to this user alone, unlike the other files
        save_file(
            plain, str(draft), metadata={"facts": json.dumps(dict(facts or {}), allow_nan=False)}
        )
        draft.chmod(mode)
        sync(draft)
        draft.replace(path)
        sync(path.parent)
    except (OSError, SafetensorError) as error:  # SafetensorError on a full disk
        raise OSError(f"{path} cannot be written ({error})") from error
    finally:
        draft.unlink(missing_ok=True)


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays and facts of a safetensors file; the arrays are memory-mapped, see
    `runtime.mapped`.

    Raises:
        BrokenArtifact: if the file cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:  # this checks the header
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
        return mapped_arrays(path), facts
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise BrokenArtifact(f"{path} cannot be read ({error})") from error


def _as_numpy(value: Any) -> np.ndarray:
    return (
        value
        if isinstance(value, np.ndarray)
        else np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)
    )

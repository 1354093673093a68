"""Model folders: plain data, written whole or not at all.

A folder holds `config.json` (settings and what the other files must be), `model.safetensors`
(arrays), `NAME.parquet` (tables) and `CARD.md`. It is written beside its place and renamed into it,
so a kill leaves the old model or the new one, never a half of either.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

FORMAT = 1
CONFIG, ARRAYS, CARD = "config.json", "model.safetensors", "CARD.md"
REPORTS = "reports"
"""What was found out about a model may lie beside it, and goes with it when it is replaced."""


class BrokenArtefact(ValueError):
    """A model folder or checkpoint that cannot be read; the message names the file."""


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """What a model folder holds."""

    config: dict[str, Any]
    """Settings and facts that JSON can hold."""
    arrays: Mapping[str, Any] = field(default_factory=dict)
    """Name to array; torch tensors are taken when writing, NumPy arrays come back."""
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    card: str = ""
    """The model card, Markdown."""


def write_artefact(folder: str | Path, artefact: Artefact) -> Path:
    """Write a model folder in one step, replacing an older model of the same place.

    Raises:
        FileExistsError: if the place is taken by something that is no model folder, or holds more
            than a model.
    """
    with new_folder(folder) as draft:
        write_arrays(draft / ARRAYS, artefact.arrays)
        for name, table in artefact.tables.items():
            table.write_parquet(draft / f"{name}.parquet")
        (draft / CARD).write_text(artefact.card, encoding="utf-8")
        sizes = {path.name: path.stat().st_size for path in sorted(draft.iterdir())}
        config = {"format": FORMAT, "files": sizes, **artefact.config}
        (draft / CONFIG).write_text(
            json.dumps(config, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
            encoding="utf-8",
        )
    return Path(folder)


def read_artefact(folder: str | Path) -> Artefact:
    """Read a model folder, checking that it is whole.

    Raises:
        FileNotFoundError: if there is no such folder.
        BrokenArtefact: if a file is missing, cut short or of a later format.
    """
    place = Path(folder)
    config = read_whole_config(place)
    try:
        tables = {path.stem: pl.read_parquet(path) for path in sorted(place.glob("*.parquet"))}
    except pl.exceptions.PolarsError as error:
        raise BrokenArtefact(f"a table of {place} cannot be read ({error})") from error
    arrays, _ = read_arrays(place / ARRAYS)
    return Artefact(
        config=config, arrays=arrays, tables=tables, card=(place / CARD).read_text(encoding="utf-8")
    )


def read_whole_config(folder: str | Path) -> dict[str, Any]:
    """Only the settings of a model folder whose files are all there, each of its size.

    Raises:
        FileNotFoundError: if there is no such folder.
        BrokenArtefact: if a file is missing, cut short or of a later format.
    """
    place = Path(folder)
    config = read_config(place)
    for name, size in config.pop("files").items():
        if not (place / name).is_file() or (place / name).stat().st_size != size:
            raise BrokenArtefact(
                f"{place / name} is missing or cut short; write the model again or restore the "
                f"folder from a copy"
            )
    return config


def read_config(folder: str | Path) -> dict[str, Any]:
    """Only the settings of a model folder, without its arrays.

    Raises:
        FileNotFoundError: if there is no such folder.
        BrokenArtefact: if `config.json` is missing, unreadable or of a later format.
    """
    place = Path(folder)
    _finish_interrupted_swap(place)
    if not place.is_dir():
        raise FileNotFoundError(
            f"no model folder {str(place)!r}; make one with: metarec fit DATA --out {place}"
        )
    try:
        config = json.loads((place / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BrokenArtefact(
            f"{place / CONFIG} is missing or unreadable; {str(place)!r} is no metarec model"
        ) from error
    if not isinstance(config, dict) or "files" not in config:
        raise BrokenArtefact(f"{place / CONFIG} is not the configuration of a metarec model")
    if config.pop("format", None) != FORMAT:
        raise BrokenArtefact(
            f"{place} was written in another format than {FORMAT}; load it with the metarec that "
            f"wrote it, or fit again"
        )
    return config


@contextmanager
def new_folder(folder: str | Path) -> Iterator[Path]:
    """Give a draft folder to fill; at the end it takes the place `folder`, or vanishes if filling
    it failed.

    Raises:
        FileExistsError: if the place is taken by something that is no model folder, or holds more
            than a model.
    """
    # Resolve() would follow a link that serves as the place
    place = Path(os.path.abspath(folder))  # noqa: PTH100
    _finish_interrupted_swap(place)
    check_place(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{place.name}.draft-", dir=place.parent))
    try:
        draft.chmod(0o755)
        yield draft
        for path in draft.rglob("*"):
            _sync(path)
        _sync(draft)
        _take_place(draft, place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def check_place(folder: str | Path) -> None:
    """Whether a model may be written there: only a model folder may be replaced, and only one that
    nothing else lives in.

    A served model's folder also holds people's events.

    Raises:
        FileExistsError: if something there would be lost.
    """
    place = Path(folder)
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return
    if not (place / CONFIG).is_file():
        raise FileExistsError(f"{str(place)!r} exists and is no metarec model; give another folder")
    try:
        own = {CONFIG, REPORTS, *json.loads((place / CONFIG).read_text(encoding="utf-8"))["files"]}
    except (KeyError, TypeError, ValueError) as error:
        raise FileExistsError(
            f"{str(place)!r} exists and its {CONFIG} is not metarec's; give another folder"
        ) from error
    if others := sorted({path.name for path in place.iterdir()} - own):
        raise FileExistsError(
            f"{str(place)!r} also holds {', '.join(others[:3])}, which a new model would replace; "
            f"give another folder"
        )


def write_arrays(
    path: Path, arrays: Mapping[str, Any], facts: Mapping[str, Any] | None = None
) -> None:
    """Write named arrays, and a few JSON facts, as one safetensors file, whole or not at all.

    Raises:
        OSError: if it cannot be written, as on a full disk.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    plain = {name: np.ascontiguousarray(_as_numpy(value)) for name, value in arrays.items()}
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        draft.touch()
        mode = (
            draft.stat().st_mode
        )  # the library would leave it readable to this user alone, unlike the files beside it
        save_file(
            plain, str(draft), metadata={"facts": json.dumps(dict(facts or {}), allow_nan=False)}
        )
        draft.chmod(mode)
        _sync(draft)
        draft.replace(path)
        _sync(path.parent)
    except (OSError, SafetensorError) as error:  # the library tells of a full disk by the second
        raise OSError(f"{path} cannot be written ({error})") from error
    finally:
        draft.unlink(missing_ok=True)


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and facts of a safetensors file.

    Raises:
        BrokenArtefact: if the file cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            # The file is no dict
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return arrays, json.loads((file.metadata() or {}).get("facts", "{}"))
    except (OSError, SafetensorError, ValueError) as error:
        raise BrokenArtefact(f"{path} cannot be read ({error})") from error


def _as_numpy(value: Any) -> np.ndarray:
    return (
        value
        if isinstance(value, np.ndarray)
        else np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)
    )


def _previous(place: Path) -> Path:
    return place.with_name(f".{place.name}.previous")


def _take_place(draft: Path, place: Path) -> None:
    """Swap by two renames; a kill between them is mended by the next reader."""
    previous = _previous(place)
    shutil.rmtree(previous, ignore_errors=True)
    if place.exists():
        place.rename(previous)
    draft.rename(place)
    _sync(place.parent)
    shutil.rmtree(previous, ignore_errors=True)


def _finish_interrupted_swap(place: Path) -> None:
    if not place.exists() and _previous(place).is_dir():
        _previous(place).rename(place)


def _sync(path: Path) -> None:
    """Ask the disk to keep it: a rename must not overtake the bytes it names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

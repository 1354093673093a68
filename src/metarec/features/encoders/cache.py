"""Cache of encodings on disk by content, so that nothing is encoded twice.

The key of a text is a hash of its content; a folder belongs to one encoder (weights, pooling,
precision). Each call that encodes something new adds one shard; many shards are merged into one,
but a large shard only with others of as large a total size. Shards are written atomically.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from metarec.runtime.environment import home

KEY_BYTES = 16
MAX_SHARDS = 32
"""Number of shards above which small ones are merged into one."""


def cache_folder() -> Path:
    """Return the folder of the cache: `$METAREC_HOME/cache`, else the platform's cache folder."""
    if (place := home()) is not None:
        return place / "cache"
    if sys.platform == "win32":
        return (
            Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
            / "metarec"
            / "cache"
        )
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "metarec"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "metarec"


def content_key(content: str | bytes) -> bytes:
    """Return a hash of 128 bits of a text (or of a picture's bytes)."""
    raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(raw, digest_size=KEY_BYTES).digest()


class EncodingCache:
    """Vectors of one encoder, looked up by content.

    Args:
        encoder: identity of the encoder as text: all that the vectors depend on (hash of the
            weights, pooling, precision, prompt).
        root: folder of all caches; `cache_folder()` by default.
    """

    def __init__(self, encoder: str, root: Path | None = None) -> None:
        self.folder = (root or cache_folder()) / "encodings" / content_key(encoder).hex()

    def look_up(self, keys: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Look up the vectors of these keys.

        Returns:
            `is_stored` bool [n] and `vectors` float32 [is_stored.sum(), d], in the order of `keys`.
        """
        numbers = _as_numbers(keys)
        is_stored, vectors = np.zeros(len(keys), dtype=bool), None
        for path in self._paths():
            shard = _opened(path)
            if shard is None:
                continue
            held, rows = shard
            vectors = (
                np.zeros((len(keys), rows.shape[1]), np.float32) if vectors is None else vectors
            )
            place = np.searchsorted(held[:, 0], numbers[:, 0]).clip(max=len(held) - 1)
            hit = (held[place] == numbers).all(axis=1) & ~is_stored
            vectors[hit] = rows[place[hit]]
            is_stored |= hit
        return is_stored, np.zeros((0, 0), np.float32) if vectors is None else vectors[is_stored]

    def keep(self, keys: Sequence[bytes], vectors: np.ndarray) -> None:
        """Add vectors float32 [n, d]. A full or read-only disk is no error: the next run encodes
        them again.
        """
        try:
            self._write(keys, vectors)
            paths = self._paths()
            if len(paths) > MAX_SHARDS:
                self._melt(_small_ones(paths))
        except OSError:
            return

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("*.safetensors"))

    def _write(self, keys: Sequence[bytes], vectors: np.ndarray) -> Path:
        from safetensors.numpy import save

        numbers = _as_numbers(keys)
        order = np.argsort(numbers[:, 0], kind="stable")
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.folder / f"{content_key(b''.join(keys)).hex()}.safetensors"
        content = save({"keys": numbers[order], "vectors": vectors[order].astype(np.float32)})
        handle, draft = tempfile.mkstemp(dir=self.folder, suffix=".draft")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(
                    content
                    # Not synced to disk: a shard damaged by a power cut is detected and its texts
                    # encoded again
                )
            Path(draft).replace(target)
        finally:
            Path(draft).unlink(missing_ok=True)
        return target

    def _melt(self, paths: Iterable[Path]) -> None:
        shards = [(path, shard) for path in paths if (shard := _opened(path)) is not None]
        keys = np.concatenate([held for _, (held, _) in shards])
        vectors = np.concatenate([rows for _, (_, rows) in shards])
        _, first = np.unique(keys, axis=0, return_index=True)
        merged = self._write([row.tobytes() for row in keys[first]], vectors[first])
        for path, _ in shards:
            if path != merged:
                path.unlink(missing_ok=True)


def _small_ones(paths: Iterable[Path]) -> list[Path]:
    """Return the shards to merge: each no larger than all smaller ones together, and at least half
    of them.

    So a catalog's large shard is not rewritten each time that some new texts are added.
    """
    sizes = sorted((path.stat().st_size, path) for path in paths if path.exists())
    count, smaller = 0, sizes[0][0] if sizes else 0
    while count < len(sizes) and sizes[count][0] <= smaller:
        smaller += sizes[count][0]
        count += 1
    return [path for _, path in sizes[: max(count, len(sizes) // 2)]]


def _as_numbers(keys: Sequence[bytes]) -> np.ndarray:
    """Return keys as uint64 [n, 2]."""
    return np.frombuffer(b"".join(keys), np.uint64).reshape(len(keys), 2)


def _opened(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Return keys [n, 2] and vectors [n, d] of a shard, memory-mapped so that only the requested
    rows are read.

    None for a shard that another process has just merged, and for a damaged one, which is removed.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        kinds = {"keys": np.uint64, "vectors": np.float32}
        held, rows = (
            np.memmap(
                path,
                kind,
                "r",
                8 + length + header[name]["data_offsets"][0],
                tuple(header[name]["shape"]),
            )
            for name, kind in kinds.items()
        )
        return np.asarray(held), rows
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, OSError, OverflowError, MemoryError):
        path.unlink(missing_ok=True)
        return None

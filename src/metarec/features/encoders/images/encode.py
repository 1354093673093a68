"""Pictures of items as vectors, encoded by colors, a CNN or any ViT-like model.

Nothing is downloaded: a URL such as `https://host/a/b.jpg` is looked up below the picture folder. A
missing or corrupt picture is counted, and its vector is zeros; it never stops a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from metarec.features.encoders.base import unit_rows
from metarec.features.encoders.cache import EncodingCache, content_key
from metarec.features.encoders.images.encoders import ImageEncoder, load_image_encoder
from metarec.features.encoders.images.files import read_image
from metarec.runtime.progress import Progress, silent

STAGE = "encode pictures"
BATCH = 32


@dataclass(frozen=True, kw_only=True)
class EncodedImages:
    """Result of `encode_images`."""

    vectors: np.ndarray
    """float32 [n, d] of unit length, or zeros where there is no readable picture."""
    has_image: np.ndarray
    """bool [n]: whether there is a readable picture."""
    name: str
    """Name of the encoder."""
    reason: str
    """Why this encoder was chosen, in one sentence."""
    encoder: ImageEncoder
    """The encoder, for later pictures: `encode_images(paths, encoder=this)`."""
    notes: list[str] = field(default_factory=list)
    """Numbers of missing and corrupt pictures, as sentences."""


def encode_images(
    paths: Sequence[str | Path | None],
    encoder: str | ImageEncoder = "auto",
    *,
    cache: Path | bool | None = None,
    progress: Progress = silent,
) -> EncodedImages:
    """Encode pictures as vectors.

    Args:
        paths: one for each item, None where there is none.
        encoder: `auto`, `efficientnet-lite0`, `colors`, a hub name or folder of a ViT-like model,
            or an encoder object.
        cache: folder of the cache; None for the usual one, False for none.
        progress: receives the share of pictures done.

    Raises:
        BadInput: for an unknown encoder or a model that cannot be found or read.
    """
    made, reason = (
        (encoder, "given") if not isinstance(encoder, str) else load_image_encoder(encoder)
    )
    contents = [_bytes(Path(path)) if path is not None else None for path in paths]
    keys = [None if content is None else content_key(content) for content in contents]
    first = {key: row for row, key in reversed(list(enumerate(keys))) if key is not None}
    picture_of = {key: Path(str(paths[row])) for key, row in first.items()}
    vectors = _vectors(made, picture_of, cache, progress)
    width = len(next(iter(vectors.values()))) if vectors else 0
    rows = [vectors.get(key) if key is not None else None for key in keys]
    table = [np.zeros(width, np.float32) if row is None else row for row in rows]
    has_image = np.array([row is not None for row in rows], dtype=bool)
    return EncodedImages(
        vectors=np.stack(table) if table else np.zeros((0, width), np.float32),
        has_image=has_image,
        name=made.name,
        reason=reason,
        encoder=made,
        notes=_notes(paths, contents, has_image),
    )


def _vectors(
    encoder: ImageEncoder,
    picture_of: dict[bytes, Path],
    cache: Path | bool | None,
    progress: Progress,
) -> dict[bytes, np.ndarray]:
    """Return the vector of each readable picture by its content key, from the cache or encoded now
    and cached.
    """
    if cache is False:
        store, is_stored, stored = (
            None,
            np.zeros(len(picture_of), bool),
            np.zeros((0, 0), np.float32),
        )
    else:
        store = EncodingCache(encoder.identity, cache if isinstance(cache, Path) else None)
        is_stored, stored = store.look_up(list(picture_of))
    hits = [key for key, hit in zip(picture_of, is_stored, strict=True) if hit]
    vectors = dict(zip(hits, stored, strict=True))
    missing = [key for key in picture_of if key not in vectors]
    pictures = [picture_of[key] for key in missing]
    for keys, fresh in _encoded(encoder, missing, pictures, progress):
        vectors.update(zip(keys, fresh, strict=True))
        if store is not None and keys:
            store.keep(keys, fresh)
    return vectors


def _encoded(
    encoder: ImageEncoder, keys: list[bytes], paths: list[Path], progress: Progress
) -> Iterator[tuple[list[bytes], np.ndarray]]:
    """Yield keys and vectors of the readable pictures, in batches."""
    for start in range(0, len(keys), BATCH):
        read = [
            (key, picture)
            for key, path in zip(
                keys[start : start + BATCH], paths[start : start + BATCH], strict=True
            )
            if (picture := read_image(path)) is not None
        ]
        if read:
            yield (
                [key for key, _ in read],
                unit_rows(encoder.encode([picture for _, picture in read])),
            )
        progress(STAGE, min(1.0, (start + BATCH) / len(keys)))


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _notes(
    paths: Sequence[str | Path | None], contents: Sequence[bytes | None], has_image: np.ndarray
) -> list[str]:
    nowhere = sum(path is None for path in paths)
    lost = [
        path
        for path, content in zip(paths, contents, strict=True)
        if path is not None and content is None
    ]
    corrupt = [
        path
        for path, content, fine in zip(paths, contents, has_image, strict=True)
        if content is not None and not fine
    ]
    notes = [f"{nowhere:,} of {len(paths):,} items have no picture"] if nowhere else []
    notes += [f"{len(lost):,} pictures are missing, such as {lost[0]}"] if lost else []
    notes += [f"{len(corrupt):,} pictures cannot be read, such as {corrupt[0]}"] if corrupt else []
    return notes

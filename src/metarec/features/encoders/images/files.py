"""Picture files of the items, and their pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import polars as pl

from metarec.data.schema import BadInput, Catalog
from metarec.runtime.extras import require

IMAGE_COLUMNS = (
    "image",
    "image_path",
    "picture",
    "photo",
    "poster",
    "image_url",
    "poster_url",
    "picture_url",
    "pictureURL",
)
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
MAX_PIXELS = 60_000_000
"""Maximum size of a picture; larger ones are skipped, as they take gigabytes to open."""


def item_images(catalog: Catalog, folder: str | Path | None = None) -> list[Path | None]:
    """Return the path of each item's picture; None where neither catalog nor folder has one.

    A catalog names pictures in a column such as `image` or `image_url`: by a path (relative ones
    are below `folder`), or by a URL, whose path, or file name alone, is looked up below `folder`.
    For other items it is `folder/ITEM_ID.jpg` (or .png, ...), or the first picture in the folder
    `folder/ITEM_ID/`.
    """
    root = Path(folder) if folder is not None else None
    column = next((c for c in IMAGE_COLUMNS if c in catalog.frame.columns), None)
    named = (
        catalog.frame[column].cast(pl.Utf8).to_list()
        if column is not None
        else [None] * len(catalog)
    )
    by_stem = _pictures_by_stem(root)
    ids = catalog.frame["item_id"].to_list()
    return [
        _named(value, root) if value else by_stem.get(item_id)
        for value, item_id in zip(named, ids, strict=True)
    ]


def read_image(path: Path) -> Any | None:
    """Return a picture as upright 8-bit RGB (PIL); None if there is none or it cannot be read.

    16-bit and floating-point grays are scaled to 8 bits, CMYK is converted, transparent parts are
    put on white, and of an animation the first frame is used.
    """
    require("PIL", "image")
    import warnings

    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata; the size is checked below
            with Image.open(path) as opened:
                if opened.width * opened.height > MAX_PIXELS:
                    return None
                picture = ImageOps.exif_transpose(opened)
                return _as_rgb(picture)
    except (
        OSError,
        ValueError,
        SyntaxError,
        TypeError,
        EOFError,
        IndexError,
        Image.DecompressionBombError,
        MemoryError,
    ):
        return None  # PIL raises any of these for corrupt files


def _as_rgb(picture: Any) -> Any:
    from PIL import Image

    if picture.mode in ("I", "F", "I;16", "I;16B", "I;16L", "I;16N"):
        gray = np.asarray(picture, np.float64)
        low, high = float(gray.min()), float(gray.max())
        return Image.fromarray(
            ((gray - low) / max(high - low, 1e-9) * 255).astype(np.uint8)
        ).convert("RGB")
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA"):
        seen = picture.convert("RGBA")
        ground = Image.new("RGBA", seen.size, "white")
        return Image.alpha_composite(ground, seen).convert("RGB")
    return picture.convert("RGB")


def _named(value: str, root: Path | None) -> Path | None:
    """Return the file that a catalog's value refers to, even if it does not exist, so that it is
    counted as missing.
    """
    parts = urlsplit(value)
    if parts.scheme in ("http", "https"):
        below = Path(unquote(parts.path).lstrip("/"))
        if root is None or ".." in below.parts:
            return None
        return next(
            (place for place in (root / below, root / below.name) if place.is_file()),
            root / below.name,
        )
    path = Path(unquote(parts.path)) if parts.scheme == "file" else Path(value)
    return path if path.is_absolute() or root is None else root / path


def _pictures_by_stem(root: Path | None) -> dict[str, Path]:
    """Return a map from item id to picture, of the files `ITEM_ID.jpg` and `ITEM_ID/any.jpg`."""
    if root is None:
        return {}
    if not root.is_dir():
        raise BadInput(f"picture folder '{root}' does not exist")
    path_of: dict[str, Path] = {}
    for path in sorted(root.iterdir(), reverse=True):
        if path.suffix.lower() in SUFFIXES:
            path_of[path.stem] = path
        elif path.is_dir():
            inside = sorted(inner for inner in path.iterdir() if inner.suffix.lower() in SUFFIXES)
            path_of.update({path.name: inside[0]} if inside else {})
    return path_of

"""Which picture belongs to which item, and its pixels."""

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
"""A larger picture is passed over: it would take gigabytes to open."""


def item_images(catalog: Catalog, folder: str | Path | None = None) -> list[Path | None]:
    """Where each item's picture lies; None where the catalog names none and the folder holds none.

    A catalog names pictures in a column such as `image` or `image_url`: a path (relative ones are
    below `folder`), or an address, of which the path below `folder`, or the file's name alone, is
    looked for. Without such a column `folder/ITEM_ID.jpg` (or .png, ...) is taken, or the first
    picture in the folder `folder/ITEM_ID/`.
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
    """A picture as 8-bit RGB (PIL), upright; None if there is none or it cannot be read.

    16-bit and floating-point grays are stretched to 8 bits, CMYK is converted, what is see-through
    lies on white, of a moving picture the first frame counts.
    """
    require("PIL", "image")
    import warnings

    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata; a picture too large is checked for here
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
        return None  # PIL says "corrupt" in all these ways


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
    """The file a catalog's value stands for; a relative path that does not exist is given back all
    the same, to be counted.
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
    """Item id -> picture, from `ITEM_ID.jpg` and `ITEM_ID/any.jpg`."""
    if root is None:
        return {}
    if not root.is_dir():
        raise BadInput(f"picture folder '{root}' does not exist")
    found: dict[str, Path] = {}
    for path in sorted(root.iterdir(), reverse=True):
        if path.suffix.lower() in SUFFIXES:
            found[path.stem] = path
        elif path.is_dir():
            inside = sorted(inner for inner in path.iterdir() if inner.suffix.lower() in SUFFIXES)
            found.update({path.name: inside[0]} if inside else {})
    return found

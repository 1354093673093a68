"""Pictures as numeric columns of the catalog: the principal components of their vectors.

A catalog with these columns needs nothing else: they are standardized, used, saved and explained
like other numbers. `fit` learns the components from training items; `add` computes the same columns
for later items.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput, Catalog
from metarec.features.encoders.base import EncoderState
from metarec.features.encoders.images.encode import EncodedImages, encode_images
from metarec.features.encoders.images.encoders import ImageEncoder, image_encoder_from_state
from metarec.features.encoders.images.files import item_images
from metarec.runtime.progress import Progress, silent

WIDTH = 16
"""Number of columns: vectors of a thousand numbers would overfit small catalogs."""


@dataclass(frozen=True, kw_only=True)
class PictureColumns:
    """Projection of pictures to the columns `picture 1`, `picture 2`, ..."""

    encoder: ImageEncoder
    """Encoder of the pictures."""
    center: np.ndarray
    """[E] mean vector of the training pictures."""
    components: np.ndarray
    """[E, W] principal directions."""

    @classmethod
    def fit(
        cls,
        catalog: Catalog,
        folder: str | Path | None = None,
        *,
        encoder: str | ImageEncoder = "auto",
        width: int = WIDTH,
        fit_on: np.ndarray | None = None,
        cache: Path | bool | None = None,
        progress: Progress = silent,
    ) -> tuple[PictureColumns, Catalog, list[str]]:
        """Learn the columns and add them to a catalog.

        Args:
            catalog: items, and perhaps a column that names their pictures.
            folder: folder of the pictures (see `images.item_images`).
            encoder: as for `images.encode_images`.
            width: maximum number of columns.
            fit_on: rows to learn from (items with training events); all by default.
            cache: as for `images.encode_images`.

        Returns:
            The columns, the catalog with them (null where there is no readable picture), and notes
            on what was missing or corrupt.

        Raises:
            BadInput: if fewer than two pictures can be read.
        """
        read = encode_images(item_images(catalog, folder), encoder, cache=cache, progress=progress)
        rows = np.arange(len(catalog)) if fit_on is None else np.asarray(fit_on)
        readable = rows[read.has_image[rows]]
        if len(readable) < 2:
            why = "; ".join(read.notes)
            raise BadInput(
                f"only {len(readable)} of {len(catalog):,} items have a picture that can be "
                f"read{f' ({why})' if why else ''}; "
                "give the folder they lie in, or leave pictures out"
            )
        center = read.vectors[readable].mean(axis=0)
        _, _, directions = np.linalg.svd(read.vectors[readable] - center, full_matrices=False)
        columns = cls(encoder=read.encoder, center=center, components=directions[:width].T)
        return columns, columns._with(catalog, read), read.notes

    def add(
        self,
        catalog: Catalog,
        folder: str | Path | None = None,
        *,
        cache: Path | bool | None = None,
    ) -> Catalog:
        """Return a catalog of (new) items with the same columns added."""
        return self._with(
            catalog, encode_images(item_images(catalog, folder), self.encoder, cache=cache)
        )

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return settings, for JSON, and arrays."""
        return self.encoder.state().settings, {"center": self.center, "components": self.components}

    @classmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> PictureColumns:
        """Return the columns that `state` was called on.

        Raises:
            BadInput: if the image encoder is not found, or its weights have changed.
        """
        return cls(encoder=image_encoder_from_state(EncoderState(settings=settings)), **arrays)

    def _with(self, catalog: Catalog, read: EncodedImages) -> Catalog:
        vectors = (
            read.vectors
            if read.vectors.shape[1]
            else np.zeros((len(catalog), len(self.center)), np.float32)
        )
        values = (vectors - self.center) @ self.components
        values[~read.has_image] = np.nan
        frame = pl.DataFrame(
            {f"picture {n + 1}": values[:, n].astype(np.float32) for n in range(values.shape[1])}
        )
        return Catalog(
            frame=catalog.frame.drop(frame.columns, strict=False).hstack(frame.fill_nan(None))
        )


def with_pictures(
    data: Dataset,
    folder: str | Path,
    *,
    encoder: str | ImageEncoder = "auto",
    progress: Progress = silent,
) -> tuple[Dataset, list[str]]:
    """Return the data with picture columns of its items, learned from items with events, and notes
    on pictures that could not be read.

    Raises:
        BadInput: if there is no such folder, or fewer than two pictures can be read.
    """
    if not Path(folder).is_dir():
        raise BadInput(
            f"there is no folder of pictures at '{folder}'; give the folder that the items' "
            f"pictures lie in"
        )
    with_events = np.unique(
        data.items.vocabulary.indexes(data.interactions.frame["item_id"].unique())
    )
    _, catalog, notes = PictureColumns.fit(
        data.items, folder, encoder=encoder, fit_on=with_events[with_events >= 0], progress=progress
    )
    return replace(data, items=catalog), notes

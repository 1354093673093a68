"""Pictures as columns of the catalog: the leading directions of their vectors, beside any other
numbers of an item.

A catalog that carries these columns needs nothing further: they are standardized, used, saved and
explained as numbers are. `fit` learns the directions from training items; `add` gives later items
the same columns.
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
"""Columns that pictures become: vectors of a thousand numbers over-fit small catalogs."""


@dataclass(frozen=True, kw_only=True)
class PictureColumns:
    """How pictures become columns `picture 1`, `picture 2`, ..."""

    encoder: ImageEncoder
    """What reads them."""
    center: np.ndarray
    """[E] mean of the vectors of training pictures."""
    components: np.ndarray
    """[E, W] leading directions."""

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
            folder: where the pictures lie (see `images.item_images`).
            encoder: as for `images.encode_images`.
            fit_on: rows to learn from (items with training events); all by default.

        Returns:
            The columns, the catalog with them (null where there is no readable picture), and notes
            on what was missing or corrupt.

        Raises:
            BadInput: if fewer than two pictures can be read.
        """
        read = encode_images(item_images(catalog, folder), encoder, cache=cache, progress=progress)
        rows = np.arange(len(catalog)) if fit_on is None else np.asarray(fit_on)
        known = rows[read.has_image[rows]]
        if len(known) < 2:
            why = "; ".join(read.notes)
            raise BadInput(
                f"only {len(known)} of {len(catalog):,} items have a picture that can be "
                f"read{f' ({why})' if why else ''}; "
                "give the folder they lie in, or leave pictures out"
            )
        center = read.vectors[known].mean(axis=0)
        _, _, directions = np.linalg.svd(read.vectors[known] - center, full_matrices=False)
        columns = cls(encoder=read.encoder, center=center, components=directions[:width].T)
        return columns, columns._with(catalog, read), read.notes

    def add(
        self,
        catalog: Catalog,
        folder: str | Path | None = None,
        *,
        cache: Path | bool | None = None,
    ) -> Catalog:
        """A catalog of (new) items with the same columns."""
        return self._with(
            catalog, encode_images(item_images(catalog, folder), self.encoder, cache=cache)
        )

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Settings fit for JSON, and arrays."""
        return self.encoder.state().settings, {"center": self.center, "components": self.components}

    @classmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> PictureColumns:
        """The columns whose `state` this is.

        Raises:
            BadInput: if the image encoder is no longer to be found, or another than then.
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
    """The same data with its items' pictures as columns, learned from items with events, and notes
    on what could not be read.

    Raises:
        BadInput: if there is no such folder, or fewer than two pictures can be read.
    """
    if not Path(folder).is_dir():
        raise BadInput(
            f"there is no folder of pictures at '{folder}'; give the folder that the items' "
            f"pictures lie in"
        )
    met = np.unique(data.items.vocabulary.indexes(data.interactions.frame["item_id"].unique()))
    _, catalog, notes = PictureColumns.fit(
        data.items, folder, encoder=encoder, fit_on=met[met >= 0], progress=progress
    )
    return replace(data, items=catalog), notes

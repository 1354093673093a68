"""Item content as columns: projected text embeddings, tags, categories, numbers and years.

Text embeddings of hundreds of dimensions overfit small catalogs, so they are centered and projected
onto their leading principal components, which measured better than the full width (research notes:
32 of 384 for ml-100k).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from metarec.data.schema import Catalog
from metarec.features.encoders.added import vectors_of
from metarec.features.encoders.base import TextEncoder
from metarec.features.encoders.encode import fit_text_encoder
from metarec.features.text import TAG_COLUMNS, item_text
from metarec.runtime.progress import Progress, silent

TEXT_WIDTH = 32
MAX_TAGS = 200
MIN_ITEMS = 3
"""Minimum of items with a tag for it to get a column: rarer tags do not generalize."""
SKIPPED = frozenset(
    {
        "item_id",
        "title",
        "name",
        "text",
        "description",
        "image",
        "url",
        "imdb_url",
        "imdbid",
        "tmdbid",
    }
)
"""Columns that are never tags or numbers: they are read as text, or are unique to each item."""
TEXT_SHARE, TAG_SHARE = 1.0, 1.0
"""Scale of the text block (root mean square of an item's norm) and of the tag block (maximum of
it).
"""


@dataclass(frozen=True, kw_only=True)
class ItemInputs:
    """Transform from a catalog to a matrix; fitted on one catalog, applied to later items too."""

    encoder: TextEncoder
    """Encoder of the items' texts; of width 0 where there is no text."""
    reason: str
    """Why that encoder was chosen, with notes such as the number of truncated texts."""
    center: np.ndarray
    """[E] float32 mean of the text embeddings."""
    components: np.ndarray
    """[E, TEXT_WIDTH] float32 principal directions, scaled."""
    tags: list[str]
    """Tags that have a column, as `column=value`, in order."""
    numbers: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Mean and standard deviation of each numeric column."""
    template: str | None = None
    """Template of an item's text, as for `item_text`; None: the default one."""

    @classmethod
    def fit(
        cls,
        catalog: Catalog,
        *,
        encoder: str = "auto",
        reader: tuple[TextEncoder, str] | None = None,
        template: str | None = None,
        fit_on: np.ndarray | None = None,
        seed: int = 0,
        progress: Progress = silent,
    ) -> tuple[ItemInputs, np.ndarray, np.ndarray]:
        """Learn the columns of a catalog.

        Args:
            catalog: the items.
            encoder: as for `fit_text_encoder`; `none` leaves text out.
            reader: a fitted encoder and the reason for it, instead of a name.
            template: template of an item's text; the known text columns in order by default.
            fit_on: rows whose words and columns may be learned from (items with training events);
                all by default.
            seed: seed of the encoder's randomness.

        Returns:
            The inputs, the catalog's matrix [N, C], and its full text embeddings [N, E] (which
            search queries are compared with).
        """
        texts = item_text(catalog, template)
        rows = np.arange(len(texts)) if fit_on is None else fit_on
        encoder_name = encoder if any(texts) else "none"
        text_encoder, reason = reader or fit_text_encoder(
            texts, encoder_name, fit_on=rows, rng=np.random.default_rng(seed), progress=progress
        )
        vectors = vectors_of(text_encoder, texts, progress=progress)
        reason = "; ".join(
            [reason, *dict.fromkeys(getattr(text_encoder, "notes", ()))]
        )  # such as the number of truncated texts
        center, components = _leading(vectors[rows], TEXT_WIDTH)
        seen = catalog.frame[rows]
        inputs = cls(
            encoder=text_encoder,
            reason=reason,
            center=center,
            components=components,
            tags=tags_of(seen),
            numbers=_number_scales(seen),
            template=template,
        )
        return inputs, inputs.assemble(catalog.frame, vectors), vectors

    @property
    def columns(self) -> list[str]:
        """Names of the columns: text components, tags, numbers."""
        return (
            [f"text {n + 1}" for n in range(self.components.shape[1])]
            + self.tags
            + list(self.numbers)
        )

    def transform(self, catalog: Catalog) -> tuple[np.ndarray, np.ndarray]:
        """Return matrix [N, C] and text embeddings [N, E], float32, of a (new) catalog's items."""
        vectors = vectors_of(self.encoder, item_text(catalog, self.template))
        return self.assemble(catalog.frame, vectors), vectors

    def assemble(self, frame: pl.DataFrame, vectors: np.ndarray) -> np.ndarray:
        """Return the matrix [N, C] from the catalog's columns and text embeddings [N, E]."""
        # An item without text has embedding 0 and is put at 0, the mean, instead of minus the
        # center.
        has_text = (
            (vectors != 0).any(axis=1, keepdims=True)
            if vectors.shape[1]
            else np.zeros((frame.height, 1), bool)
        )
        text = np.where(has_text, vectors - self.center, 0.0) @ self.components
        blocks = [text, _tag_matrix(frame, self.tags), _number_matrix(frame, self.numbers)]
        return np.concatenate(blocks, axis=1).astype(np.float32)


def _leading(vectors: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and leading principal directions of text embeddings, scaled so that an item's
    text block has norm about 1.
    """
    vectors = vectors[(vectors != 0).any(axis=1)] if vectors.shape[1] else vectors
    if vectors.shape[1] == 0 or not len(vectors):
        return np.zeros(vectors.shape[1], np.float32), np.zeros((vectors.shape[1], 0), np.float32)
    center = vectors.mean(0)
    centered = vectors - center
    _, directions = np.linalg.eigh(centered.T @ centered)
    leading = directions[:, ::-1][:, : min(width, vectors.shape[1])]
    scale = np.sqrt(((centered @ leading) ** 2).sum(1).mean()) + 1e-9
    return center.astype(np.float32), (TEXT_SHARE * leading / scale).astype(np.float32)


BARRED = 0.3
"""Minimum share of cells with a bar (`a|b`) for a column of many distinct texts to hold tags."""


def tag_columns(frame: pl.DataFrame) -> list[str]:
    """Return the columns of tags and categories: known names, lists, booleans, and texts with few
    distinct values or with bars.
    """
    chosen = []
    for name, dtype in frame.schema.items():
        if name.lower() in SKIPPED:
            continue
        if name in TAG_COLUMNS or dtype == pl.List(pl.Utf8) or dtype == pl.Boolean:
            chosen.append(name)
        elif dtype in (pl.Utf8, pl.Categorical) and (
            frame[name].n_unique() <= max(20, frame.height // 10) or _are_barred(frame[name])
        ):
            chosen.append(name)
    return chosen


def _are_barred(column: pl.Series) -> bool:
    """Return whether cells hold several tags, `a|b`, the form that reading gives them."""
    cells = column.cast(pl.Utf8).drop_nulls()
    return len(cells) > 0 and cells.str.contains("|", literal=True).sum() >= BARRED * len(cells)


def _tag_rows(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return pairs (row, tag) of one column, of lists or of texts `a|b`."""
    column = (
        pl.col(name)
        if frame[name].dtype == pl.List(pl.Utf8)
        else pl.col(name).cast(pl.Utf8).str.split("|")
    )
    rows = frame.select(pl.int_range(pl.len()).alias("row"), column.alias("tag")).explode(
        "tag", empty_as_null=True
    )
    return rows.filter(pl.col("tag").str.len_chars() > 0).with_columns(
        pl.lit(f"{name}=").add(pl.col("tag")).alias("tag")
    )


def tags_of(frame: pl.DataFrame) -> list[str]:
    """Return the tags that enough items share, but not all, as `column=value`."""
    parts = [_tag_rows(frame, name) for name in tag_columns(frame)]
    if not parts:
        return []
    counts = pl.concat(parts).group_by("tag").agg(pl.col("row").n_unique().alias("items"))
    common = counts.filter((pl.col("items") >= MIN_ITEMS) & (pl.col("items") < frame.height))
    return sorted(common.sort("items", "tag", descending=[True, False])["tag"].to_list()[:MAX_TAGS])


def tags_by_item(frame: pl.DataFrame) -> dict[str, set[str]]:
    """Return the shared tags of each item that has any, by item id."""
    common = tags_of(frame)
    parts = [_tag_rows(frame, name) for name in tag_columns(frame)]
    if not common or not parts:
        return {}
    rows = pl.concat(parts).filter(pl.col("tag").is_in(common))
    each = rows.group_by("row").agg(pl.col("tag").unique())
    ids = frame["item_id"].gather(each["row"])
    return {item: set(tags) for item, tags in zip(ids, each["tag"], strict=True)}


def _tag_matrix(frame: pl.DataFrame, tags: list[str]) -> np.ndarray:
    """Return a matrix [N, tags] with equal entries for an item's tags, rows of norm TAG_SHARE or
    0.
    """
    out = np.zeros((frame.height, len(tags)), np.float32)
    if not tags:
        return out
    place = pl.DataFrame(
        {"tag": tags, "column": np.arange(len(tags))}, schema_overrides={"tag": pl.Utf8}
    )
    for name in {tag.split("=", 1)[0] for tag in tags} & set(frame.columns):
        cells = _tag_rows(frame, name).join(place, on="tag")
        out[cells["row"].to_numpy(), cells["column"].to_numpy()] = 1.0
    norms = np.linalg.norm(out, axis=1, keepdims=True)
    return np.asarray(out * (TAG_SHARE / np.maximum(norms, 1.0)))


def _number_scales(frame: pl.DataFrame) -> dict[str, tuple[float, float]]:
    scales = {}
    for name, dtype in frame.schema.items():
        if dtype.is_numeric() and name.lower() not in SKIPPED:
            column = frame[name].cast(pl.Float64).drop_nulls().drop_nans()
            spread = column.std() if len(column) > 1 else None
            if spread:
                # Polars types mean() loosely
                scales[name] = (float(column.mean()), float(spread))  # type: ignore[arg-type]
    return scales


def _number_matrix(frame: pl.DataFrame, scales: dict[str, tuple[float, float]]) -> np.ndarray:
    """Return z-scores [N, numbers], clipped at 3 and scaled by 0.3; a missing number is 0."""
    out = np.zeros((frame.height, len(scales)), np.float32)
    for place, (name, (mean, spread)) in enumerate(scales.items()):
        if name in frame.columns:
            values = (
                frame[name].cast(pl.Float64, strict=False).fill_null(mean).fill_nan(mean).to_numpy()
            )
            out[:, place] = 0.3 * np.clip((values - mean) / spread, -3.0, 3.0)
    return out

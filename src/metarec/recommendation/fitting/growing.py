"""A fitted model with added items, or with changed content of its items."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import polars as pl

from metarec.data.places import degrees_of
from metarec.data.policies import other_spellings
from metarec.data.policy_values import numbers_of, unit_in
from metarec.data.schema import Catalog
from metarec.features.text import item_text
from metarec.recommendation.fitted import FittedModel, users_in_words
from metarec.recommendation.policy.availability import availability_of
from metarec.recommendation.policy.columns import AVAILABLE
from metarec.runtime.rng import derive
from metarec.runtime.rows import with_rows

M = TypeVar("M", bound=FittedModel)


def with_items(model: M, frame: Any) -> M:
    """Return the same model with the rows of `frame` added to its catalog, or replacing the rows of
    items that it has.

    Raises:
        BadInput: if there is no column `item_id`.
    """
    changes = Catalog.of(frame).frame
    before = model.catalog.frame
    if AVAILABLE in changes.columns and AVAILABLE not in before.columns:
        before = before.with_columns(pl.lit(None, changes.schema[AVAILABLE]).alias(AVAILABLE))
    changes = _in_columns_of(before, changes)
    rows = model.vocabulary.indexes(changes["item_id"])
    catalog = _catalog_of(model, before).with_rows(changes, rows)
    touched = catalog.vocabulary.indexes(changes["item_id"])
    changed = Catalog(frame=catalog.frame[touched])
    content, text = model.item_inputs.transform(changed)
    grown_content = with_rows(model.content, touched, content, len(catalog))
    grown_text = with_rows(model.text, touched, text.astype(np.float16), len(catalog))
    words_of = item_text(changed, model.settings.item_template)
    taste = None if model.prior is None else model.prior.taste(grown_text)
    ensemble = (
        model.ensemble.with_content(grown_content, touched)
        .with_places(degrees_of(catalog.frame), touched, words_of)
        .with_text(grown_text, taste)
    )
    if model.reads_users:
        words = users_in_words(catalog, model.item_inputs, model.relevant_from, model.settings)
        ensemble = ensemble.with_words(words)
    new_items, ratings, retrieval = model.new_items, model.ratings, model.retrieval
    rng = derive(model.settings.seed, "retrieval")
    grown = replace(
        model,
        catalog=catalog,
        content=grown_content,
        text=grown_text,
        ensemble=ensemble,
        new_items=new_items and new_items.with_content(grown_content, grown_text),
        ratings=ratings and ratings.with_content(grown_content),
        retrieval=retrieval and retrieval.with_items(touched, ensemble, rng),
    )
    grown.reuse_caches(model)
    return grown


def _catalog_of(model: FittedModel, frame: pl.DataFrame) -> Catalog:
    """Return the model's catalog with `frame`, which may have one more column, and its
    vocabulary.
    """
    catalog = Catalog(frame=frame)
    vars(catalog)["vocabulary"] = model.vocabulary
    return catalog


def with_each(model: M, rows: pl.DataFrame) -> list[M]:
    """Return for each of the `rows`, items of the model's catalog, the same model with that item
    changed; the content of all rows is encoded in one batch. Only what the scores read is changed,
    neither the catalog nor the predicted ratings.
    """
    changed_items = Catalog(frame=_in_columns_of(model.catalog.frame, rows))
    contents, texts = model.item_inputs.transform(changed_items)
    texts, changed = texts.astype(np.float16), []
    for item_id, content, text in zip(changed_items.frame["item_id"], contents, texts, strict=True):
        column = int(model.vocabulary.indexes([item_id])[0])
        row, n_items = np.array([column]), len(model.catalog)
        rows_of = with_rows(model.content, row, content[None], n_items)
        words_of = with_rows(model.text, row, text[None], n_items)
        new_items = model.new_items
        if new_items is not None and column in new_items.rows:
            new_items = new_items.with_content(rows_of, words_of)
        other = replace(
            model,
            content=rows_of,
            text=words_of,
            ensemble=model.ensemble.with_content(rows_of, row),
            new_items=new_items,
        )
        # The reader does not depend on the changed content, and its caches are filled already.
        vars(other)["request_reader"] = model.request_reader
        changed.append(other)
    return changed


def _in_columns_of(table: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the columns of `rows` that `table` has, under the names and in the types of
    `table`.
    """
    rows = rows.rename(other_spellings(rows.columns, table.columns))
    columns = [name for name in rows.columns if name in table.columns]
    return rows.select(_read_as(rows[name], table.schema[name]) for name in columns)


def _read_as(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Return a column in the type of the catalog's column; text is parsed as numbers with units, or
    as words for yes and no, as on reading data.
    """
    if column.dtype == pl.Utf8 and dtype == pl.Boolean:
        cells = [None if cell is None else availability_of(cell) for cell in column.to_list()]
        return pl.Series(column.name, cells, dtype)
    if column.dtype == pl.Utf8 and dtype.is_numeric():
        numbers = pl.Series(column.name, numbers_of(column.to_list(), unit_in(column.name)))
        return numbers.fill_nan(None).cast(dtype, strict=False)
    return column.cast(dtype, strict=False)

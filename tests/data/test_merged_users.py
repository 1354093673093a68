from __future__ import annotations

import polars as pl
import pytest

import metarec
from metarec.data.opening import open_tables
from metarec.data.schema import BadInput


def shop(became):
    return {
        "interactions": pl.DataFrame(
            {"user_id": ["v1", "c1", "v2", "b"], "item_id": ["i", "j", "k", "i"]}
        ),
        "users": pl.DataFrame(
            {
                "user_id": ["v1", "v2", "c1", "b"],
                "city": ["Ulm", "Bonn", None, "Jena"],
                "merged_into": became,
            }
        ),
    }


def test_anonymous_users_become_the_customers_that_their_row_names():
    tables = open_tables(shop(["v2", "c1", "", None]))
    events = tables.interactions.select("user_id", "item_id").sort("item_id", "user_id").rows()
    assert events == [("b", "i"), ("c1", "i"), ("c1", "j"), ("c1", "k")]
    assert sorted(tables.users.rows()) == [("b", "Jena"), ("c1", "Ulm")]
    assert "merged_into: changed 2 rows" in "\n".join(f.line() for f in tables.findings)


def test_without_merges_the_column_is_no_attribute():
    assert open_tables(shop([None] * 4)).users.columns == ["user_id", "city"]


def test_users_who_became_each_other_are_refused():
    with pytest.raises(BadInput, match="became each other by merged_into"):
        metarec.read(shop(["v2", "v1", None, None]))

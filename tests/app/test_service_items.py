from __future__ import annotations

import datetime

import polars as pl
import pytest

from metarec.app.items import items_frame, upserted
from metarec.data.schema import BadInput

SCHEMA = pl.Schema(
    {
        "item_id": pl.Utf8,
        "title": pl.Utf8,
        "year": pl.Int64,
        "tags": pl.List(pl.Utf8),
        "genres": pl.Utf8,
        "price": pl.Float64,
        "out": pl.Date,
    }
)


def test_loose_attributes_become_a_row_of_the_catalog():
    loose = {
        "title": "New",
        "year": 1999.0,
        "tags": "a, b|c",
        "genres": ["x", "y"],
        "price": 3,
        "out": "2020-02-01",
        "color": "red",
    }
    frame, notes = items_frame([("n", loose), ("m", {"tags": ["d"]})], SCHEMA)
    assert frame.schema == SCHEMA
    assert frame.rows() == [
        ("n", "New", 1999, ["a", "b", "c"], "x|y", 3.0, datetime.date(2020, 2, 1)),
        ("m", None, None, ["d"], None, None, None),
    ]
    assert notes == [
        "the catalog has no column 'color'; it was stored but says nothing to this model."
    ]


def test_an_attribute_in_other_case_is_the_column():
    frame, notes = items_frame([("n", {"Genres ": "x", "Title": "a", "title": "b"})], SCHEMA)
    assert frame.select("title", "genres").rows() == [("b", "x")]
    assert notes == [
        "the catalog has no column 'Title'; it was stored but says nothing to this model."
    ]


def test_items_are_told_in_the_words_of_the_data():
    """`category` of a table is read as `categories`, so an item that is sent has it, too."""
    schema = pl.Schema({"item_id": pl.Utf8, "title": pl.Utf8, "categories": pl.List(pl.Utf8)})
    sent = {"name": "A tent", "Category": "outdoors|warm", "shelf": 3}
    frame, notes = items_frame([("n", sent), ("m", {"title": "b", "name": "c"})], schema)
    assert frame.rows() == [("n", "A tent", ["outdoors", "warm"]), ("m", "b", None)]
    assert [note.split("'")[1] for note in notes] == ["name", "shelf"]


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"year": "soon"}, "year must be a number, got 'soon'"),
        ({"out": "someday"}, "out must be a date, got 'someday'"),
        ({"price": ["1"]}, "price must be a number"),
    ],
)
def test_a_value_of_another_kind_is_said(attributes, says):
    with pytest.raises(BadInput, match=says):
        items_frame([("n", attributes)], SCHEMA)


def test_changed_items_keep_their_place_and_new_ones_come_last():
    catalog = pl.DataFrame({"item_id": ["a", "b", "c"], "title": ["A", "B", "C"]})
    changed = pl.DataFrame({"item_id": ["z", "b"], "title": ["Z", "B2"]})
    assert upserted(catalog, changed).rows() == [("a", "A"), ("b", "B2"), ("c", "C"), ("z", "Z")]

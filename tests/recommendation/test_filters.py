from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metarec.data.schema import BadInput
from metarec.recommendation.filters import filter_mask

ITEMS = pl.DataFrame(
    {
        "item_id": ["a", "b", "c", "d"],
        "title": ["Alien", "Heat", 'He said "no"', None],
        "categories": ["Sci-Fi Horror", "Crime|Drama", "Drama, Comedy", None],
        "tags": [["space", "Monster"], ["heist"], [], None],
        "year": ["1979", "1995", None, "2001"],
        "price": [9.5, 3.0, -1.0, None],
        "released": pl.Series([1979, 1995, None, 2001]).cast(pl.Int32),
    }
)


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("", "abcd"),
        ('genre = "Sci-Fi"', "a"),
        ('genre = "sci-fi" and year > 1970', "a"),
        ('genre = "Drama"', "bc"),
        ('category != "Drama"', "a"),
        ('not genre = "Drama"', "ad"),
        ("year >= 1979 and year <= 1995", "ab"),
        ("year in (1979, 2001)", "ad"),
        ('genre in ("horror", "comedy")', "ac"),
        ('genre not in ("horror", "comedy")', "b"),
        ('tags = "monster" or price < 0', "ac"),
        ('title contains "he"', "bc"),
        (r'title = "He said \"no\""', "c"),
        ("price = -1", "c"),
        ("price == 9.5", "a"),
        ("not (year > 1990 or price > 5)", "c"),
        ('price < 5 and not genre = "crime" or title = "alien"', "ac"),
        ("released > 1990", "bd"),
        ("YEAR > 1990 AND Genre = 'Crime'", "b"),
        ('genres = "Drama"', "bc"),
        ('categories = "Drama" and tag != "monster"', "bc"),
        ('price = "9.5"', "a"),
        ('price > "10"', ""),
    ],
)
def test_what_is_allowed(expression: str, allowed: str) -> None:
    assert "".join(ITEMS["item_id"].filter(pl.Series(filter_mask(expression, ITEMS)))) == allowed


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("year >", 'expected a number or "text in quotes", found the end'),
        ("color = 'red'", r"no column 'color' \(columns: item_id, title"),
        ("year > 1990 price < 3", "expected `and`, `or` or the end, found 'price' at character 13"),
        ("(year > 1990", r"expected `\)`, found the end"),
        ("year ~ 3", r"cannot read '~ 3' at character 6"),
        ("year 3", "expected a comparison"),
        ("  ", "filter '  ': expected a column, found the end"),
        ("and", "expected a column, found 'and'"),
        ("tags > 3", "holds lists of tags"),
        ("year = Heat", "text in quotes"),
        ("title < 5", "'title' holds no numbers; compare it with text in quotes"),
        ('price < "cheap"', "'price' holds numbers; 'cheap' is none"),
        ('price in (3, "Drama")', "'price' holds numbers; 'Drama' is none"),
        ("not " * 60 + "year > 3", "more than 50 levels"),
        ("year > 1" + " " * 3000, "may have 2000 characters"),
        ("__import__('os')", r"no column '__import__'"),
    ],
)
def test_a_mistake_is_shown_with_its_place(expression: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        filter_mask(expression, ITEMS)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="year genre=<>!()\"'0123 andornotin,.-\\", max_size=40))
def test_nothing_typed_breaks_it(expression: str) -> None:
    try:
        assert filter_mask(expression, ITEMS).shape == (4,)
    except BadInput as error:
        assert "\n" not in str(error)

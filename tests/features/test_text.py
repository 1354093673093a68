"""Items and users as text: nothing said twice, nothing invented, templates checked."""

import polars as pl
import pytest

from metarec.data.schema import BadInput, Catalog
from metarec.features.text import (
    HISTORY_ITEMS,
    check_user_template,
    history_text,
    item_text,
    profile_text,
    user_text,
)


def catalog(**columns):
    length = len(next(iter(columns.values())))
    return Catalog.of(pl.DataFrame({"item_id": [str(n) for n in range(length)], **columns}))


def test_default_template_takes_known_columns_in_order():
    items = catalog(
        text=["A toy comes  to\nlife.", None, " "],
        categories=["Animation|Comedy", "Drama", ""],
        title=["Toy Story", None, "."],
        price=[1.0, 2.0, 3.0],
        internal_code=["x", "y", "z"],
    )
    assert item_text(items) == ["Toy Story. Animation, Comedy. A toy comes to life", "Drama", ""]


def test_a_part_that_repeats_an_earlier_one_is_said_once():
    assert item_text(catalog(title=["Tape", "Pen"], text=["Tape", "Blue pen"])) == [
        "Tape",
        "Pen. Blue pen",
    ]


def test_lists_of_tags_and_catalogs_without_text():
    assert item_text(catalog(tags=[["sad", "slow"], []])) == ["sad, slow", ""]
    assert item_text(catalog(price=[1, 2])) == ["", ""]


def test_own_template():
    items = catalog(title=["Emma", "Beowulf"], authors=["Austen", None])
    assert item_text(items, "{title} by {authors}") == ["Emma by Austen", "Beowulf by"]
    emma = catalog(title=["Emma"], tags=[["calm", "long"]], year=[1815])
    assert item_text(emma, "{title} ({year}): {tags}") == ["Emma (1815): calm, long"]
    with pytest.raises(
        BadInput, match="names the column 'writer'.*columns: item_id, title, authors"
    ):
        item_text(items, "{writer}")
    with pytest.raises(BadInput, match="malformed"):
        item_text(items, "{title")


def test_profile_and_history():
    assert (
        profile_text({"age": 31, "home_town": "Basel", "gender": None, "job": " "})
        == "age: 31, home town: Basel"
    )
    assert history_text(["A", "B", "C"], [True, False, True]) == "Liked: C; A. Disliked: B"
    assert history_text([]) == ""
    long = history_text([f"t{n}" for n in range(100)])
    assert long.startswith("Liked: t99; t98") and long.count(";") == HISTORY_ITEMS - 1
    assert user_text({}, []) == ""
    assert user_text({"age": 31}, ["A"]) == "age: 31. Liked: A"


def test_own_template_for_users():
    template = "{profile} likes {liked}, not {disliked}"
    check_user_template(template)
    assert (
        user_text({"age": 31}, ["A", "B", "C"], [True, False, True], template)
        == "age: 31 likes C; A, not B"
    )
    assert user_text({}, [], None, template) == ""
    for wrong, why in (
        ("{wishes}", "names 'wishes'; there are {profile}, {liked}, {disliked}"),
        ("{profile.age}", "names 'profile.age'"),
        ("{liked", "malformed"),
        ("a user", "says the same of everyone"),
    ):
        with pytest.raises(BadInput, match=why):
            check_user_template(wrong)

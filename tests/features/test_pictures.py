"""Pictures as columns: learned from training items, null where nothing can be read, enough to place
a cold item.
"""

import numpy as np
import polars as pl
import pytest

from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput, Catalog
from metarec.features.pictures import PictureColumns, with_pictures

Image = pytest.importorskip("PIL.Image")
COLORS = {"space": (20, 20, 120), "garden": (40, 160, 40)}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("METAREC_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def folder(world, tmp_path_factory):
    """A picture of each item in its taste's color, a little different each time."""
    place, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for taste, items in {**world.items_of_taste, "new": ["new"]}.items():
        for item in items:
            color = np.clip(
                np.array(COLORS["space" if taste == "new" else taste]) + rng.integers(-15, 15, 3),
                0,
                255,
            )
            Image.new("RGB", (24, 24), tuple(int(c) for c in color)).save(place / f"{item}.png")
    return place


def bare(world, *more):
    return Catalog.of(pl.DataFrame({"item_id": [*world.data.items.frame["item_id"], *more]}))


def test_columns_tell_pictures_apart_and_missing_ones_are_null(world, folder):
    columns, catalog, notes = PictureColumns.fit(bare(world, "unseen"), folder, encoder="colors")
    frame = catalog.frame
    assert frame.columns == ["item_id", *(f"picture {n + 1}" for n in range(16))]
    assert (
        frame.filter(pl.col("item_id") == "unseen")
        .drop("item_id")
        .null_count()
        .sum_horizontal()
        .item()
        == 16
    )
    first = frame["picture 1"].to_numpy()[:24]
    space = np.isin(frame["item_id"].to_numpy()[:24], world.items_of_taste["space"])
    assert (first[space] > 0).all() != (first[~space] > 0).all() and notes == [
        "1 of 25 items have no picture"
    ]
    again = PictureColumns.from_state(*columns.state()).add(bare(world), folder)
    np.testing.assert_allclose(again.frame["picture 1"].to_numpy(), first, atol=1e-6)


def test_directions_are_learned_from_training_items_only(world, folder):
    rows = np.arange(5)
    few, _, _ = PictureColumns.fit(bare(world), folder, encoder="colors", fit_on=rows)
    alone, _, _ = PictureColumns.fit(Catalog(frame=bare(world).frame[:5]), folder, encoder="colors")
    np.testing.assert_allclose(few.center, alone.center)


def test_an_item_nobody_has_met_is_recommended_by_its_picture(world, folder):
    import metarec

    columns, catalog, _ = PictureColumns.fit(bare(world), folder, encoder="colors")
    data = Dataset(interactions=world.data.interactions, items=catalog)
    model = metarec.Recommender.fit(data, preset="tiny", encoder="none")
    grown = model.with_items(
        columns.add(Catalog.of(pl.DataFrame({"item_id": ["new"]})), folder).frame
    )
    lovers = [metarec.Request(history=world.history(taste, 5)) for taste in ("space", "garden")]
    place = grown.vocabulary.indexes(["new"])[0]
    space, garden = grown.score(lovers)[:, place]
    assert space > garden + 0.25


def test_no_picture_at_all_is_said(world, tmp_path):
    with pytest.raises(BadInput, match="only 0 of 24 items have a picture that can be read"):
        PictureColumns.fit(bare(world), tmp_path, encoder="colors")


def test_data_with_pictures_keeps_everything_else_and_counts_what_is_missing(
    world, folder, tmp_path
):
    data, notes = with_pictures(world.data, folder, encoder="colors")
    assert data.interactions is world.data.interactions and data.name == world.data.name
    assert (
        data.items.frame.columns
        == [*world.data.items.frame.columns, *(f"picture {n + 1}" for n in range(16))]
        and not notes
    )
    for path in list(folder.iterdir())[:3]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "s05.png").write_text("no picture")
    with pytest.raises(
        BadInput, match=r"there is no folder of pictures at '.*nowhere'; give the folder"
    ):
        with_pictures(world.data, tmp_path / "nowhere")
    assert any(
        note.startswith("1 pictures cannot be read")
        for note in with_pictures(world.data, tmp_path, encoder="colors")[1]
    )

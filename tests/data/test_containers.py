"""Workbooks and archives: each is read as the tables that it holds."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from data.exports import titles, told
from data.workbooks import write_workbook
from metarec.data.cleaning import read_clean
from metarec.data.errors import BadInput
from metarec.data.ingest import ingest
from metarec.runtime.extras import MissingExtra

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")
DAY_ONE = datetime(2024, 3, 5, 8, 15, 30)
ORDERS = [["Customer", "SKU", "Rating", "Order Date"]] + [
    [1000 + n % 5, f"00{n % 7}", n % 4 + 1, DAY_ONE + timedelta(hours=n)] for n in range(35)
]
PRODUCTS = [["SKU", "Product Name"]] + [[f"00{n}", f"Title {n}"] for n in range(7)]
CUSTOMERS = [["Customer", "Age"]] + [[1000 + n, 20 + n] for n in range(5)]
RATINGS = "user,item,rating\n" + "".join(f"u{n % 5},x{n % 7},{n % 4}\n" for n in range(35))
ITEMS = "item,title\n" + "".join(f"x{n},Title {n}\n" for n in range(7))


def write_zip(path: Path, files: Mapping[str, str | bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


class TestWorkbooks:
    @pytest.fixture(autouse=True)
    def _reader(self) -> None:
        pytest.importorskip("fastexcel")  # the extra excel reads workbooks

    @pytest.mark.parametrize("name", ["r.xlsx", "r.csv"])
    def test_the_one_sheet_with_rows_is_the_table(self, tmp_path: Path, name: str) -> None:
        report = [["Orders of March"], [None], *ORDERS[:9], [None], *ORDERS[9:]]
        sheets = {"Sheet1": [*report, ["Total", None, 87]], "Sheet2": [], "Notes": [["x"]] * 9}
        write_workbook(tmp_path / name, sheets, hidden=["Notes"])
        data, cleaning = read_clean(tmp_path / name)
        events = data.interactions
        assert (len(events), events.has_values) == (35, True)
        assert set(events.frame["user_id"]) == {f"{1000 + n}" for n in range(5)}
        assert "003" in set(events.frame["item_id"]) and told(cleaning.findings, "sums") == [1]
        hours = (events.frame["timestamp"].max() - events.frame["timestamp"].min()) / 3600
        assert hours == 34 and events.frame["timestamp"].min() == 1_709_626_530
        ingest(tmp_path / name, tmp_path / "out")
        assert pl.read_parquet(tmp_path / "out" / "interactions.parquet").height == 35

    @pytest.mark.parametrize(
        "names", [("Orders", "Products", "Customers"), ("Interactions", "Items", "Users")]
    )
    def test_each_sheet_is_a_table_and_that_is_told(
        self, tmp_path: Path, names: tuple[str, str, str]
    ) -> None:
        sheets = dict(zip(names, (ORDERS, PRODUCTS, CUSTOMERS), strict=True))
        write_workbook(tmp_path / "shop.xlsx", sheets)
        data, cleaning = read_clean(tmp_path / "shop.xlsx")
        assert titles(data)["003"] == "Title 3" and data.users.attributes == ["Age"]
        assert any(", ".join(names) in f.why for f in cleaning.findings)
        ingest(tmp_path / "shop.xlsx", tmp_path / "out")
        assert pl.read_parquet(tmp_path / "out" / "items.parquet").height == 7

    def test_workbooks_in_a_folder_and_in_a_toml_file(self, tmp_path: Path) -> None:
        write_workbook(tmp_path / "orders.xlsx", {"Sheet1": ORDERS})
        write_workbook(tmp_path / "products.xlsx", {"Sheet1": PRODUCTS})
        (tmp_path / "~$orders.xlsx").write_bytes(b"locked")
        assert titles(read_clean(tmp_path)[0])["003"] == "Title 3"
        said = '[[sources]]\ninteractions = "orders.xlsx"\nitems = "products.xlsx"\n'
        (tmp_path / "shop.toml").write_text(said)
        assert titles(read_clean(tmp_path / "shop.toml")[0])["003"] == "Title 3"
        write_workbook(tmp_path / "orders.xlsx", {"Orders": ORDERS, "Products": PRODUCTS})
        with pytest.raises(BadInput, match=r"holds several tables \(Orders, Products\)"):
            read_clean(tmp_path / "shop.toml")

    def test_what_is_no_workbook_is_refused(self, tmp_path: Path) -> None:
        for start in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0"):
            (tmp_path / "r.xlsx").write_bytes(start + bytes(99))
            with pytest.raises(BadInput, match="r.xlsx cannot be read as a workbook"):
                read_clean(tmp_path / "r.xlsx")
        write_workbook(tmp_path / "r.xlsx", {"Sheet1": []})
        with pytest.raises(BadInput, match="r.xlsx has no sheet with rows"):
            read_clean(tmp_path / "r.xlsx")


def test_without_the_extra_a_workbook_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fastexcel", None)
    write_workbook(tmp_path / "r.xlsx", {"Sheet1": ORDERS})
    with pytest.raises(MissingExtra, match=r"metarec\[excel\]"):
        read_clean(tmp_path / "r.xlsx")


def test_an_archive_is_the_folder_or_the_table_that_it_holds(tmp_path: Path) -> None:
    write_zip(tmp_path / "one.csv.zip", {"r.csv": RATINGS, "__MACOSX/._r.csv": b"\0"})
    tables = {"export/all.csv": RATINGS, "export/items.csv": ITEMS, "export/README": "x"}
    write_zip(tmp_path / "some.zip", tables)
    (tmp_path / "r.csv").write_text(RATINGS)
    with tarfile.open(tmp_path / "tables.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "r.csv", "deep/within/r.csv")
    dat = "".join(f"{n % 5}::{n % 7}::{n % 4}::97830{n:04d}\n" for n in range(35))
    write_zip(tmp_path / "ml-1m.zip", {"ml-1m/ratings.dat": dat, "ml-1m/README": "x"})
    for name in ("one.csv.zip", "some.zip", "tables.tar.gz", "ml-1m.zip"):
        data, _ = read_clean(tmp_path / name)
        assert len(data.interactions) == 35, name
        ingest(tmp_path / name, tmp_path / f"{name}-out")
        assert pl.read_parquet(tmp_path / f"{name}-out" / "interactions.parquet").height == 35
    assert titles(read_clean(tmp_path / "some.zip")[0])["x3"] == "Title 3"
    (tmp_path / "c.toml").write_text('[[sources]]\npath = "some.zip"\n')
    assert titles(read_clean(tmp_path / "c.toml")[0])["x3"] == "Title 3"


def test_an_archive_that_cannot_be_read_says_its_own_name(tmp_path: Path) -> None:
    write_zip(tmp_path / "r.zip", {"notes.md": "x"})
    with pytest.raises(BadInput, match="r.zip holds no interactions"):
        read_clean(tmp_path / "r.zip")
    (tmp_path / "r.tar.gz").write_bytes(b"\x1f\x8b" + bytes(99))
    with pytest.raises(BadInput, match=r"r.tar.gz cannot be unpacked"):
        read_clean(tmp_path / "r.tar.gz")

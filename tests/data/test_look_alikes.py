"""Tables that look like something else: each is read as meant, or refused."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from metarec.data.cleaning import read_clean
from metarec.data.dataset import Dataset
from metarec.data.errors import BadInput

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def read(folder: Path, text: str | bytes, name: str = "interactions.csv") -> Dataset:
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return read_clean(folder / name)[0]


@pytest.mark.parametrize(
    "names",
    ["order_status,x,customer,sku", "name,x,customer,sku", "x,order_id,customer,sku"],
)
def test_guests_are_no_rows_of_the_order_above(tmp_path: Path, names: str) -> None:
    """What they have in common with it is no number of an order, or their own is another."""
    lines = [("paid", 1000 + n, "" if n % 10 == 9 else f"u{n % 7}", f"x{n % 8}") for n in range(60)]
    rows = "".join(",".join(map(str, line)) + "\n" for line in lines)
    assert len(read(tmp_path, f"{names}\n{rows}").interactions) == 54
    dated = "".join(f"{line[1]},{line[2]},{line[3]},{line[2] and '2024-01-01'}\n" for line in lines)
    assert len(read(tmp_path, f"invoice,customer,sku,date\n{dated}").interactions) == 54


@pytest.mark.parametrize("beside", ["age", "total", "months"])
def test_a_table_of_users_is_no_matrix(tmp_path: Path, beside: str) -> None:
    months = "jan feb mar apr may jun jul aug sep oct".split()
    names = months if beside == "months" else [f"film {n}" for n in range(10)]
    rows = ""
    for u in range(20):
        cells = [int((u * n + u) % 5 == 0) * (1 + n % 3) for n in range(10)]
        more = {"age": [20 + u % 9], "total": [sum(cells)], "months": []}[beside]
        rows += ",".join(map(str, [f"u{u}", *cells, *more])) + "\n"
    names = names if beside == "months" else [*names, beside]
    with pytest.raises(BadInput, match="no column 'item_id'"):
        read(tmp_path, ",".join(["user", *names]) + f"\n{rows}")

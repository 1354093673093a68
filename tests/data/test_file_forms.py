"""Files of every form hold the same events: Feather, Arrow, packed text, JSON of several kinds."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path

import polars as pl
import pytest

from data.exports import one_file
from metarec.data.cleaning import read_clean
from metarec.data.errors import BadInput
from metarec.data.ingest import ingest

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")
ROWS = [
    {"user_id": f"u{n % 5}", "item_id": f"é{n % 7}", "rating": n % 4, "note": "Bob's"}
    for n in range(35)
]
TABLE = pl.DataFrame(ROWS)
TEXT = TABLE.write_csv()


def test_arrow_files_and_streams(tmp_path: Path) -> None:
    table = TABLE.with_columns(
        pl.col("user_id").cast(pl.Categorical), pl.col("rating").cast(pl.Int8)
    )
    table.write_ipc(tmp_path / "a.feather", compression="zstd")
    table.write_ipc_stream(tmp_path / "b.arrow")
    for name in ("a.feather", "b.arrow"):
        events = read_clean(tmp_path / name)[0].interactions
        assert len(events) == 35 and events.value_range == (0, 3)
        ingest(tmp_path / name, tmp_path / name[0])
        assert pl.read_parquet(tmp_path / name[0] / "interactions.parquet").height == 35
    (tmp_path / "folder").mkdir()
    table.write_ipc(tmp_path / "folder" / "visits.ipc")
    assert len(read_clean(tmp_path / "folder")[0].interactions) == 35
    (tmp_path / "c.feather").write_bytes(b"FEA1" + bytes(99))
    with pytest.raises(BadInput, match="c.feather cannot be read"):
        read_clean(tmp_path / "c.feather")


def test_packed_text_is_known_by_how_it_begins(tmp_path: Path) -> None:
    packed = {
        "a.csv.gz": gzip.compress(TEXT.encode()),
        "b.csv.bz2": bz2.compress(TEXT.encode()),
        "c.csv.xz": lzma.compress(TEXT.encode()),
        "d.csv": gzip.compress(TEXT.encode("latin-1")),
        "e.csv.gz": TEXT.encode(),
    }
    pl.DataFrame({"line": TEXT.splitlines()}).lazy().sink_csv(
        tmp_path / "f.csv.zst", compression="zstd", include_header=False, quote_style="never"
    )
    packed["f.csv.zst"] = (tmp_path / "f.csv.zst").read_bytes()
    for name, content in packed.items():
        data, _ = one_file(tmp_path, content, name)
        assert set(data.interactions.frame["item_id"]) == set(TABLE["item_id"]), name
        ingest(tmp_path / name, tmp_path / name[0])
        assert pl.read_parquet(tmp_path / name[0] / "interactions.parquet").height == 35
        if name not in ("d.csv", "e.csv.gz"):
            with pytest.raises(BadInput, match="cannot be read"):
                one_file(tmp_path, content[:60], f"half-{name}")


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(map(json.dumps, ROWS)),
        ",\n".join(map(json.dumps, ROWS)),
        "".join(map(json.dumps, ROWS)),
        "\n".join(json.dumps(row, indent=2) for row in ROWS),
        "\n".join(map(str, ROWS)),  # as Python prints objects
    ],
)
def test_objects_of_json_however_they_stand(tmp_path: Path, text: str) -> None:
    for name in ("r.json", "r.jsonl"):
        data, _ = one_file(tmp_path, text, name)
        assert len(data.interactions) == 35 and data.interactions.context_columns == ["note"]


def test_what_is_no_json_is_refused_as_before(tmp_path: Path) -> None:
    for text in ("{'user_id': open('x')}\n" * 9, "{" * 9999, '{"user_id": 1} and more'):
        with pytest.raises(BadInput, match="lines are no JSON objects"):
            one_file(tmp_path, text, "r.jsonl")

"""Every form of a source gives the same nouns."""

from __future__ import annotations

import warnings
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import metarec
from data.folders import events, item_table, user_table, write
from metarec.data.cleaning import read_clean
from metarec.data.cleaning_config import CleaningConfig
from metarec.data.read import read
from metarec.data.schema import BadInput, DataWarning


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])
def test_a_folder_reads_the_same_in_every_form(tmp_path: Path, form: str) -> None:
    data = metarec.read(
        write(
            tmp_path / "shop", form, interactions=events(), items=item_table(), users=user_table()
        )
    )
    assert data.name == "shop"
    expected = metarec.Dataset(interactions=events(), items=item_table(), users=user_table())
    assert_frame_equal(data.interactions.frame, expected.interactions.frame)
    assert_frame_equal(data.items.frame, expected.items.frame)
    assert_frame_equal(data.users.frame, expected.users.frame)
    assert data.interactions.has_values and data.interactions.has_time


def test_codes_with_leading_zeros_stay_text_in_csv(tmp_path: Path) -> None:
    data = read(write(tmp_path / "shop", "csv", interactions=events(), users=user_table()))
    assert data.users.frame.schema == {"user_id": pl.Utf8, "age": pl.Int64, "zip": pl.Utf8}
    assert data.users.frame["zip"][0] == "00000"


def test_one_file_of_events_and_known_synonyms(tmp_path: Path) -> None:
    path = tmp_path / "clicks.tsv"
    path.write_text(
        "Customer ID\tasin\tevent_time\taction\n"
        "c1\ta\t2024-05-01T10:00:00Z\tview\n"
        "c1\tb\t2024-05-01 12:00:10+02:00\tcart\n"
    )
    frame = read(path).interactions.frame
    assert frame.select("user_id", "item_id", "kind").rows() == [
        ("c1", "a", "view"),
        ("c1", "b", "cart"),
    ]
    assert frame["timestamp"].to_list() == [1714557600.0, 1714557610.0]


@pytest.mark.parametrize(
    "stamp, seconds",
    [
        ("2024-05-01", 1714521600.0),
        ("2024-05-01T00:00:00.5", 1714521600.5),
        ("2024/05/01 01:00:00", 1714525200.0),
        ("2024-05-01T00:00:00-0130", 1714527000.0),
        ("1714521600", 1714521600.0),
        ("1714521600.25", 1714521600.25),
    ],
)
def test_times_are_seconds_or_iso_dates(tmp_path: Path, stamp: str, seconds: float) -> None:
    path = tmp_path / "e.csv"
    path.write_text(f"user_id,item_id,timestamp\nu,i,{stamp}\nu,j,1714521601\n")
    frame = read(path).interactions.frame.sort("item_id")
    assert frame["timestamp"][0] == seconds


def test_frames_of_polars_and_pandas(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    given = events()
    from_pandas = read(
        {"interactions": pandas.DataFrame(given.to_dict(as_series=False)), "items": item_table()}
    )
    assert_frame_equal(from_pandas.interactions.frame, read(given).interactions.frame)
    assert len(from_pandas.items) == 20
    # pandas turns whole ids with gaps into floats
    gaps = pandas.DataFrame(
        {"user_id": [1.0, 2.0, 3.0, 4.0, 5.0, float("nan")], "item_id": [1, 2, 3, 4, 5, 6]}
    )
    with pytest.warns(DataWarning, match="missing_ids: removed 1 row"):
        assert read(gaps).interactions.frame["user_id"].to_list() == ["1", "2", "3", "4", "5"]


def test_frames_need_known_names() -> None:
    with pytest.raises(BadInput, match="users, friends, searches, got clicks"):
        read({"clicks": events()})


def test_recbole_atomic_files(tmp_path: Path) -> None:
    (tmp_path / "mini.inter").write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        "1\t10\t4\t881250949\n1\t11\t3\t881250950\n"
    )
    (tmp_path / "mini.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "10\tToy Story\t1995\tAnimation Comedy\n11\tTwo Words More\t1996\tComedy\n"
    )
    (tmp_path / "mini.user").write_text("user_id:token\tage:token\n1\t24\n")
    data = read(tmp_path)
    assert data.name == "mini" and data.interactions.has_values
    assert data.items.frame.rows() == [
        ("10", "Toy Story", 1995, "Animation|Comedy"),
        ("11", "Two Words More", 1996, "Comedy"),
    ]
    assert data.items.frame.columns == ["item_id", "title", "year", "categories"]
    assert data.users.of_users(["1"]) == [{"age": 24}]


def test_recbole_needs_types_in_its_header(tmp_path: Path) -> None:
    (tmp_path / "mini.inter").write_text("user_id\titem_id\n1\t2\n")
    with pytest.raises(BadInput, match=r"mini\.inter: the header of an atomic file says name:type"):
        read(tmp_path)


def test_movielens_100k(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("1\t10\t4\t881250949\n2\t10\t3\t881250950\n")
    flags = "|".join("1" if n in (1, 16) else "0" for n in range(19))
    (tmp_path / "u.item").write_bytes(
        f"10|Les Misérables (1995)|01-Jan-1995||http://x|{flags}\n".encode("latin-1")
    )
    (tmp_path / "u.user").write_text("1|24|M|technician|85711\n2|53|F|other|9403A\n")
    data = read(tmp_path)
    assert data.items.frame.rows(named=True) == [
        {"item_id": "10", "title": "Les Misérables", "categories": "Action|Thriller", "year": 1995}
    ]
    assert data.users.of_users(["2"]) == [
        {"age": 53, "gender": "F", "occupation": "other", "zip_code": "9403A"}
    ]
    assert data.interactions.frame["kind"].unique().to_list() == ["rating"]


def test_movielens_1m(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("1::10::5::978300760\n1::11::3::978302109\n")
    (tmp_path / "movies.dat").write_bytes(
        "10::Amélie: a Tale (2001)::Comedy|Romance\n11::Heat (1995)::Crime\n".encode("latin-1")
    )
    (tmp_path / "users.dat").write_text("1::F::1::10::48067\n")
    data = read(tmp_path)
    assert data.items.frame.rows() == [
        ("10", "Amélie: a Tale", "Comedy|Romance", 2001),
        ("11", "Heat", "Crime", 1995),
    ]
    assert data.users.of_users(["1"]) == [
        {"gender": "F", "age": 1, "occupation": "K-12 student", "zip_code": 48067}
    ]


def test_movielens_latest(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n1,1,4.0,964982703\n1,2,4.5,964981247\n"
    )
    (tmp_path / "movies.csv").write_text(
        'movieId,title,genres\n1,"American President, The (1995)",Comedy|Drama\n'
        "2,Odd,(no genres listed)\n"
    )
    data = read(tmp_path)
    assert data.items.frame.rows() == [
        ("1", "American President, The", "Comedy|Drama", 1995),
        ("2", "Odd", None, None),
    ]
    assert data.interactions.frame["item_id"].to_list() == ["2", "1"]


def test_compressed_and_ragged_csv(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "interactions.csv.gz"
    path.write_bytes(gzip.compress(b"user_id;item_id;value\na;1;2\nb;2;3;surplus\nc;3\n"))
    rules = CleaningConfig(most_unreadable=0.5)
    with (
        pytest.warns(DataWarning, match="unreadable_rows: removed 1 row.*line 3.*4 cells"),
        pytest.warns(DataWarning, match="short_rows: noted 1 row"),
    ):
        frame = read(tmp_path, rules=rules).interactions.frame
    assert frame.select("user_id", "item_id").rows() == [("a", "1"), ("c", "3")]
    with pytest.raises(BadInput, match="1 of 3 rows cannot be read"):
        read(tmp_path)


def test_reading_clean_data_warns_of_nothing(tmp_path: Path) -> None:
    write(tmp_path / "d", "csv", interactions=events(), items=item_table())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(tmp_path / "d")


@pytest.mark.parametrize("width", ["Int8", "UInt16", "UInt64"])
def test_whole_numbers_of_any_width_are_read_alike(tmp_path: Path, width: str) -> None:
    narrow = getattr(pl, width)
    events = pl.DataFrame(
        {"user_id": [1, 1, 2, 3, 3], "item_id": [1, 2, 2, 1, 2], "rating": [5, 4, 3, 2, 1]}
    )
    ages = pl.DataFrame({"user_id": [1, 2, 3], "age": [20, 30, 40]})
    prices = pl.DataFrame({"item_id": [1, 2], "price": [5, 100]})
    for name, table in (("interactions", events), ("users", ages), ("items", prices)):
        table.cast(dict.fromkeys(table.columns, narrow)).write_parquet(tmp_path / f"{name}.parquet")
    data, _ = read_clean(tmp_path)
    assert data.interactions.frame.height == 5
    assert data.users.of_users(["2"]) == [{"age": 30}]
    assert data.items.frame["price"].to_list() == [5, 100]
    own = metarec.Dataset(interactions=events.cast(narrow), users=ages.cast(narrow))
    assert own.users.of_users(["2"]) == [{"age": 30}]
    assert "1" in own.interactions.frame["user_id"].to_list()


def test_a_span_of_time_is_read_in_seconds(tmp_path: Path) -> None:
    table = {"user_id": ["a", "b"], "item_id": ["x", "y"], "timestamp": [60_000, 120_000]}
    frame = pl.DataFrame(table).with_columns(pl.col("timestamp").cast(pl.Duration("ms")))
    frame.write_parquet(tmp_path / "interactions.parquet")
    assert read(tmp_path).interactions.frame["timestamp"].to_list() == [60.0, 120.0]

"""Text tables as other programs write them: what escapes, comments, names of nothing, rows too
short; dumps of a database and workbooks.
"""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from data.exports import one_file, rows_of, titles, told
from metarec.data.errors import BadInput
from metarec.data.ingest import ingest

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


@pytest.mark.parametrize(
    ("names", "cells", "meant"),
    [
        (  # MySQL's INTO OUTFILE, Spark
            "user,item,title",
            [r',"The \"One\", part 1"', r',"Its \"end\""', r',"C:\\tmp"', r",\N"],
            ['The "One", part 1', 'Its "end"', r"C:\tmp", None],
        ),
        (  # without quotes around cells
            "user\titem\ttitle",
            ['\tTV 42\\" black', "\tparted\\\tin two", "\tplain", "\t\\N"],
            ['TV 42" black', "parted\tin two", "plain", None],
        ),
        (  # addslashes of PHP
            "user;item;title",
            [r";It\'s", r";O\'Neill", ";plain", ";none"],
            ["It's", "O'Neill", "plain", "none"],
        ),
        (  # a line within a cell
            "user,item,title",
            [',"one\\\nline"', r',"a \"b\""', ",c", ",d"],
            ["one\nline", 'a "b"', "c", "d"],
        ),
    ],
)
def test_backslashes_that_escape_are_none_of_a_cell(
    tmp_path: Path, names: str, cells: list[str], meant: list[str | None]
) -> None:
    data, found = one_file(tmp_path, rows_of(names, *cells))
    assert len(data.interactions) == 16
    assert list(titles(data).values()) == meant
    assert told(found, "escapes") == [0] or meant[-1] is None


@pytest.mark.parametrize(
    "cells",
    [
        [r',"C:\films\"', r',"D:\"', ",b", ",c"],  # a folder's name ends so
        [r',"a \""b\"" c"', ",b", ",c", ",d"],  # quotes are doubled, so it escapes none
        [r",¯\_(ツ)_/¯", r",$\alpha$", r",C:\new", ",d"],
        ['\t{"a": "b \\"c\\""}', "\tb", "\tc", "\td"],  # JSON in a cell without quotes
    ],
)
def test_backslashes_that_escape_nothing_stay(tmp_path: Path, cells: list[str]) -> None:
    names = cells[0][0].join(("user", "item", "title"))
    data, found = one_file(tmp_path, rows_of(names, *cells))
    assert not told(found, "escapes")
    meant = cells[0][1:].replace('""', "\x00").strip('"') if cells[0][0] == "," else cells[0][1:]
    assert titles(data)["x0"] == meant.replace("\x00", '"')


@pytest.mark.parametrize("names", ["user,item,rating,", "Unnamed: 0,user,item,rating"])
def test_a_column_without_a_name_that_is_always_the_same_says_nothing(
    tmp_path: Path, names: str
) -> None:
    rows = "".join(
        f"0,u{n % 5},x{n},{n % 5}\n" if names[0] == "U" else f"u{n % 5},x{n},{n % 5},0\n"
        for n in range(20)
    )
    data, _ = one_file(tmp_path, f"{names}\n{rows}")
    assert data.interactions.context_columns == []
    ingest(tmp_path, tmp_path / "out")
    assert pl.read_parquet(tmp_path / "out" / "interactions.parquet").width < 5


def test_rows_too_short_are_told_in_bounded_memory_too(tmp_path: Path) -> None:
    rows = "".join(f'u{n % 5},"x{n}",{n % 5},2024-01-{n + 1:02d}\n' for n in range(20))
    (tmp_path / "interactions.csv").write_text(f"user,item,rating,time\n{rows}u1,x1\nu2,x3,4\n")
    report = ingest(tmp_path / "interactions.csv", tmp_path / "out")
    assert told(report.findings, "short_rows") == [2]


def test_types_of_mongodb_are_the_values_they_hold(tmp_path: Path) -> None:
    def row(n: int) -> str:
        date = {"$date": f"2024-03-{n % 27 + 1:02d}T08:00:00Z"}
        number = {"$numberDouble": f"{n % 5}.0"}
        ids = {"user": {"$oid": f"{n % 5:024x}"}, "item": {"$numberInt": str(n % 7)}}
        return json.dumps(
            {"_id": {"$oid": f"{n:024x}"}, **ids, "rating": number, "createdAt": date}
        )

    data, _ = one_file(tmp_path, "\n".join(map(row, range(35))), "dump.json")
    assert set(data.interactions.frame["item_id"]) == set("0123456")
    assert data.interactions.has_time and data.interactions.has_values


@pytest.mark.parametrize(
    "cells",
    ["★★★½ ★★ ★★★★★", "3,5 von 5 Sternen|2,0 von 5 Sternen|5,0 von 5 Sternen", "3½ 2 5"],
)
def test_half_stars(tmp_path: Path, cells: str) -> None:
    said = cells.split("|") if "|" in cells else cells.split()
    rows = "".join(f"u{n % 5}\tx{n % 7}\t{said[n % 3]}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user\titem\trating\n{rows}", "r.tsv")
    assert set(data.interactions.frame["value"]) == {3.5, 2, 5}


def test_comments_are_no_rows_and_are_told(tmp_path: Path) -> None:
    rows = [f"u{n % 5},x{n % 7},{n % 4}" for n in range(20)]
    rows.insert(9, "# second batch")
    text = "# export of May\n# host: a,b\nuser,item,rating\n" + "\n".join(rows) + "\n,x9,4\n# end\n"
    data, found = one_file(tmp_path, text)
    assert len(data.interactions) == 20 and told(found, "comments") == [4]
    assert any("line 25" in example for f in found for example in f.examples)  # of the empty id
    ingest(tmp_path / "interactions.csv", tmp_path / "out")
    assert pl.read_parquet(tmp_path / "out" / "interactions.parquet").height == 20


def test_a_mark_that_begins_ids_or_lines_of_a_cell_makes_no_comment(tmp_path: Path) -> None:
    rows = "".join(f"#{n % 5},#x{n % 7},{n % 4}\n" for n in range(20))
    data, found = one_file(tmp_path, f"#user,item,rating\n{rows}#7,#x1\n")
    assert len(data.interactions) == 21 and not told(found, "comments")
    rows = "".join(f'u{n % 5},x{n % 7},"one\n# two\nthree"\n' for n in range(20))
    data, found = one_file(tmp_path, f"user,item,text\n{rows}")
    assert len(data.interactions) == 20 and not told(found, "comments")


def test_ids_that_begin_like_comments_are_read_where_rows_are_short_too(tmp_path: Path) -> None:
    rows = "".join(f"{'#bob' if n % 5 == 3 else f'u{n % 5}'},x{n % 7},{n % 4}\n" for n in range(35))
    data, found = one_file(tmp_path, f"# of May\nuser,item,rating,comment\n{rows}")
    assert "#bob" in set(data.interactions.frame["user_id"]) and len(data.interactions) == 35
    every = f"# of x, y\nuser,item,rating\n{rows.replace('u', '#u')}"
    data, found = one_file(tmp_path, every)
    assert len(data.interactions) == 35 and told(found, "comments") == [1]
    data, found = one_file(
        tmp_path, f"user,item,rating,comment\n{rows.replace('#bob', 'bob')}#end\n"
    )
    assert told(found, "comments") == [1]


def test_ids_that_a_spreadsheet_with_a_comma_has_rounded_are_told(tmp_path: Path) -> None:
    rows = "".join(f"9,78{n % 5}E+12;x{n % 7};{n % 4}\n" for n in range(20))
    _, found = one_file(tmp_path, f"user_id;item_id;rating\n{rows}")
    assert told(found, "rounded_ids") == [20]


def test_a_log_of_a_learning_platform_is_read_and_told(tmp_path: Path) -> None:
    names = "Time,User full name,Affected user,Event context,Component,Event name"
    rows = "".join(
        f'"{n % 27 + 1:02d}/03/24, 0{n % 9}:08:31",Kim {n % 5},-,Quiz: {n % 7},Quiz,Quiz viewed\n'
        for n in range(35)
    )
    data, found = one_file(tmp_path, f"{names}\n{rows}", "logs.csv")
    events = data.interactions
    assert events.has_time and events.frame["user_id"].n_unique() == 5
    assert set(events.frame["kind"]) == {"Quiz viewed"}
    assert any("'Event context' of logs.csv was read as item_id" in f.why for f in found)


def test_pages_are_items_where_nothing_else_is(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},/p/{n % 7},x{n % 3}\n" for n in range(35))
    data, found = one_file(tmp_path, f"user_id,url,note\n{rows}")
    assert "/p/3" in set(data.interactions.frame["item_id"])
    assert any("'url' of interactions.csv was read as item_id" in f.why for f in found)
    data, _ = one_file(tmp_path, f"user_id,url,product_id\n{rows}")
    assert set(data.interactions.frame["item_id"]) == {"x0", "x1", "x2"}


def test_logs_of_web_servers_are_read_by_their_fields_or_refused_in_one_line(
    tmp_path: Path,
) -> None:
    rows = "".join(
        f"2024-03-{n % 27 + 1:02d} 01:08:31 u{n % 5} /p/{n % 7} 200\n" for n in range(35)
    )
    fields = "#Version: 1.0\n#Fields: date time cs-username cs-uri-stem sc-status\n"
    data, _ = one_file(tmp_path, fields + rows, "u_ex.log")
    assert data.interactions.has_time and "/p/3" in set(data.interactions.frame["item_id"])
    line = '10.0.0.{} - - [12/Mar/2024:01:08:31 +0000] "GET /p/{} HTTP/1.1" 200 9{}\n'
    for end in ("", ' "-" "Mozilla/5.0 (X)"'):
        rows = "".join(line.format(n % 5, n % 7, end) for n in range(35))
        with pytest.raises(BadInput, match="is the log of a web server"):
            one_file(tmp_path, rows, "access.log")


@pytest.mark.parametrize("form", ["{}/3/2024, 1:08:31 PM", "{}/3/24, 01:08", "3/{}/2024, 13:08:31"])
def test_a_comma_before_the_time_of_day(tmp_path: Path, form: str) -> None:
    rows = "".join(f'u{n % 5};x{n % 7};"{form.format(n % 27 + 1)}"\n' for n in range(35))
    data, _ = one_file(tmp_path, f"user;item;time\n{rows}")
    assert data.interactions.has_time


def test_texts_in_single_quotes_are_read_without_them(tmp_path: Path) -> None:
    for names, sep in (("'user','item','title','rating'", ","), ("user;item;title;rating", ";")):
        rows = "".join(
            sep.join((f"'u{n % 5}'", f"'x{n % 7}'", f"'It''s{sep} {n % 7}'", str(n % 4 + 1))) + "\n"
            for n in range(35)
        )
        data, found = one_file(tmp_path, f"{names}\n{rows}")
        assert set(data.interactions.frame["user_id"]) == {f"u{n}" for n in range(5)}
        assert titles(data)["x3"] == f"It's{sep} 3" and data.interactions.has_values
        assert any("single quotes" in f.why for f in found)
        ingest(tmp_path / "interactions.csv", tmp_path / sep)
        assert pl.read_parquet(tmp_path / sep / "interactions.parquet")["item_id"][0][0] == "x"


def test_apostrophes_in_texts_are_no_quotes(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},'Round {n % 7} o'clock\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,title\n{rows}")
    assert titles(data)["x3"] == "'Round 3 o'clock"

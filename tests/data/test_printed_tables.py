"""Tables as databases print and dump them: SQL, columns under dashes, lines in quotes."""

from __future__ import annotations

from pathlib import Path

import pytest

from metarec.data.cleaning import read_clean
from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")

ROWS = [(f"u{n % 6}", f"0{n % 5}", n % 5 + 1, f"2024-03-{n + 1:02d} 08:15:30") for n in range(20)]


def read(path: Path, content: str, encoding: str = "utf-8") -> Dataset:
    path.write_bytes(content.encode(encoding))
    return read_clean(path)[0]


def are_read(data: Dataset) -> None:
    events = data.interactions
    frame, ratings = events.frame, events.acts()["rating"]
    found = zip(frame["user_id"], frame["item_id"], ratings, strict=True)
    assert sorted(found) == sorted((user, item, float(r)) for user, item, r, _ in ROWS)
    assert frame["timestamp"].min() == 1709280930.0


MYSQL = """-- MySQL dump
DROP TABLE IF EXISTS `items`;
CREATE TABLE `items` (
  `item_id` varchar(9) NOT NULL,
  `name` varchar(99) DEFAULT 'a, (b)',
  PRIMARY KEY (`item_id`)
) ENGINE=InnoDB;
INSERT INTO `items` VALUES ('00','It\\'s; (one)'),('01','Two''s \\\\'),('02',NULL);
CREATE TABLE `ratings` (`user_id` text, `item_id` text, `rating` int, `at` datetime, `memo` text,
  KEY `u` (`user_id`));
INSERT INTO `ratings` VALUES %s;
INSERT INTO `ratings` (`at`, `memo`, `user_id`, `item_id`, `rating`) VALUES %s;
"""
"""Names in another order in its last statement, and a text that looks like one."""


def test_a_dump_of_mysql_is_read_with_its_tables(tmp_path: Path) -> None:
    first = ",".join(f"('{u}','{i}',{r},'{at}',NULL)" for u, i, r, at in ROWS[:9])
    memo = r"'said:\nINSERT INTO `ratings` VALUES (\'x\', 1);" + "\nINSERT INTO `x` VALUES (1)'"
    rest = ",\n".join(f"('{at}',{memo},'{u}','{i}',{r})" for u, i, r, at in ROWS[9:])
    data = read(tmp_path / "dump.sql", MYSQL % (first, rest))
    are_read(data)
    titles = dict(data.items.frame.select("item_id", "title").rows())
    assert (titles["00"], titles["01"], titles["02"]) == ("It's; (one)", "Two's \\", None)


def test_a_dump_of_postgresql_is_read(tmp_path: Path) -> None:
    lines = "\n".join(f"{u}\t{i}\t{r}.0\t{at}+00\ta\\tb\\\\" for u, i, r, at in ROWS)
    text = (
        "SELECT pg_catalog.set_config('search_path', '', false);\n"
        "CREATE TABLE public.reviews (\n    user_id text NOT NULL,\n    item_id text,\n"
        "    rating numeric(3,1),\n    created_at timestamp,\n    comment text\n);\n"
        "COPY public.reviews (user_id, item_id, rating, created_at, comment) FROM stdin;\n"
        f"{lines}\n\\.\n\nALTER TABLE ONLY public.reviews ADD PRIMARY KEY (user_id);\n"
    )
    are_read(read(tmp_path / "dump.sql", text))


def test_a_dump_of_sqlite_keeps_backslashes(tmp_path: Path) -> None:
    rows = "".join(
        f"INSERT INTO \"ratings\" VALUES('{u}','{i}',{r}.0,'{at}','C:\\');\n"
        for u, i, r, at in ROWS
    )
    text = "BEGIN TRANSACTION;\nCREATE TABLE ratings (user_id, item_id, rating, at, note);\n" + rows
    data = read(tmp_path / "dump.sql", text + "COMMIT;\n")
    are_read(data)


def test_a_script_of_sql_server_is_read(tmp_path: Path) -> None:
    rows = "".join(
        "INSERT [dbo].[Ratings] ([UserId], [ItemId], [Rating], [CreatedOn]) VALUES "
        f"(N'{u}', N'{i}', CAST({r}.0 AS Decimal(3, 1)), CAST(N'{at}' AS DateTime))\n"
        for u, i, r, at in ROWS
    )
    text = (
        f"USE [Shop]\nGO\nCREATE TABLE [dbo].[Ratings]([UserId] [nvarchar](9) NULL)\nGO\n{rows}GO\n"
    )
    text = text.replace("[UserId] [nvarchar](9) NULL", "[UserId] [text], [ItemId] [text], "
                        "[Rating] [decimal](3, 1) NULL, [CreatedOn] [datetime]")  # fmt: skip
    are_read(read(tmp_path / "script.sql", text, "utf-16"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT * FROM ratings;\n", "holds no rows of INSERT or COPY"),
        ("INSERT INTO r VALUES (1, 2);\n", "does not say what the columns of r are called"),
        (
            "CREATE TABLE r (a int, b int);\nINSERT INTO r VALUES (1);\n",
            "has 1 values and 2 columns",
        ),
    ],
)
def test_a_dump_that_says_too_little_is_refused_with_a_way_out(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(BadInput, match=said) as error:
        read(tmp_path / "dump.sql", text)
    assert "into a database and give its address" in str(error.value)


def test_columns_are_as_wide_as_the_dashes_below_their_names(tmp_path: Path) -> None:
    names = "user_id    item_id     rating created            \n"
    head = names + "---------- ------- ---------- -------------------\n"
    rows = [f"{u:<10} {i:<7} {r:>10} {at}" for u, i, r, at in ROWS]
    text = "\n" + head + "\n".join(rows[:12]) + "\n\n" + head + "\n".join(rows[12:])
    path = tmp_path / "out.txt"
    are_read(read(path, text + "\n\n(20 rows affected)\n"))
    _, report = read_clean(path)
    assert any("'(20 rows affected)'" in f.why and f.rows == 1 for f in report.findings)


def test_a_box_of_mysql_is_read(tmp_path: Path) -> None:
    edge = "+---------+---------+--------+---------------------+\n"
    rows = "".join(f"| {u:<7} | {i:<7} | {r:>6} | {at} |\n" for u, i, r, at in ROWS)
    names = "| user_id | item_id | rating | created             |\n"
    are_read(
        read(tmp_path / "out.txt", f"{edge}{names}{edge}{rows}{edge}20 rows in set (0.00 sec)\n")
    )


def test_lines_in_quotes_are_rows(tmp_path: Path) -> None:
    rows = [f'"{u},""{i}"",{r},{at}"' for u, i, r, at in ROWS]
    are_read(read(tmp_path / "e.csv", "\n".join(['"user_id,item_id,rating,timestamp"', *rows])))


def test_another_table_below_is_told_and_not_read(tmp_path: Path) -> None:
    rows = [f"{u},{i},{r},{at}" for u, i, r, at in ROWS]
    below = ["", "item_id,title,price", *(f"0{n},Title {n},9.9" for n in range(5))]
    text = "\n".join(["user_id,item_id,rating,timestamp", *rows, *below])
    path = tmp_path / "e.csv"
    are_read(read(path, text))
    _, report = read_clean(path)
    assert any("is another table" in f.why and f.rows == 6 for f in report.findings)


def test_rows_without_any_cell_are_none(tmp_path: Path) -> None:
    rows = [f"{u},{i},{r},{at}\n,,," for u, i, r, at in ROWS]
    text = "\n".join(["user_id,item_id,rating,timestamp", *rows])
    are_read(read(tmp_path / "e.csv", text))

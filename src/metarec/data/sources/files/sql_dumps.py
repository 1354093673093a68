"""Read database dumps in SQL, as mysqldump, pg_dump, sqlite3 and SQL Server write them: the rows of
INSERT and COPY statements, by table.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from metarec.data.errors import BadInput
from metarec.data.findings import Finding
from metarec.data.sources.text.encoding import as_utf8
from metarec.data.sources.text.separators import content_of

Row = list[str | None]
_PART = r'(?:`[^`]+`|"[^"]+"|\[[^\]]+\]|[\w$]+)'
_NAME = rf"(?P<name>{_PART}(?:\s*\.\s*{_PART})*)"
_STARTS = re.compile(
    rf"^[ \t]*(?:(?P<create>CREATE\s+(?:\w+\s+)*?TABLE)\s+(?:IF\s+NOT\s+EXISTS\s+)?"
    rf"|(?P<insert>(?:INSERT|REPLACE)(?:\s+(?:IGNORE|OR\s+\w+))?(?:\s+INTO)?)\s+"
    rf"|(?P<copy>COPY)\s+){_NAME}",
    re.IGNORECASE | re.MULTILINE,
)
"""Pattern of the beginning of the statements that define or fill tables."""
_CHANGES = re.compile(
    rf"^[ \t]*(?:DELETE\s+FROM|UPDATE(?=\s+{_NAME.replace('?P<name>', '?:')}\s+SET\b))\s+{_NAME}",
    re.IGNORECASE | re.MULTILINE,
)
"""Pattern of the beginning of statements that delete or change rows."""
_TEXT, _MYSQL_TEXT = r"'(?:[^']|'')*'", r"'(?:[^'\\]|\\.|'')*'"
_OF_MYSQL = re.compile(r"mysql|mariadb|ENGINE\s*=|^INSERT INTO `", re.IGNORECASE | re.MULTILINE)
_ESCAPES = re.compile(r"\\'[^\s,)';:]")
"""Pattern of an apostrophe after a backslash that cannot end a text, as in `'it\\'s'`."""
_NO_COLUMN = re.compile(
    r"(primary|unique|constraint|key|index|foreign|check|fulltext|spatial|exclude|like|period)\b",
    re.IGNORECASE,
)
"""Pattern of the beginning of parts of CREATE TABLE that are no columns."""
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "0": "", "Z": "", "b": "", "f": "", "v": ""}


def is_dump(path: Path) -> bool:
    """Whether a file is a dump, by its suffix."""
    return path.suffix.lower() == ".sql"


def write_tables(path: Path, folder: Path) -> list[Finding]:
    """Write the rows of each table of a dump as CSV, and return findings.

    Raises:
        BadInput: if the dump has no rows, does not name its columns, or a row has another number of
            values than its columns.
    """
    source, findings = as_utf8(path)
    text = content_of(source).decode("utf-8", errors="replace").replace("\r\n", "\n")
    names, rows = dict[str, list[str]](), dict[str, list[Row]]()
    for table, columns, new_rows in _statements(text):
        if columns:
            names.setdefault(table, columns)
        held = rows.setdefault(table, [])
        order = _order(columns, names.get(table, []), path, table)
        for row in new_rows:
            if len(row) != len(order):
                raise BadInput(
                    f"{path}: a row of {table} has {len(row)} values and {len(order)} columns; "
                    f"load the dump into a database and give its address"
                )
            held.append([row[at] for at in order])
    full = {table: held for table, held in rows.items() if held}
    if not full:
        raise BadInput(
            f"{path} holds no rows of INSERT or COPY; load it into a database and give its address"
        )
    for table, held in full.items():
        stem = re.sub(r"[^\w .-]", "_", table) if len(full) > 1 else folder.name
        with (folder / f"{stem}.csv").open("w", encoding="utf-8", newline="") as file:
            out = csv.writer(file)
            out.writerow(names[table])
            out.writerows(held)
    why = f"tables of {path.name} were read from its statements: {', '.join(full)}"
    note = Finding(rule="columns", rows=0, action="noted", why=why)
    return [*findings, note, *_not_carried_out(text, full, path.name)]


def _not_carried_out(text: str, tables: Collection[str], name: str) -> list[Finding]:
    """Return a finding on statements that delete or change rows of a table after its first rows."""
    first = dict[str, int]()
    for start in _STARTS.finditer(text):
        if not start["create"]:
            first.setdefault(_bare(re.findall(_PART, start["name"])[-1]), start.start())
    changes = [
        match
        for match in _CHANGES.finditer(text)
        if (table := _bare(re.findall(_PART, match["name"])[-1])) in tables
        and first.get(table, len(text)) < match.start()
    ]
    if not changes:
        return []
    example = " ".join(changes[0][0].split())
    why = (
        f"statements of {name} that delete or change rows were not carried out ({example} ...); "
        f"load the dump into a database and give its address"
    )
    return [Finding(rule="columns", rows=len(changes), action="noted", why=why)]


def _order(columns: list[str], first: list[str], path: Path, table: str) -> list[int]:
    """Return the positions in a row of the table's columns; a statement may name them in another
    order.

    Raises:
        BadInput: if the names of the columns are unknown.
    """
    columns = columns or first
    if not columns:
        raise BadInput(
            f"{path} does not say what the columns of {table} are called; dump it with its CREATE "
            f"TABLE, or load it into a database and give its address"
        )
    return [columns.index(name) for name in first if name in columns]


def _statements(text: str) -> Iterator[tuple[str, list[str], Iterator[Row]]]:
    """Yield the table, the names of its columns and its rows for each statement."""
    is_mysql = _OF_MYSQL.search(text[:1_000_000]) is not None or _ESCAPES.search(text) is not None
    token = re.compile(rf"{_MYSQL_TEXT if is_mysql else _TEXT}|{_PART}|[(),;]|[^\s]", re.DOTALL)
    at = 0
    while (start := _STARTS.search(text, at)) is not None:
        table, at = _bare(re.findall(_PART, start["name"])[-1]), start.end()
        listed = list[list[str]]()
        rows: Iterator[Row] = iter(())
        if start["create"] or re.compile(r"\s*\(").match(text, at):
            at, listed = next(_groups(token.finditer(text, at)), (at, listed))
        if start["create"]:
            listed = [part for part in listed if part and not _NO_COLUMN.match(part[0])]
        elif start["copy"]:
            begin = text.find("\n", at) + 1
            end = text.find("\n\\.", begin - 1)
            at = end if end >= 0 else len(text)
            rows = (_copied(line) for line in text[begin:at].split("\n") if line)
        elif (values := _VALUES.match(text, at)) is not None:
            groups = list(_groups(token.finditer(text, values.end())))
            rows = iter([[_value(part, is_mysql) for part in group] for _, group in groups])
            at = groups[-1][0] if groups else at
            _refuse_half_read([part for _, group in groups for part in group], text, at, table)
        yield table, [_bare(part[0]) for part in listed if part], rows


def _refuse_half_read(values: list[list[str]], text: str, at: int, table: str) -> None:
    """Check that the values of a statement were read to its end.

    Raises:
        BadInput: if two texts make one value, or something else follows the last row, as after an
            apostrophe that ended a text too early.
    """
    texts = ([token for token in v if token.startswith("'")] for v in values if "(" not in v)
    doubled = next((found for found in texts if len(found) > 1), [])
    if not doubled and _ENDS.match(text, at):
        return
    example = " ".join((" ".join(doubled) or text[at : at + 80]).split())[:40]
    raise BadInput(
        f"the values of {table} cannot be read from its INSERT: {example!r}; an apostrophe may not "
        f"be escaped as elsewhere; load the dump into a database and give its address"
    )


_ENDS = re.compile(r"\s*(;|$|--|/\*|#|(ON|RETURNING|AS)\b)|\s*\n\s*[a-z]+\b", re.IGNORECASE)
"""Pattern of what may follow the last row of a statement."""
_VALUES = re.compile(r"\s*(?:OVERRIDING\s+\w+\s+VALUE\s+)?VALUES?\b", re.IGNORECASE)


def _groups(tokens: Iterator[re.Match[str]]) -> Iterator[tuple[int, list[list[str]]]]:
    """Yield the position after each list in brackets and its parts between commas, while lists
    follow each other: `(1, 'a'), (2, 'b')`.
    """
    depth, group = 0, list[list[str]]()
    for match in tokens:
        token = match[0]
        if depth == 0 and token != "(":
            if token != ",":
                return
        elif depth == 0:
            depth, group = 1, [[]]
        elif depth == 1 and token == ")":
            depth = 0
            yield match.end(), group
        elif depth == 1 and token == ",":
            group.append([])
        else:
            depth += (token == "(") - (token == ")")
            group[-1].append(token)


def _value(tokens: list[str], is_mysql: bool) -> str | None:
    """Return a value as text; of a conversion (`CAST(N'x' AS DateTime)`) its argument."""
    texts = [token for token in tokens if token.startswith("'")]
    if texts:
        text = texts[0][1:-1].replace("''", "'")
        return re.sub(r"\\(.)", _unescaped, text, flags=re.DOTALL) if is_mysql else text
    inner = tokens[tokens.index("(") + 1 :] if "(" in tokens else tokens
    inner = inner[: next((n for n, t in enumerate(inner) if t.upper() in ("AS", ")", ",")), None)]
    text_of_value = "".join(inner)
    return None if text_of_value.upper() in ("NULL", "") else text_of_value


def _unescaped(match: re.Match[str]) -> str:
    return _ESCAPED.get(match[1], match[1])


def _copied(line: str) -> Row:
    """Return the cells of a line of COPY."""
    cells = line.split("\t")
    return [None if c == r"\N" else re.sub(r"\\(.)", _unescaped, c) for c in cells]


def _bare(name: str) -> str:
    """Return a name without quotes or brackets."""
    return name.strip('`"[]')

"""Every report is of one family: the same header, style and contents, whole in one file."""

from __future__ import annotations

import base64
import re

from metarec.runtime.report_page import STYLE, html_table, report_page


def test_a_page_has_a_header_contents_and_its_files() -> None:
    body = "".join(f"<h2>{name}</h2><p>text</p>" for name in ("One", "Two", "Three &amp; four"))
    page = report_page("A <b> title", "so & so", body, downloads={"n.csv": "a,b\n1,ä\n"})
    assert "<title>A &lt;b&gt; title</title>" in page
    assert "<h1>A &lt;b&gt; title</h1>" in page
    assert '<p class="quiet">so &amp; so</p>' in page
    assert re.findall(r'<li><a href="#(part-\d)">(.*?)</a>', page) == [
        ("part-1", "One"),
        ("part-2", "Two"),
        ("part-3", "Three &amp; four"),
    ]
    assert '<h2 id="part-3">Three &amp; four</h2>' in page
    [held] = re.findall(r"data:text/csv;base64,([\w+/=]+)", page)
    assert base64.b64decode(held).decode() == "a,b\n1,ä\n"
    assert STYLE in page
    assert not re.findall(r"<script|https?://", page)


def test_two_headings_need_no_contents_and_no_file_no_link() -> None:
    page = report_page("T", "l", "<h2>One</h2><h2>Two</h2>")
    assert "<nav" not in page
    assert "CSV" not in page


def test_a_table_scrolls_within_itself_and_escapes_its_cells() -> None:
    table = html_table(["", "events"], [["<i>", 1], ["b", "2 [1, 3]"]])
    assert table.startswith('<div class="scroll"><table>')
    assert '<td class="text">&lt;i&gt;</td><td>1</td>' in table


def test_the_style_follows_the_readers_screen() -> None:
    assert "prefers-color-scheme: dark" in STYLE
    light, dark = (set(re.findall(r"--(\w+):", part)) for part in STYLE.split("@media", 1))
    assert light == dark  # every color has its dark one

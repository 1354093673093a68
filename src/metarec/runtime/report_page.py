"""The page of every report: the same header, style and contents, in light or dark as the reader's
system, readable on a phone, in one file without scripts or external resources.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape

STYLE = """
:root {
  color-scheme: light dark; --ink: #1d2129; --quiet: #5c6475; --paper: #fff; --card: #f5f6f8;
  --line: #dfe2e8; --ours: #0072b2; --hit: #00794f; --warn: #b04a00
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6e8ec; --quiet: #9aa2b1; --paper: #14171c; --card: #1d2229; --line: #333a45;
    --ours: #58b4f0; --hit: #4cc796; --warn: #ff9d5c
  }
}
* { box-sizing: border-box }
body {
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: var(--ink);
  background: var(--paper); max-width: 68rem; margin: 0 auto; padding: 1.6rem 1.2rem 4rem;
  overflow-wrap: anywhere
}
.brand { margin: 0 0 1rem; color: var(--ours); font-weight: 700; letter-spacing: -.01em }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .2rem }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .6rem } h3 { font-size: 1rem; margin: 1.4rem 0 .3rem }
p { max-width: 52rem } .quiet { color: var(--quiet); font-size: .9rem }
a { color: var(--ours) }
nav { margin: 1.2rem 0; font-size: .9rem }
nav ul {
  list-style: none; display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; margin: 0; padding: 0
}
.comparison {
  background: var(--card); border-left: 4px solid var(--ours); padding: .8rem 1.1rem;
  border-radius: 0 6px 6px 0; margin: .8rem 0; max-width: none; font-size: 1.05rem
}
.comparison.no, .caution { border-color: var(--warn) }
.caution {
  background: var(--card); border-left: 4px solid var(--warn); padding: .5rem 1rem;
  max-width: none
}
.comparison b {
  display: block; font-size: .8rem; letter-spacing: .02em; color: var(--quiet); font-weight: 600
}
figure { margin: 1rem 0; overflow-x: auto }
figure svg { max-width: 100%; height: auto; min-width: 34rem }
figure.narrow svg, .on-phone svg { min-width: 0 }
.on-phone { display: none }
@media screen and (max-width: 36rem) { .on-phone { display: block } .wide { display: none } }
svg text { fill: currentColor } svg text[style*="fill: #"] { fill: revert-layer }
.scroll { overflow-x: auto }
table {
  overflow-wrap: normal; border-collapse: collapse; font-variant-numeric: tabular-nums;
  font-size: .88rem
}
th, td {
  padding: .28rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; vertical-align: top
}
th:first-child, td:first-child, td.text, th.text { text-align: left }
td.text { white-space: normal; min-width: 5rem }
thead th { color: var(--quiet); font-weight: 600 }
td small {
  color: var(--quiet); font-size: .78em; display: block; line-height: 1.2; font-weight: 400
}
tr.ours td:first-child { color: var(--ours); font-weight: 700 } td.best { font-weight: 700 }
.users {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr)); gap: 1rem
}
.user { background: var(--card); border-radius: 8px; padding: .9rem 1.1rem }
.user h3 { margin-top: 0 } .user ol { margin: .2rem 0 .8rem; padding-left: 1.3rem }
.user li.hit { color: var(--hit); font-weight: 600 }
.user .did { font-size: .88rem; color: var(--quiet); margin: 0 }
details { margin: .5rem 0; border-top: 1px solid var(--line); padding-top: .5rem }
summary { cursor: pointer; font-weight: 600 }
pre {
  overflow-x: auto; background: var(--card); padding: .8rem 1rem; border-radius: 6px;
  font-size: .82rem; overflow-wrap: normal
}
@media print { nav, .downloads { display: none } details > * { display: block } }
"""
_HEADING = re.compile(r"<h2>(.*?)</h2>", re.DOTALL)


def report_page(
    title: str, lead: str, body: str, *, downloads: Mapping[str, str] | None = None
) -> str:
    """Return a report as one HTML file.

    Args:
        title: title in plain text.
        lead: a line below the title, in plain text.
        body: HTML; each `<h2>` becomes an entry of the contents.
        downloads: name of a file -> its text, embedded in the page.
    """
    names: list[str] = []

    def numbered(match: re.Match[str]) -> str:
        names.append(match[1])
        return f'<h2 id="part-{len(names)}">{match[1]}</h2>'

    body = _HEADING.sub(numbered, body)
    links = "".join(
        f'<li><a href="#part-{place}">{name}</a></li>' for place, name in enumerate(names, 1)
    )
    contents = f'<nav aria-label="Contents"><ul>{links}</ul></nav>' if len(names) > 2 else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<header><p class="brand">metarec</p><h1>{escape(title)}</h1>'
        f'<p class="quiet">{escape(lead)}</p></header>\n{contents}\n<main>\n{body}\n</main>\n'
        f"{_downloads(downloads or {})}</body>\n</html>\n"
    )


def _downloads(files: Mapping[str, str]) -> str:
    """Return links with embedded files, so that the page is self-contained."""
    links = " ".join(
        f'<a download="{escape(name)}" href="data:text/csv;base64,'
        f'{base64.b64encode(text.encode()).decode()}">{escape(name)}</a>'
        for name, text in files.items()
    )
    if not links:
        return ""
    return f'<p class="downloads quiet"><span>The numbers as CSV:</span> {links}</p>\n'


def html_table(
    head: Sequence[str], rows: Iterable[Sequence[object]], *, words: Iterable[int] = (0,)
) -> str:
    """Return a table that scrolls horizontally on narrow screens.

    Args:
        head: names of the columns.
        rows: cells as plain values.
        words: columns of text, which are left-aligned and may wrap; the others hold numbers.
    """
    text = set(words)

    def cell(tag: str, place: int, value: object) -> str:
        kind = ' class="text"' if place in text else ""
        return f"<{tag}{kind}>{escape(str(value))}</{tag}>"

    def row(tag: str, cells: Sequence[object]) -> str:
        inner = "".join(cell(tag, place, value) for place, value in enumerate(cells))
        return f"<tr>{inner}</tr>"

    body = "".join(row("td", cells) for cells in rows)
    return (
        f'<div class="scroll"><table><thead>{row("th", head)}</thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def wide_and_narrow(draw: Callable[[bool], str | None]) -> str | None:
    """Return a plot as drawn for wide screens and for phones (`draw(True)`), of which a page shows
    one; None where there is nothing to draw.
    """
    wide = draw(False)
    if wide is None:
        return None
    return f'<div class="wide">{wide}</div><div class="on-phone">{draw(True)}</div>'


def figure(svg: str, *, narrow: bool = False) -> str:
    """Return a figure that scrolls horizontally on narrow screens, unless it is `narrow` enough to
    fit there.
    """
    return f'<figure class="narrow">{svg}</figure>' if narrow else f"<figure>{svg}</figure>"

"""What can be said of the page without a browser: it is whole, keeps to itself, treats data as
text, and can be read.
"""

from __future__ import annotations

import html
import json
import posixpath
import re
from pathlib import Path

import pytest

import metarec
from metarec.explanation.words import PARTS, START

PAGE = Path(metarec.__file__).parent / "app" / "page"
FILES = {
    path.relative_to(PAGE).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(PAGE.rglob("*"))
    if path.suffix in {".html", ".js", ".css", ".svg"}
}
IMPORTED = r'from "(\.{1,2}/[\w/.-]+\.js)"'


def place_of(source, name):
    """The file that `name` means where it imports `source`."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), source))


def test_every_file_named_is_there_and_every_file_is_named():
    pages = {name for name in FILES if name.endswith(".html")}
    named = {
        file for page in pages for file in re.findall(r'(?:src|href)="([\w-]+\.\w+)"', FILES[page])
    } - {"openapi.json"}
    imported = {
        place_of(source, name)
        for name, text in FILES.items()
        for source in re.findall(IMPORTED, text)
    }
    assert named | imported == set(FILES) - pages
    assert pages == {"index.html", "docs.html"}  # the service names both


def test_every_imported_name_is_exported():
    for name, text in FILES.items():
        for names, source in re.findall(rf"import \{{([^}}]+)\}} {IMPORTED}", text):
            exported = set(
                re.findall(
                    r"^export (?:async )?(?:function|const|class) (\w+)",
                    FILES[place_of(source, name)],
                    re.MULTILINE,
                )
            ) | {
                one.strip()
                for listed in re.findall(
                    r"^export \{([^}]+)\}", FILES[place_of(source, name)], re.MULTILINE
                )
                for one in listed.split(",")
            }
            missing = {one.strip() for one in names.split(",")} - exported - {""}
            assert not missing, f"{name} takes {missing} from {source}"


@pytest.mark.parametrize("name", FILES)
def test_nothing_comes_from_elsewhere(name):
    text = FILES[name].replace("http://www.w3.org/2000/svg", "")
    assert not re.findall(r"https?://|[\"'(]//\w|@import|url\(", text)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith((".js", ".html"))])
def test_data_can_only_become_text(name):
    markup = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|srcdoc|\beval\(|new "
        r"Function|\bon\w+=\"|<script>|style=\""
    )
    assert not re.findall(markup, FILES[name])


@pytest.mark.parametrize("page", [name for name in FILES if name.endswith(".html")])
def test_the_policy_allows_only_our_own_files(page):
    policy = re.search(r'Content-Security-Policy"\s+content="([^"]+)"', FILES[page])[1]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert all(
        rules[kind] == "'self'" for kind in ("script-src", "style-src", "img-src", "connect-src")
    )


def luminance(color):
    """WCAG 2.2, relative luminance of #rgb or #rrggbb."""
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_what_wcag_says_of_known_pairs():
    assert contrast("#000", "#fff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read(theme):
    """At least 4.5 to 1, which WCAG 2.2 AA asks of text, for every pair of ink and ground that the
    sheet uses.
    """
    colors = dict(
        re.findall(
            r"--([\w-]+): (#\w{3,6});",
            re.findall(r":root \{(.*?)\}", FILES["style.css"], re.DOTALL)[theme],
        )
    )
    pairs = [
        (ink, ground) for ink in ("ink", "quiet") for ground in ("page", "panel", "raised", "soft")
    ]
    pairs += [("accent-text", ground) for ground in ("panel", "raised", "accent-soft")]
    pairs += [
        ("accent-ink", "accent"),
        ("ink", "accent-soft"),
        ("good", "good-soft"),
        ("bad", "bad-soft"),
        ("bad", "raised"),
    ]
    poor = {
        pair: round(found, 2)
        for pair in pairs
        if (found := contrast(colors[pair[0]], colors[pair[1]])) < 4.5
    }
    assert not poor


def sentences_of(script):
    """What t`...` and count() say, with {} for what is filled in."""
    found = [f"{{}} {noun}" for noun in re.findall(r'count\([^`]*?, "([a-z ]+)"\)', script)]
    for start in re.finditer(r"(?<![\w$])t`(?!\.\.\.)", script):
        said, at = "", start.end()
        while script[at] != "`":
            if script.startswith("${", at):
                at, said = end_of_hole(script, at + 2), said + "{}"
            else:
                at, said = at + 1, said + script[at]
        found.append(said)
    return found


def end_of_hole(script, at):
    while script[at] != "}":
        if script[at] == "`":
            at += 1
            while script[at] != "`":
                at = end_of_hole(script, at + 2) if script.startswith("${", at) else at + 1
        at = end_of_hole(script, at + 1) if script[at] == "{" else at + 1
    return at + 1


def chinese():
    lines = re.findall(r'^  ("(?:[^"\\]|\\.)*"):\s+(".*"),$', FILES["common/zh.js"], re.MULTILINE)
    return {json.loads(english): json.loads(said) for english, said in lines}


def test_every_sentence_of_the_page_has_its_chinese():
    scripts = [
        text for name, text in FILES.items() if name.endswith(".js") and name != "common/zh.js"
    ]
    said = {one for script in scripts for one in sentences_of(script)} - {"like {}"}
    body = FILES["index.html"].partition("<body>")[2]
    said |= {" ".join(html.unescape(text).split()) for text in re.findall(r">([^<]+)<", body)}
    said |= set(re.findall(r'(?:aria-label|placeholder)="([^"]+)"', body))
    said = {one for one in said if re.search("[A-Za-z]{2}", one)} - {"metarec", "/docs"}
    assert len(said) > 200
    assert not said - chinese().keys(), "add them to page/common/zh.js"


def test_the_page_names_every_part_that_reasons_have_words_for():
    table = FILES["new_user/why.js"].partition("const PARTS = {")[2].partition("};")[0]
    assert set(re.findall(r"^  (\w+):", table, re.MULTILINE)) == set(PARTS) - {START}


def test_chinese_sentences_fill_every_hole():
    for english, said in chinese().items():
        filled = {int(number) for number in re.findall(r"\{(\d+)\}", said)}
        assert filled == set(range(1, english.count("{}") + 1)), english

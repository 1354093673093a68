"""Words that the glossary retired stay out of the code, of what users read and of the guides.

Experiments are dated records and keep the words of their day.
"""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ANYWHERE = {
    "people": "users",
    "person": "user",
    "persons": "users",
    "newcomer": "new user",
    "newcomers": "new users",
    "stranger": "anonymous user",
    "strangers": "anonymous users",
    "visitor": "anonymous user",
    "visitors": "anonymous users",
    "judged": "evaluated",
    "judges": "holdout users",
    "knot": "point",
    "knots": "points",
    "door": "interface, input",
    "doors": "interfaces, inputs",
    "doubt": "uncertainty",
    "mended": "mitigated",
    "dealt": "reordered",
    "expert": "scorer",
    "experts": "scorers",
}
"""Retired word -> what to say."""
IN_NAMES = {
    **ANYWHERE,
    "trust": "weight, confidence",
    "regard": "statistics_weight",
    "standing": "item_statistics, relative_score",
    "standings": "differences, relative_scores",
    "verdict": "comparison, check, result",
    "verdicts": "comparisons, checks, results",
    "judge": "evaluate",
    "wishes": "queries",
    "fewest": "min",
    "meters": "metrics",
    "complaint": "validation message",
}
"""Those that are words of plain English, but retired as names in code."""
EXCEPTIONS = {
    "src/metarec/runtime/old_names.py": "names that saved models and command lines used before",
    "src/metarec/models/names.py": "ids that models had before",
    "src/metarec/recommender.py": "`person_template` of earlier programs is still taken",
    "src/metarec/data/names/column_names.py": "names that columns have in the data of others",
    "src/metarec/data/domains/health.toml": "names that columns have in the data of others",
    "docs/guide/policies.md": "names that columns have in the data of others",
    "src/metarec/app/page/new_user/user.js": "the key under which browsers have kept a user",
    "src/metarec/models/transformer/network.py": "the layer `judge` of saved models",
    "src/metarec/app/commands/audited.py": "seeds named before: other names would draw other users",
}
"""File -> why it may say a retired word."""
BRITISH = re.compile(
    "|".join(
        (
            "(behavi|col|fav|flav|hon|hum|lab|neighb|rum)our(?!ite|ney)",
            "(?<![a-z])(cent|fib|kilomet|lit|met|theat)re(s|d)?(?![a-z])|centring",
            "(def|lic|off|pret)ence|artefact|judgement|misspelt|fulfil(?!l)|(?<![a-z])grey",
            "(label|level|model|signal|total)l(ed|ing)(?!by)",
            "(amort|custom|emphas|factor|final|general|initial|linear|maxim|minim|normal|optim"
            "|organ|parameter|quant|random|real|recogn|regular|serial|special|standard|summar"
            "|synchron|token|util|visual)is(e|ing|ation|able)",
        )
    ),
    re.IGNORECASE,
)
"""What American English spells otherwise; `cancelled` is left out, since Python itself says so, and
kinds of events (`enrol`, `favourite`) are, which are words of data."""
SPELLED_BY_OTHERS = {
    "src/metarec/data/names/column_names.py": "names that columns have in the data of others",
    "src/metarec/data/sources/values/rating_aspects.py": "names of columns in data of others",
    "tests/data/test_own_tables.py": "names that columns have in the data of others",
    "tests/models/test_config.py": "a setting in British spelling is led to its name",
    "tests/test_words.py": "the search itself",
    "CHANGELOG.md": "words of data that are read in both spellings",
}
"""File -> why it may spell as the British do."""
TEXTS = [
    path
    for folder, ends in (
        ("src/metarec/app/page", ("js", "html", "css")),
        ("src/metarec/evaluation/templates", ("html",)),
        ("src/metarec/data/domains", ("toml",)),
        ("docs", ("md",)),
    )
    for end in ends
    for path in sorted((ROOT / folder).rglob(f"*.{end}"))
    if "experiments" not in path.parts
]
TEXTS += [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "tests" / "golden" / "cli_help.txt"]


def words_of(name: str) -> list[str]:
    """`_KnownUsers` and `known_users` -> known, users."""
    return [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def found_in_code(text: str) -> list[str]:
    """Retired words in names, and in comments and texts of a Python file."""
    found = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME:
            said = [word for word in words_of(token.string) if word in IN_NAMES]
        elif token.type in (tokenize.STRING, tokenize.COMMENT):
            said = found_in_text(token.string)
        else:
            continue
        found += [f"line {token.start[0]}: {word}" for word in said]
    return found


def found_in_text(text: str) -> list[str]:
    return [word for word in re.findall(r"[a-z]+", text.lower()) if word in ANYWHERE]


def test_the_search_finds_what_it_is_for():
    assert found_in_code("NewcomerSplit = 1\n") == ["line 1: newcomer"]
    assert found_in_code("def the_judge(): ...\n") == ["line 1: judge"]
    assert found_in_code("x = 'A person rates'  # strangers\n") == [
        "line 1: person",
        "line 1: strangers",
    ]
    assert found_in_text("Two people, judged.") == ["people", "judged"]
    assert not found_in_code("personal = judgment = 1  # no regard to case, people_s\n"[:40])


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "src").rglob("*.py")),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_code_uses_the_words_of_the_glossary(path: Path):
    if str(path.relative_to(ROOT)) not in EXCEPTIONS:
        assert not found_in_code(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_users_read_uses_the_words_of_the_glossary(path: Path):
    if str(path.relative_to(ROOT)) not in EXCEPTIONS:
        assert not found_in_text(path.read_text(encoding="utf-8"))


def test_every_exception_is_needed():
    for name in SPELLED_BY_OTHERS:
        assert BRITISH.search((ROOT / name).read_text(encoding="utf-8")), name
    for name in EXCEPTIONS:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert found_in_code(text) if name.endswith(".py") else found_in_text(text), name


def test_the_search_finds_british_spelling_in_words_and_names():
    british = "BehaviourOf neighbours_of Centre kilometres optimiser unfulfilment licence labelled"
    assert len(BRITISH.findall(british)) == 8
    american = "fulfilled, a precise promise; aria-labelledby, favourite, symmetre, reorganised"
    assert [found[0] for found in BRITISH.finditer(american)] == ["organise"]


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks", "examples", "docs", "."])
def test_spelling_is_american(folder: str):
    ends = {".py", ".md", ".js", ".css", ".html", ".toml", ".txt", ".ipynb", ".json"}
    paths = (ROOT / folder).iterdir() if folder == "." else (ROOT / folder).rglob("*")
    where: dict[str, str] = {}  # each word once, which is quick
    for path in (path for path in paths if path.suffix in ends):
        name = path.relative_to(ROOT).as_posix()
        if name not in SPELLED_BY_OTHERS and ".egg-info" not in name:  # which may be old
            text = f"{path.stem} {path.read_text(encoding='utf-8')}"
            where |= dict.fromkeys(re.findall(r"[a-z]{4,}", text.lower()), name)
    assert not {word: name for word, name in where.items() if BRITISH.search(word)}


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks", "examples"])
def test_files_and_tests_are_named_in_the_words_of_the_glossary(folder: str):
    for path in (ROOT / folder).rglob("*.py"):
        if path.stem == "newcomer_adapter":  # the protocol that it is for is called newcomer
            continue
        names = [path.stem, *re.findall(r"^\s*def (test_\w+)", path.read_text("utf-8"), re.M)]
        for name in names:
            retired = [word for word in words_of(name) if word in ANYWHERE]
            assert not retired, f"{path.relative_to(ROOT)}: {name}"

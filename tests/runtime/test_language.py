"""What is said in another language: matched as a whole, holes as they are, English where no table
has it; and the tables have all that the source says.
"""

from __future__ import annotations

import re
import time
import tomllib
from functools import cache
from pathlib import Path

import pytest

from messages import headings, raised, said, sources, templates
from metarec.app.commands.live import _receipt
from metarec.data.findings import Finding
from metarec.explanation.words import AGAINST, PARTS, sentences
from metarec.feedback.forgetting import NOT_IN_MODEL, ForgetReceipt, _in_services
from metarec.feedback.forgotten_places import (
    Place,
    elsewhere,
    encodings,
    in_data,
    unfinished_fit,
)
from metarec.runtime import language
from metarec.runtime.language import (
    ERRORS,
    HELP,
    OUTPUT,
    SAID,
    WORDS,
    UnknownLanguage,
    accepted,
    language_of,
    translated,
    translated_answer,
    translated_lines,
    translated_page,
)

SOURCE = Path(language.__file__).parent.parent
AREAS = (ERRORS, SAID, OUTPUT, WORDS, HELP)
SPOKEN = """
    recommendation/stages/annotate recommendation/stages/nearby
    recommendation/notes recommendation/policy/policy
    recommendation/fitting/plan recommendation/queries/unwanted explanation/context_facts
    explanation/field_facts explanation/reasons explanation/words
    app/service/security/authentication app/service/security/browser_security
    app/service/conversion/explanations app/service/routes/slate_answers
    data/cleaning/bots data/cleaning/clean data/merged_users data/places data/policies
    data/cleaning/rules data/tables data/events/validity data/events/rows data/events/times
    data/sources/text/delimited data/sources/text/encoding data/sources/values/cell_types
    data/sources/files/single_file data/sources/canonical_tables data/sources/columns/id_joins
    data/sources/rows/id_lists data/sources/values/missing_codes data/sources/values/time_columns
    data/sources/values/time_choice
    data/sources/files/file_roles data/sources/columns/item_and_user_columns
    data/sources/columns/inconsistent_item_columns data/sources/files/joined_files
    data/sources/text/header_lines
    evaluation/measure features/usage feedback/forgetting feedback/merging
""".split()
"""Modules of which every sentence is in the tables; those that print and are not here speak English
in part.
"""
NO_SENTENCES = {"not available", "sold out", "out of stock", "not in stock"} | {
    "slates are made without the store"
}
"""What cells of a table, and a log, say; not what is said to users."""


@cache
def table(area: str) -> dict[str, str]:
    return tomllib.loads((language.TABLES / "zh" / f"{area}.toml").read_text("utf-8"))


def test_every_error_has_its_chinese():
    missing = {
        (module, text)
        for module, source in sources(SOURCE)
        for text in raised(source) - table(ERRORS).keys()
    }
    assert not missing, "add them to translations/zh/errors.toml"


def test_every_reason_and_note_has_its_chinese():
    known = "\n".join(text for area in AREAS for text in table(area))
    missing = {
        (module, text)
        for module in SPOKEN
        for text in said((SOURCE / f"{module}.py").read_text()) - NO_SENTENCES
        if text.removeprefix("{} ") not in known  # as a whole, or as a part of a longer one
    }
    assert not missing, "add them to translations/zh/said.toml, parts of sentences to words.toml"


def test_every_heading_of_a_page_has_its_chinese():
    known = table(OUTPUT).keys() | table(SAID).keys()
    missing = {
        (module, text) for module, source in sources(SOURCE) for text in headings(source) - known
    }
    assert not missing, "add them to translations/zh/output.toml"


def test_what_domains_say_has_its_chinese():
    known = {text for area in (SAID, OUTPUT) for text in table(area)}
    missing = set()
    for path in sorted((SOURCE / "data" / "domains").glob("*.toml")):
        pack = tomllib.loads(path.read_text("utf-8"))
        texts = [one["why"] for one in pack.get("policy", {}).get("exclusions", [])]
        texts += [one["text"] for one in pack.get("says", [])]
        texts += [pack["about"], pack["metric"]["why"], pack["example"]["shows"]]
        texts += [pack.get("notice"), pack.get("policy", {}).get("notice")]
        missing |= {re.sub(r"\{\w+\}", "{}", text) for text in texts if text} - known
    assert not missing


def test_the_report_of_an_evaluation_has_its_chinese():
    template = (SOURCE / "evaluation" / "templates" / "evaluation.html").read_text("utf-8")
    body = re.sub(r"\{%.*?%\}", "", template)
    texts = re.findall(r">([^<>]+)<", re.sub(r"\{\{.*?\}\}", "{}", body))
    whole = [text for text in texts if "}{" not in text and "){" not in text]  # no loops in them
    sentences = {" ".join(text.split()) for text in whole if len(re.findall("[a-z]+", text)) > 2}
    assert len(sentences) > 15
    assert not sentences - table(OUTPUT).keys()


@pytest.mark.parametrize("area", AREAS)
def test_a_translation_fills_every_hole_and_no_other(area):
    for english, chinese in table(area).items():
        filled = {int(number) for number in re.findall(r"\{(\d+)\*?\}", chinese)}
        assert filled == set(range(1, english.count("{}") + 1)), english


def test_holes_are_taken_over_as_they_are():
    title = "although you like it, got because {} $1 \\1"
    assert translated(f"because you liked {title}", "zh", SAID) == f"因为你喜欢“{title}”"
    told = translated("k must be 1 or more, got 0", "zh", ERRORS)
    assert told == "k 必须不小于 1，实际为 0"


def test_what_no_table_has_stays_english():
    assert translated("it flew past the moon", "zh", SAID) == "it flew past the moon"
    assert translated("k must be 1 or more, got 0", "en", ERRORS).startswith("k must")


def test_parts_of_sentences_are_no_sentences():
    """A title that is also a known word stays as it is."""
    assert translated("read Dune", "zh", SAID, OUTPUT) == "read Dune"
    assert translated_answer({"title": "many users like it"}, "zh")["title"][0] == "m"
    sent = {"attributes": {"reason": "because many users like it"}}
    assert translated_answer(sent, "zh") == sent


def test_answers_are_walked_to_the_sentences():
    answer = {"items": [{"item_id": "because", "reasons": ["because many users like it"]}], "n": 1}
    told = translated_answer(answer, "zh")
    assert told["items"][0] == {"item_id": "because", "reasons": ["因为很多用户喜欢它"]}
    assert told["n"] == 1


def test_lines_keep_their_indentation():
    text = "  - it was seen before\n\n1. Dune"
    told = translated_lines("  it was seen before\n\n1. Dune", "zh", SAID)
    assert told == "  以前看过\n\n1. Dune"
    assert translated_lines(text, "en", SAID) == text


def test_titles_of_a_slate_stay_and_columns_stay_under_each_other():
    slate = "   title    score  id\n1  text     1.00   users\n"
    told = translated_lines(slate, "zh", OUTPUT)
    assert told == "   名称     分数   id\n1  text     1.00   users\n"


def test_what_wraps_a_sentence_is_taken_off_first():
    note = "note: not wanted: 'gore'; 2 items that name it come after all others"
    told = translated_lines(note, "zh", OUTPUT, SAID)
    expected = "有 2 个物品提到它，排在所有其他物品之后"
    assert told == f"提示：不想要：'gore'；{expected}"
    told = translated("body.k: must be a number, got null (and 2 more)", "zh", ERRORS)
    assert told == "body.k：必须是数字，实际为null（另有 2 处错误）"


def test_a_page_says_its_language_and_keeps_what_is_no_sentence():
    page = '<html lang="en"><style>p>a{}</style><p>it was seen before</p><pre>>not<</pre>'
    told = translated_page(page, "zh")
    assert told == '<html lang="zh"><style>p>a{}</style><p>以前看过</p><pre>>not<</pre>'
    assert translated_page(page, "en") == page


def test_a_sentence_of_a_page_may_go_over_lines():
    page = "<p>Nothing of\nthis\nit was seen before</p><p>it was\n   seen before</p>"
    told = translated_page(page, "zh")
    assert told == "<p>Nothing of\nthis\n以前看过</p><p>以前看过</p>"


def test_a_page_escapes_what_it_says():
    page = "<p>because you liked &lt;b&gt; &amp; c</p>"
    assert translated_page(page, "zh") == "<p>因为你喜欢“&lt;b&gt; &amp; c”</p>"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-US,en;q=0.9,zh;q=0.8", "en"),
        ("fr, zh;q=0.2", "zh"),
        ("zh;q=0, en;q=0.1", "en"),
        ("fr", "en"),
        ("", "en"),
        ("zh;q=much", "en"),
        ("," * 10_000 + "zh", "en"),
    ],
)
def test_the_header_names_the_language(header, language):
    assert accepted(header, "en") == language


def test_the_default_counts_where_the_header_names_none_of_ours():
    assert accepted("fr,de;q=0.5", "zh") == "zh"


@pytest.mark.parametrize("name", ["zh", "zh-CN", "zh_CN.UTF-8", "ZH"])
def test_names_of_a_language(name):
    assert language_of(name) == "zh"


@pytest.mark.parametrize("name", ["", "C", "POSIX", "C.UTF-8", "en_US.UTF-8"])
def test_names_of_english(name):
    assert language_of(name) == "en"


def test_an_unknown_language_is_refused():
    with pytest.raises(UnknownLanguage, match="METAREC_LANG must be one of en, zh, got 'fr'"):
        language_of("fr")


@pytest.mark.parametrize("text", ["{}: got , ; " * 300, "a" * 3_999, "because " * 450])
def test_hostile_texts_cost_little(text):
    started = time.process_time()
    translated(text, "zh", *AREAS)
    assert time.process_time() - started < 1.0


def test_templates_of_expressions():
    import ast

    def of(code: str) -> list[str]:
        return templates(ast.parse(code, mode="eval").body)

    assert of("f'a {b} c{d}{e}'") == ["a {} c{}"]
    assert of('f\'a{"s" if b else ""}\'') == ["as", "a"]
    assert of("'a' + b + 'c'") == ["a{}c"]
    assert of("x(1)") == []


@pytest.mark.parametrize("joint", ["because", "although"])
@pytest.mark.parametrize(
    ("clause", "chinese"),
    [
        ("it is near", "它离你近"),
        ("it is 16 km from you", "它离你 16 公里"),
        ("it is less than a km from your home", "它离你家不到 1 公里"),
        ("it is 306 km from the last place you chose", "它离你最近选择的地方 306 公里"),
        ("it is action, romance", "它属于 action, romance"),
    ],
)
def test_a_clause_of_its_own_is_no_category(joint, clause, chinese):
    begun = {"because": "因为", "although": "尽管"}[joint]
    assert translated(f"{joint} {clause}", "zh", SAID, OUTPUT) == begun + chinese


def test_a_verdict_with_a_warning_is_chinese_as_a_whole():
    """Two templates fit: of the first, what is to be translated cannot be."""
    verdict = (
        "Not worth it here: at 1 known item a simple baseline is better (iALS: -0.251 NDCG@10 "
        "[-0.441, -0.048] at 1). Only 10 users were evaluated, which shows large differences at "
        "best."
    )
    said = translated(verdict, "zh", SAID, OUTPUT)
    assert re.findall("[A-Za-z@]{2,}", said) == ["iALS", "NDCG@"]
    assert said.startswith("在这里不值得：在已知 1 个物品时有更好的简单基线")


def test_a_receipt_of_forgetting_is_chinese_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.setenv("METAREC_HOME", str(tmp_path))
    (tmp_path / "cache" / "encodings").mkdir(parents=True)
    (tmp_path / ".m.steps").mkdir()
    receipt = ForgetReceipt(
        receipt_id="12",
        timestamp=0.0,
        rows_deleted={"events": 9, "slates": 0, "users": 1, "friends": 0, "exposures": 0},
        bytes_erased=True,
        in_model=NOT_IN_MODEL,
        digests=["0" * 64],
        places=[
            Place(place="event store, table events", removed=9),
            Place(place="event store, table slates"),
            Place(place="event store, bytes of deleted rows"),
            Place(place="model version 29d726979bb7, training tables", removed=10),
            in_data(None, {"u1"}),
            _in_services(),
            *unfinished_fit(tmp_path / "m"),
            *encodings(),
            *elsewhere(),
        ],
    )
    said = translated_lines(_receipt(receipt), "zh", OUTPUT, SAID)
    paths = f"{re.escape(str(tmp_path))}/(cache/encodings|.m.steps)"
    names = rf"{paths}|29d726979bb7|metarec|events|slates|`data`|--out|id"
    assert re.findall("[A-Za-z]{2,}", re.sub(names, "", said)) == []
    assert not re.search("[:;,] ", said)


def test_what_speaks_for_or_against_in_these_circumstances_is_whole():
    facts = {"context": "of how it is chosen at mood tea"}
    spoken = [sentences([], [], {"context": effect}, facts=facts)[0] for effect in (1.0, -1.0)]
    assert spoken == [
        "because of how it is chosen at mood tea",
        "in spite of how it is chosen at mood tea",
    ]
    assert [translated(one, "zh", SAID, OUTPUT) for one in spoken] == [
        "因为在 mood tea 时它常被选择",
        "尽管在 mood tea 时它较少被选择",
    ]


@pytest.mark.parametrize(("joint", "phrases"), [("because", PARTS), ("although", AGAINST)])
def test_what_a_part_says_is_chinese_as_a_whole(joint, phrases):
    told = {
        one: translated(f"{joint} {one}", "zh", SAID, OUTPUT, WORDS) for one in phrases.values()
    }
    assert [one for one, said in told.items() if re.search("[a-z]", said)] == []


SAYS_NO = "表明这些行为后来被撤回：它们表示不喜欢"


@pytest.mark.parametrize(
    ("finding", "chinese"),
    [
        (
            Finding(
                rule="columns",
                rows=0,
                action="noted",
                why="column 'class_name' of gym.csv was read as item_id",
            ),
            "columns：gym.csv 的列 'class_name' 被读作 item_id",
        ),
        (
            Finding(
                rule="kinds",
                rows=20,
                action="noted",
                why="'Storno' of pos.csv says that these events were refused afterwards: they say "
                "no",
            ),
            f"kinds：记录 20 行：pos.csv 的 'Storno' {SAYS_NO}",
        ),
    ],
)
def test_a_finding_is_chinese_behind_the_name_of_its_rule(finding, chinese):
    """Sentences of `x of y: z` and their like matched the rule and its finding as one."""
    assert translated(finding.line(), "zh", OUTPUT, SAID) == chinese

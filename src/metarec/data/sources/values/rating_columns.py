"""Find ratings by the names and cells of columns: grades (`A+` to `F`, `优秀`, numbers), words
(`excellent`), and the user's own rating among several.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import polars as pl

from metarec.data.cells.parsing import as_numbers, nothing
from metarec.data.cells.truth import as_truth
from metarec.data.cells.units import measured
from metarec.data.findings import Finding, noted
from metarec.data.names.column_matching import is_amount, spoken
from metarec.data.names.column_names import CANONICAL, RATED_BY_OTHERS, plain
from metarec.data.names.languages import is_best_lowest, is_mark, names_in_languages, ratings_in
from metarec.data.sources.columns.item_and_user_columns import is_of_one
from metarec.data.sources.values.rating_words import (
    any_says_how_much,
    has_rating_words,
    points_of_words,
)

NAMES = frozenset(
    "grade finalgrade lettergrade coursegrade gradepoint mark marks finalmark coursemark "
    "成绩 总成绩 期末成绩 课程成绩 考试成绩 考核成绩 总评 总评成绩 得分 分数 评级 等级".split()
)
"""Names of columns of grades, as `plain` returns them."""
RATED = re.compile(
    r"(rating|ratings|stars|satisfaction|overall|ratingvalue|ratingscore|reviewscore|nps|npsscore"
    r"|csat|评分|打分|星级|评价|满意度|推荐意愿|推荐度"
    r"|評分|星級|評價|滿意度|推薦度|likelihoodtorecommend)$"
    r"|(star|thumb)s?value$|^(my|your|user|own|personal)(score|mark|vote)$"
)
"""Pattern of names of ratings, as `plain` returns them."""
ON_A_SCALE = re.compile(
    r"[(（\[]\D{0,12}[01]\s*(-|–|—|~|=|to\b|bis\b|à|到|至).*\b(5|6|7|10|100)\b", re.IGNORECASE
)
"""Pattern of names with a scale in brackets: `Taste (1-5)`, `Answer (1 = never, 5 = always)`."""
OF_OTHERS = re.compile(
    r"^(avg|average|mean|num|count|total|max|min|age|parental)|^平均|content"
    rf"|^({'|'.join(RATED_BY_OTHERS)})"
    r"|pain(?!t)|severity|fatigue|anxiety|stress|nausea|symptom|exertion|^rpe|difficulty|risk"
    r"|schmerz|douleur|dolor$|疼|焦虑|压力|难度|风险"
)
"""Pattern of names of ratings that are not a user's preference for an item."""
OF_MEASURES = re.compile(r"(unit|units|uom|unitofmeasure|unitofmeasurement|计量单位|单位)$")
"""Pattern of names of columns of units, as `plain` returns them."""
OWN = re.compile(r"^(my|your|user|customer|reviewer|own|overall|总|综合|我的|用户)")
"""Pattern of names of the user's own rating."""
LETTERS = {
    **{"A+": 4.3, "A": 4.0, "A-": 3.7, "B+": 3.3, "B": 3.0, "B-": 2.7, "C+": 2.3, "C": 2.0},
    **{"C-": 1.7, "D+": 1.3, "D": 1.0, "D-": 0.7, "E": 0.7, "FX": 0.3, "F": 0.0},
}
"""Letter grade -> grade points; E and FX are the lowest pass and the narrow fail of ECTS."""
WORDS = {
    **dict.fromkeys(("优秀", "优", "优等"), 4.0),
    **dict.fromkeys(("良好", "良"), 3.0),
    **dict.fromkeys(("中等", "中"), 2.0),
    **dict.fromkeys(("及格", "合格", "通过"), 1.0),
    **dict.fromkeys(("不及格", "不合格", "未通过"), 0.0),
}
"""Grade in words -> grade points."""
MAX_POINTS = 150
"""Maximum grade; larger numbers are those of orders (`nota` in Spanish)."""
MAX_WITHIN, MIN_FREE = 0.2, 10
"""Maximum share of a column's variance that is within users (or items) for it to describe them,
such as the class of a pupil, which changes each year; and the minimum number of events beyond one
per user (or item) for this check.
"""
MAX_WORDS = 12
"""Maximum number of distinct words in a column with a name for ratings for a finding on it."""
MAX_NO_MARKS, MIN_NUMBERS = 2, 3
"""Maximum number of distinct words for no grade, and minimum number of distinct numbers beside
them.
"""
NO_MARK = frozenset(
    "W WD WF I IP INC P NP PASS FAIL S U CR NC AU NG 缺考 缓考 免修 免考 旷考 作弊 退课".split()
)
"""Cells in place of a grade, in upper case."""
WITHDRAWN = ("W", "WD", "退课")
"""Those of them that state a withdrawal from a course."""


def with_grades(
    frame: pl.DataFrame,
    place: str,
    file_columns: Sequence[str],
    context: Sequence[str] = (),
    mapped: Collection[str] = (),
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set `value` to the ratings or grades in other columns, as `_graded` does. A `value` that is
    measured in a unit is renamed to `measured`. Return events and findings.

    Args:
        file_columns: names of the columns in the file.
        context: names of context columns given by the user.
        mapped: canonical names whose columns were given by the user.
    """
    if "value" not in mapped and (unit := _unit_of(frame, file_columns)) is not None:
        why = f"values of {place} are measured in what {unit!r} says, and are no ratings"
        return frame.rename({"value": "measured"}), [noted("columns", why)]
    return _graded(frame, place, file_columns, context)


def _graded(
    frame: pl.DataFrame, place: str, file_columns: Sequence[str], context: Sequence[str]
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set `value` to the only column with a name for grades or ratings, also in other languages;
    letters and words become grade points. A column that describes users or items, such as the grade
    of a pupil, is left. Return events and findings.
    """
    language = spoken(file_columns)
    called = ratings_in(language)
    if not any(map(is_amount, frame.columns)):  # what is bought has grades of its own
        called |= NAMES
    called |= {plain(c) for c in frame.columns if is_mark(c) and _are_german(frame[c])}
    reserved = {*CANONICAL["interactions"], *context}
    named = [c for c in frame.columns if _without_best(c) in called and c not in reserved]
    named = [c for c in named if _is_rated(frame[c])] or _called_ratings(frame, reserved)
    rated = ["value"] if "value" in frame.columns else named or _surely_rated(frame, reserved)
    if len(rated) != 1 or frame[rated[0]].dtype.is_nested():
        return frame, _undecided(rated, place) or _unknown_words(frame, called, reserved, place)
    (column,) = rated
    points, findings = _points(frame[column]), list[Finding]()
    if points is None and column == "value":
        return frame, []
    if is_best_lowest(column, language) or (column in named and _are_german(frame[column])):
        why = f"column {column!r} of {place} holds marks of which 1 is the best, and is no rating; "
        why += "write numbers of which higher are better (6 minus the mark) in a column rating"
        return frame, [noted("columns", why)]
    if column != "value":
        marks = points if points is not None else as_numbers(frame[column])
        read_as = frame.with_columns(marks.alias(column))
        if is_of_one(frame, column) or _varies_little(read_as, column):
            return frame, []
        findings.append(noted("columns", f"column {column!r} of {place} was read as value"))
    if points is not None:
        frame, marked = _with_points(frame, column, points, place)
        findings += marked
    return frame.rename({column: "value"}), findings


def _with_points(
    frame: pl.DataFrame, column: str, points: pl.Series, place: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set a column of grades to their points. Return events and findings on the cells read."""
    cells = frame[column].str.strip_chars()
    example, read = next((c, p) for c, p in zip(cells, points, strict=True) if p is not None)
    why = f"grades of {place} such as {example!r} were read as {read:.15g}"
    findings = [noted("columns", why)]
    unmarked = cells.filter(points.is_null() & nothing(cells).is_not_null()).unique().sort()
    if len(unmarked):
        listed = ", ".join(map(repr, unmarked.head(4)))
        why = f"grades of {place} that are no mark ({listed}) are read as no rating"
        findings.append(noted("columns", why))
    frame, withdrawn = _withdrawn(frame.with_columns(points.alias(column)), cells, place)
    return frame, [*findings, *withdrawn]


def _without_best(name: str) -> str:
    """Return a name as `plain` does, without the best mark behind it: `Grade/10.00`."""
    return plain(re.sub(r"\s*/\s*\d+([.,]\d+)?\s*$", "", name))


_GERMAN_MARKS = frozenset((1.0, 1.3, 1.7, 2.0, 2.3, 2.7, 3.0, 3.3, 3.7, 4.0, 4.3, 4.7, 5.0))


def _are_german(column: pl.Series) -> bool:
    """Whether marks are those of universities in Germany: thirds from 1.0, and 5.0 for a fail. The
    best grade point is 4.0 or 4.3 elsewhere.
    """
    if column.dtype.is_nested():
        return False
    used = {*as_numbers(column).drop_nulls().round(1).unique().to_list()}
    return used <= _GERMAN_MARKS and 5.0 in used and len(used & {1.3, 1.7, 2.3, 2.7, 3.3}) >= 2


def _unit_of(frame: pl.DataFrame, file_columns: Sequence[str]) -> str | None:
    """Return the column of units of values; None where `value` has another name in the file or no
    units.
    """
    is_plain = "value" in {plain(c) for c in file_columns} and "value" in frame.columns
    if not is_plain or "measured" in frame.columns:
        return None
    units = [c for c in frame.columns if OF_MEASURES.search(plain(c)) and c != "value"]
    units = [
        c for c in units if frame[c].dtype == pl.Utf8 and nothing(frame[c]).is_not_null().any()
    ]
    return units[0] if units else None


def _withdrawn(
    frame: pl.DataFrame, cells: pl.Series, place: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set the kind of events whose cell in place of a grade states a withdrawal, where no kind is
    stated.
    """
    left = cells.str.to_uppercase().is_in(WITHDRAWN).fill_null(False)
    if "kind" in frame.columns or not left.any():
        return frame, []
    events = pl.Series("kind", ["event"] * frame.height)
    frame = frame.with_columns(pl.Series("kind", ["withdraw"]).zip_with(left, events))
    why = (
        f"grades of {place} such as {cells.filter(left)[0]!r} say that users withdrew: they say no"
    )
    rows = int(left.sum())
    return frame, [Finding(rule="kinds", rows=rows, action="noted", why=why)]


def _called_ratings(frame: pl.DataFrame, reserved: Collection[str]) -> list[str]:
    """Return columns with names for ratings that hold ratings and vary within users and items; only
    the user's own one where exactly one name states so.
    """
    candidates = [c for c in frame.columns if RATED.search(plain(c)) or ON_A_SCALE.search(c)]
    candidates = [c for c in candidates if c not in reserved]
    candidates = [c for c in candidates if not OF_OTHERS.search(plain(c)) and _is_rated(frame[c])]
    varied = [c for c in candidates if not is_of_one(frame, c)]
    users_own = [c for c in varied if OWN.search(plain(c))]
    return users_own if len(users_own) == 1 else varied


def _surely_rated(frame: pl.DataFrame, reserved: Collection[str]) -> list[str]:
    """Return columns of ratings in words, whatever their names."""
    free = [c for c in frame.columns if c not in reserved and not frame.schema[c].is_nested()]
    worded = [c for c in free if has_rating_words(frame[c]) or _is_of_a_best(frame[c])]
    return [c for c in worded if not is_of_one(frame, c)]


def _is_of_a_best(column: pl.Series) -> bool:
    """Whether a column has a name for ratings in any language and says `4 sur 5` in every cell."""
    if column.dtype != pl.Utf8 or plain(column.name) not in names_in_languages("ratings"):
        return False
    measures = measured(column, is_rating=True)
    return measures is not None and measures[1] in (["5"], ["10"], ["20"], ["100"])


def _unknown_words(
    frame: pl.DataFrame, called: Collection[str], reserved: Collection[str], place: str
) -> list[Finding]:
    """Return findings on columns with names for ratings that hold a few unknown words."""
    findings = list[Finding]()
    for column in (c for c in frame.columns if c not in reserved and frame.schema[c] == pl.Utf8):
        name = plain(column)
        if not (RATED.search(name) or name in called) or OF_OTHERS.search(name):
            continue
        cells = nothing(frame[column]).drop_nulls()
        distinct = cells.unique().sort().to_list()
        if not 2 <= len(distinct) <= MAX_WORDS or 2 * len(distinct) > len(cells):
            continue
        if is_of_one(frame, column) or as_truth(frame[column]) is not None:
            continue
        listed = ", ".join(map(repr, distinct[:4])) + (", ..." if len(distinct) > 4 else "")
        findings.append(
            noted(
                "columns",
                f"column {column!r} of {place} is called like a rating, and it is not known how "
                f"much its words say ({listed}): it is kept as context; write numbers there",
            )
        )
    return findings


def _undecided(candidates: Sequence[str], place: str) -> list[Finding]:
    """Return a finding where several columns may be the rating."""
    if len(candidates) < 2:
        return []
    listed = ", ".join(map(repr, candidates))
    why = (
        f"columns {listed} of {place} may be ratings, and none of them is taken; say which in a "
        f"TOML file (columns = {{ value = {candidates[0]!r} }})"
    )
    return [noted("columns", why)]


def _points(column: pl.Series) -> pl.Series | None:
    """Return the grade points of letters and words, or numbers beside cells in place of a grade;
    None where some cell is anything else.
    """
    if column.dtype != pl.Utf8:
        return None
    if (rated := points_of_words(column)) is not None:
        return rated
    text = nothing(column).str.to_uppercase().str.replace_all("[－−–]", "-")
    points = text.replace_strict({**LETTERS, **WORDS}, default=None, return_dtype=pl.Float64)
    marked = text.filter(~text.is_in(list(NO_MARK)).fill_null(True))
    if len(marked) < len(text.drop_nulls()) and not points.is_not_null().any():
        points = as_numbers(text)
    is_read = int(points.is_not_null().sum()) == len(marked)
    if not is_read and not points.is_not_null().any() and column.name != "value":
        return _numbers_beside_words(text)
    return points if len(marked) and is_read else None


def _numbers_beside_words(text: pl.Series) -> pl.Series | None:
    """Return numbers beside a few words for none (`S/N`, `Sin nota`); None where words are more, or
    numbers fewer, than such.
    """
    numbers = as_numbers(text)
    words = text.filter(numbers.is_null()).drop_nulls()
    is_few = 0 < words.n_unique() <= MAX_NO_MARKS and len(words) < numbers.count()
    if not is_few or numbers.drop_nulls().n_unique() < MIN_NUMBERS:
        return None
    is_worded = bool(words.str.contains(r"^\pL[^\d]*$").all())
    return numbers if is_worded and not any_says_how_much(words) else None


def _is_rated(column: pl.Series) -> bool:
    """Whether a column holds at least two different grades or numbers, other than 0 and 1."""
    if column.dtype.is_nested() or column.dtype == pl.Boolean or nothing(column).n_unique() < 2:
        return False
    if column.dtype != pl.Utf8 and not column.dtype.is_numeric():
        return False
    numbers = as_numbers(column)
    if numbers.null_count() < len(column) and {*numbers.drop_nulls().unique()} <= {0.0, 1.0}:
        return False  # a mark that is there or not
    is_read = numbers.null_count() == nothing(column).null_count()
    if is_read:
        return bool(numbers.drop_nulls().is_between(0, MAX_POINTS).all())
    return _points(column) is not None or measured(column, is_rating=True) is not None


def _varies_little(frame: pl.DataFrame, column: str) -> bool:
    """Whether numbers vary little within the events of each user, or of each item."""
    for key in ("user_id", "item_id"):
        stated = frame.select(key, column).drop_nulls()
        free = stated.height - stated[key].n_unique()
        if free < MIN_FREE:
            continue
        within = (stated[column] - stated.select(pl.col(column).mean().over(key)).to_series()) ** 2
        if float(within.sum()) / free < MAX_WITHIN * float(str(stated[column].var())):
            return True
    return False

"""Find the rating among columns of aspects (quality, value and price of a purchase), or take their
mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from metarec.data.cells.parsing import as_numbers, nothing
from metarec.data.findings import Finding
from metarec.data.names.column_matching import AS_GIVEN
from metarec.data.names.column_names import CANONICAL, plain
from metarec.data.sources.columns.item_and_user_columns import is_of_one

ASPECTS = frozenset(
    "value quality price cleanliness location staff service food comfort ambience ambiance "
    "atmosphere facilities wifi room rooms sleepquality communication accuracy delivery packaging "
    "shipping design features performance taste texture aroma appearance palate smell flavour "
    "flavor valueformoney easeofuse usability support effectiveness helpfulness clarity instructor "
    "content materials pace teaching "
    "描述相符 物流服务 服务态度 口味 环境 服务 卫生 位置 设施 "
    "性价比 质量 商品质量 物流 包装 态度 教学质量 内容 专业性".split()
)
"""Names of columns of aspects, as `plain` returns them."""
WHOLE = frozenset(
    [*"overall overallrating rating stars total totalscore".split(), "总体", "综合", "总评分"]
)
"""Names of columns of the overall rating beside them, as `plain` returns them."""
MIN_ASPECTS = 3
"""Minimum number of aspects without an overall rating; one fewer with one."""
MAX_STEPS, MAX_POINTS = 21, 10.0
"""Maximum number of distinct marks of an aspect, and the maximum highest mark."""


def with_aspects(
    frame: pl.DataFrame, place: str, context: Sequence[str]
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set `value` to the overall rating beside columns of aspects, or to the mean of the aspects
    without one. A column of an aspect that is named `value` is kept under another name. Return
    events and findings.

    Args:
        context: names of context columns given by the user.
    """
    reserved = {*CANONICAL["interactions"], *context} - {"value"}
    marks = {
        c: as_numbers(frame[c]) for c in frame.columns if c not in reserved and _may_be(frame, c)
    }
    marks = {c: numbers for c, numbers in marks.items() if _are_marks(frame, c, numbers)}
    aspects = [c for c in marks if plain(c) in ASPECTS]
    overall = [c for c in marks if plain(c) in WHOLE]
    has_own = "value" in frame.columns and "value" not in aspects
    if len(aspects) < MIN_ASPECTS - len(overall) or len(overall) > 1 or has_own:
        return frame, []
    listed = ", ".join(map(repr, sorted(aspects)))
    if overall:
        value = marks[overall[0]]
        why = f"{overall[0]!r} of {place} is the rating; {listed} are of aspects of it"
    else:
        mean = pl.mean_horizontal([pl.col(c) for c in aspects]).alias("value")
        value = pl.DataFrame([marks[c].alias(c) for c in aspects]).select(mean).to_series()
        why = (
            f"{listed} of {place} rate aspects, and none says the whole: their mean is the rating; "
            f"if one does, say so in a TOML file (columns = {{ value = {aspects[0]!r} }})"
        )
    frame = frame.drop(overall).rename({"value": f"value{AS_GIVEN}"}, strict=False)
    note = Finding(rule="columns", rows=0, action="noted", why=why)
    return frame.with_columns(value.alias("value")), [note]


def _may_be(frame: pl.DataFrame, column: str) -> bool:
    """Whether a column has a name for an aspect or an overall rating and no nested or Boolean
    cells.
    """
    is_plain = not frame.schema[column].is_nested() and frame.schema[column] != pl.Boolean
    return is_plain and plain(column) in (*ASPECTS, *WHOLE)


def _are_marks(frame: pl.DataFrame, column: str, numbers: pl.Series) -> bool:
    """Whether all stated cells are marks on a scale (whole or half numbers from 0, at least three
    distinct, the highest from 3 to `MAX_POINTS`), and the column does not describe items or users.
    """
    stated = numbers.drop_nulls()
    if len(stated) < nothing(frame[column]).is_not_null().sum() or stated.n_unique() < 3:
        return False
    is_scale = bool((stated * 2 == (stated * 2).round()).all()) and stated.n_unique() <= MAX_STEPS
    lowest, highest = float(stated.min()), float(stated.max())  # type: ignore[arg-type]  # numbers
    return is_scale and lowest >= 0 and 3 <= highest <= MAX_POINTS and not is_of_one(frame, column)

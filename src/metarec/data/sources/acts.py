"""What acts were, where a table says it in another way than by a column `kind`: a column of other
name whose cells are kinds, or columns such as `click` and `purchase` that say yes or no.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from metarec.data.columns import CANONICAL
from metarec.data.findings import Finding
from metarec.data.kind_names import plain_kind
from metarec.data.kinds import Kinds
from metarec.data.parsing import as_numbers, as_truth, nothing

MAX_KINDS = 20
"""Kinds of a column that is taken for one of kinds, at most."""
FLAGS = frozenset(
    "click like dislike purchase buy follow share comment hide favorite favourite save cart "
    "addtocart bookmark skip upvote downvote subscribe complete".split()
)
"""Kinds that a column of yes and no may be called by; others, such as `sale`, may say something of
the item or the moment.
"""
SHOWN = "impression"
"""What a row is in which every such column says no."""


def with_kind(
    frame: pl.DataFrame, kinds: Kinds, place: str, context: Sequence[str] = ()
) -> tuple[pl.DataFrame, list[Finding]]:
    """Give events without a `kind` one where other columns say it.

    Args:
        context: columns that are circumstances, as the user says.
    """
    free = [c for c in frame.columns if c not in (*CANONICAL["interactions"], *context)]
    flags = _flags(frame, free, kinds) if "value" not in frame.columns else {}
    if flags:
        return _by_flags(frame, flags, kinds, place)
    found = {c: names for c in free if (names := _kinds_in(frame[c], kinds))}
    refusing = [c for c, names in found.items() if _are_acts(names, kinds)]
    if len(refusing) == 1:
        (column,) = refusing
        why = f"column {column!r} of {place} was read as kind: it says {_listed(found[column])}"
        return frame.rename({column: "kind"}), [_noted(why)]
    return frame, [
        _noted(
            f"column {column!r} of {place} says {_listed(names)} and is kept as context; if it is "
            f"what was done, say so in a TOML file ([columns] kind = {column!r})"
        )
        for column, names in found.items()
    ]


def _flags(frame: pl.DataFrame, free: Sequence[str], kinds: Kinds) -> dict[str, pl.Series]:
    """Columns that say yes or no to a kind, by kind."""
    found = {}
    for column in free:
        name = plain_kind(column)
        for start in ("is", "has", "did"):
            name = name.removeprefix(start) if not kinds.known(name) else name
        key = kinds.key(name)
        if key in FLAGS and (truth := _truth(frame[column])) is not None:
            found[key] = truth.alias(column)
    varied = any(truth.drop_nulls().n_unique() == 2 for truth in found.values())
    return found if varied else {}


def _truth(column: pl.Series) -> pl.Series | None:
    """Yes and no as booleans; None where a column says anything else."""
    if column.dtype == pl.Boolean:
        return column
    if column.dtype == pl.Utf8 and (said := as_truth(column)) is not None:
        return said
    numbers = as_numbers(column)
    is_read = numbers.null_count() == nothing(column).null_count()
    return numbers == 1 if is_read and set(numbers.drop_nulls().unique()) <= {0.0, 1.0} else None


def _by_flags(
    frame: pl.DataFrame, flags: dict[str, pl.Series], kinds: Kinds, place: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """The strongest kind that a row says yes to."""
    kind = pl.Series("kind", [SHOWN] * frame.height)
    for name in sorted(flags, key=lambda name: kinds.of(name).strength):
        kind = pl.Series("kind", [name]).zip_with(flags[name].fill_null(False), kind)
    shown = int((kind == SHOWN).sum())
    why = (
        f"columns of {place} say what was done ({', '.join(flags)}): the strongest of them is the "
        f"kind of a row, and rows without any are of kind {SHOWN!r}"
    )
    answers = [truth.name for truth in flags.values()]  # what came of a moment is not of it
    note = Finding(rule="kinds", rows=shown, action="noted", why=why)
    return frame.drop(answers).with_columns(kind), [note]


def _kinds_in(column: pl.Series, kinds: Kinds) -> list[str]:
    """The names in a column's cells; none where fewer than half of them are kinds, or all are the
    same.
    """
    if column.dtype not in (pl.Utf8, pl.Categorical):
        return []
    names = nothing(column.cast(pl.Utf8)).drop_nulls().unique().sort().to_list()
    if not 2 <= len(names) <= MAX_KINDS:
        return []
    known = sum(kinds.known(name) for name in names)
    return names if known >= 2 and known >= len(names) / 2 else []


def _are_acts(names: Sequence[str], kinds: Kinds) -> bool:
    """Whether all are kinds, and events of one of them would else be taken for the contrary of
    what they are.
    """
    return not kinds.unknown(names) and any(
        kinds.of(name).sign in ("negative", "undo", "neutral") for name in names
    )


def _noted(why: str) -> Finding:
    return Finding(rule="kinds", rows=0, action="noted", why=why)


def _listed(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(map(repr, names[:most])) + (", ..." if len(names) > most else "")

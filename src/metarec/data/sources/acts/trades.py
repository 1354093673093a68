"""Read purchases and sales from a column of sides of trades: `buy` and `sell`, by words or
letters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from metarec.data.cells.parsing import nothing
from metarec.data.findings import Finding
from metarec.data.names.column_names import plain
from metarec.data.sources.columns.item_and_user_columns import is_of_one

SIDES = re.compile(
    r"(side|direction|buysell|buyorsell|^bs|^kind|^type|"
    r"(trade|order|transaction|trans|deal)(type|action|code)|"
    r"方向|买卖|买卖标志|买卖类型|委托类型"
    r"|opération|operación|operação|operazione|vorgang|richtung|sens|sentido|geschäftsart"
    r"|transaktionsart|売買|売買区分)$"
)
"""Pattern of names of columns of sides of trades, as `plain` returns them."""
TRADED = {
    **dict.fromkeys(("b", "bot", "bto", "btc", "买", "买进", "证券买入"), "buy"),
    **dict.fromkeys(("s", "sld", "sto", "stc", "卖", "卖掉", "证券卖出"), "sell"),
    **dict.fromkeys(("buy", "bought", "买入"), "buy"),
    **dict.fromkeys(("sell", "sold", "卖出"), "sell"),
    **dict.fromkeys("achat kauf compra acquisto 買 買付".split(), "buy"),
    **dict.fromkeys("vente verkauf venta venda vendita 売 売却".split(), "sell"),
}
"""Value of such a column in lower case -> kind."""
_BETS = {"long": "buy", "short": "sellshort"}
"""Direction of a position -> kind; short is a sale before a purchase."""
_KNOWN = frozenset("buy bought sell sold 买入 卖出".split())
"""Values that are names of kinds themselves."""
_HELD = re.compile(r"(side|direction|positiontype|方向)$")


def by_side(
    frame: pl.DataFrame, place: str, context: Sequence[str]
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set kinds to purchases and sales by a column of words or letters (`B` and `S`); its other
    values stay unchanged. Return the events and findings.
    """
    side_columns = [c for c in frame.columns if c not in context and SIDES.search(plain(c))]
    side_columns = [c for c in side_columns if c == "kind" or "kind" not in frame.columns]
    for column in (c for c in side_columns if frame[c].dtype == pl.Utf8):
        words = nothing(frame[column]).str.to_lowercase()
        words_used = {*words.drop_nulls().unique()}
        meant = _BETS if words_used == {*_BETS} and _HELD.search(plain(column)) else TRADED
        if column != "kind" and is_of_one(frame, column):
            continue
        named = {word for word in words_used if word in meant}
        named = (
            named if words_used == named else {w for w in named if len(w) > 2 or not w.isascii()}
        )
        named = named if words_used == named or column != "kind" else named - _KNOWN
        word_by_kind = {meant[word]: word for word in sorted(named)}
        if len(word_by_kind) < 2:
            continue
        kind = words.replace(meant).alias("kind")
        kind = kind.zip_with(words.is_in([*named]).fill_null(False), frame[column].cast(pl.Utf8))
        sale = next(k for k in word_by_kind if k != "buy")
        example = frame[column].filter((words == word_by_kind[sale]).fill_null(False))[0]
        why = f"column {column!r} of {place} was read as who trades what: {example!r} is {sale!r}"
        rows = int((kind == sale).sum())
        note = Finding(rule="kinds", rows=rows, action="noted", why=why)
        return frame.drop(column).with_columns(kind.alias("kind")), [note]
    return frame, []


def is_trade(column: str, names: Sequence[str]) -> bool:
    """Whether a column has a name of sides of trades and holds both purchases and sales."""
    meant = {TRADED.get(name.strip().lower()) for name in names}
    return SIDES.search(plain(column)) is not None and {"buy", "sell"} <= meant

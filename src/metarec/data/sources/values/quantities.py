"""Set kinds and values by the quantities of purchases, returns and changes of a cart, which are no
ratings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import polars as pl

from metarec.data.cells.parsing import as_numbers
from metarec.data.findings import Finding
from metarec.data.kinds import Kinds
from metarec.data.names.column_matching import is_amount, is_sum
from metarec.data.names.column_names import plain

_BACK = re.compile(
    r"^(qty|quantity|units?)(refunded|returned|cancell?ed)$"
    r"|^(refunded|returned|cancell?ed)(qty|quantity|units?)$|^(退货|退款|取消)(数量|件数)$"
)
"""Pattern of names of returned quantities, as `plain` returns them."""
_BOUGHT = re.compile(r"^(qty|quantity|units?)(ordered|sold|bought|invoiced)?$|^购买(数量|件数)$")
"""Pattern of names of bought quantities, as `plain` returns them."""
MAX_NONE = 0.5
"""Maximum share of rows with a quantity of 0; above it the quantity means something else."""
_KINDS = {"refund": "refund", "return": "return", "cancel": "cancel"}
"""Beginning of the name of a returned quantity -> kind."""
_KINDS |= {"退货": "退货", "退款": "退款", "取消": "取消"}


def with_amounts(
    frame: pl.DataFrame, named: Mapping[str, str], place: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set `value` to the quantity where there is no other value and some quantities are negative,
    or are 0 in a table without kinds: such events are negative. Events with such values, or with a
    quantity as value, are of kind `purchase` where no kind is stated. Return events and findings.

    Args:
        named: canonical name -> column in the file.
    """
    amounts = [c for c in frame.columns if is_amount(c)] or _traded(frame)
    amount = next((c for c in amounts if as_numbers(frame[c]).is_not_null().any()), None)
    if "value" not in frame.columns and amount is not None:
        how_many = as_numbers(frame[amount])
        refused, none = int((how_many < 0).sum()), int((how_many == 0).sum())
        # Beside a kind, no quantity may be that of a view.
        if not refused and ("kind" in frame.columns or not 0 < none <= MAX_NONE * frame.height):
            return frame, []
        frame = frame.with_columns(pl.col(amount).alias("value"))
        why = f"{amount} of {place} is below 0 there: such purchases came back and say no"
        if not refused:
            why = f"{amount} of {place} is 0 there: of such nothing was bought, and they say no"
            refused = none
        findings = [Finding(rule="amounts", rows=refused, action="noted", why=why)]
    elif is_amount(named.get("value", "")):
        findings = []
    else:
        return frame, [] if "value" in frame.columns else _sums(frame, place)
    if "kind" in frame.columns:
        return frame, findings
    why = f"events of {place} are taken as of kind 'purchase', since they have a quantity"
    note = Finding(rule="kinds", rows=0, action="noted", why=why)
    return frame.with_columns(pl.lit("purchase").alias("kind")), [*findings, note]


_CHINESE_TRADED = "股数 份额 份数 成交数量".split()
_TRADED = frozenset([*"shares units contracts lots noofshares".split(), *_CHINESE_TRADED])
"""Names of columns of traded quantities, as `plain` returns them; of posts they may be counts."""


def _traded(frame: pl.DataFrame) -> list[str]:
    """Return columns of traded quantities, some of which are sales, below 0."""
    named = [c for c in frame.columns if plain(c) in _TRADED]
    return [c for c in named if (as_numbers(frame[c]) < 0).any()]


def with_returns(frame: pl.DataFrame, place: str) -> tuple[pl.DataFrame, list[Finding]]:
    """Set the kind of purchases that were returned in whole by a column such as `qty_refunded`.
    Purchases returned in part stay positive. Return events and findings.
    """
    findings = list[Finding]()
    for column in frame.columns:
        named = _BACK.search(plain(column))
        back = (as_numbers(frame[column]) > 0).fill_null(False) if named is not None else None
        if back is None or named is None or not back.any() or back.all():
            continue
        sold = next((c for c in frame.columns if _BOUGHT.search(plain(c))), None)
        bought = None if sold is None else as_numbers(frame[sold])
        in_part = (
            pl.Series([False] * frame.height)
            if bought is None
            else as_numbers(frame[column]) < bought
        )
        in_part = back & in_part.fill_null(False)  # the others were kept
        back = back & ~in_part
        kind = _KINDS[next(start for start in _KINDS if start in named[0])]
        stated_kinds = (
            frame["kind"] if "kind" in frame.columns else pl.Series(["purchase"] * frame.height)
        )
        kinds = pl.Series("kind", [kind]).zip_with(back, stated_kinds.cast(pl.Utf8))
        frame = frame.drop(column).with_columns(kinds.alias("kind"))
        why = f"{column} of {place} is above 0 there: such purchases came back and say no"
        if in_part.any():
            why += f"; in {int(in_part.sum()):,} rows it is less than {sold}, and they say yes"
        findings.append(Finding(rule="amounts", rows=int(back.sum()), action="noted", why=why))
    frame, of_sums = _with_refunds(frame, place)
    return frame, [*findings, *of_sums]


def _with_refunds(frame: pl.DataFrame, place: str) -> tuple[pl.DataFrame, list[Finding]]:
    """Set the kind of purchases whose whole price was refunded by a column such as `refund_amount`;
    without a column of prices, or where less was refunded, such rows are told and say yes.
    """
    column = next((c for c in frame.columns if _REFUNDED.search(plain(c))), None)
    refunded = None if column is None else as_numbers(frame[column])
    if column is None or refunded is None or "value" in frame.columns:
        return frame, []
    back = (refunded != 0).fill_null(False)
    if not back.any() or back.all():
        return frame, []
    sums = [c for c in frame.columns if c != column and (is_sum(c) or _PAID.search(plain(c)))]
    paid = [as_numbers(frame[c]) for c in sums]
    whole = pl.Series([False] * frame.height)
    for price in paid:
        whole |= (back & (refunded.abs() >= WHOLE * price) & (price > 0)).fill_null(False)
    stated = frame["kind"] if "kind" in frame.columns else pl.Series(["purchase"] * frame.height)
    kept = pl.Series("kind", ["refund"]).zip_with(whole, stated.cast(pl.Utf8))
    findings = list[Finding]()
    if whole.any():
        why = f"{column} of {place} is the whole price there: such purchases came back and say no"
        findings.append(Finding(rule="amounts", rows=int(whole.sum()), action="noted", why=why))
        frame = frame.drop(column).with_columns(kept.alias("kind"))
    if rest := int((back & ~whole).sum()):
        why = (
            f"{column} of {place} is above 0 there, and it is not known whether that is the whole "
            f"price: such rows say yes; if they were given back, say so in a column kind ('refund')"
        )
        findings.append(Finding(rule="amounts", rows=rest, action="noted", why=why))
    return frame, findings


_REFUNDED = re.compile(
    r"^(total)?(refund|refunded|chargeback)(ed)?(amount|total|sum|value|price)$"
    r"|^(amount|total|sum)(refund|refunded|chargedback)$|^(实际)?退款(总)?金额$"
    r"|^(erstattungsbetrag|erstatteterbetrag|montant(rembourse|remboursé)|importereembolsado)$"
)
"""Pattern of names of refunded sums, as `plain` returns them."""
_PAID = re.compile(
    r"^(line|item|order|unit|sale|sales|gross|net|paid)?(price|total|amount|paid)(paid)?$"
    r"|^(买家)?(应付|实际)?(实付|支付|付款|订单)?(总)?金额$"
    r"|^(preis|prix|precio|preço|preco|prezzo)$"
)
"""Pattern of names of prices, as `plain` returns them."""
WHOLE = 0.99
"""Minimum share of a price for its refund to be a whole one."""


def without_emptied(
    frame: pl.DataFrame, kinds: Kinds, place: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set changes of a cart to a quantity of 0 to `remove_from_cart`, and other changes of unknown
    kinds to `cart`. Return events and findings.
    """
    amount = next((c for c in frame.columns if is_amount(c)), None)
    if amount is None or "kind" not in frame.columns or frame["kind"].dtype != pl.Utf8:
        return frame, []
    how_many = as_numbers(frame[amount])
    in_cart = frame["kind"].str.to_lowercase().str.contains(_CARTS).fill_null(False)
    out = in_cart & (how_many == 0).fill_null(False)
    if not out.any() or (how_many.filter(in_cart) == 0).fill_null(True).all():
        return frame, []
    why = f"{amount} of {place} is 0 there: the item was taken out of the cart"
    odd = kinds.unknown(frame["kind"].filter(in_cart).unique().to_list())
    kind = pl.Series("kind", ["cart"]).zip_with(frame["kind"].is_in(odd), frame["kind"])
    kind = pl.Series("kind", ["remove_from_cart"]).zip_with(out, kind)
    note = Finding(rule="amounts", rows=int(out.sum()), action="noted", why=why)
    return frame.with_columns(kind), [note]


_CARTS = "cart|basket|trolley|购物车|加购|warenkorb|panier|carrito|carrinho|carrello|カート"
"""Pattern of kinds of changes of a cart, in lower case."""


def _sums(frame: pl.DataFrame, place: str) -> list[Finding]:
    """Return findings on paid sums that are negative in some rows; only the user knows what these
    are.
    """
    findings = []
    for column in (c for c in frame.columns if is_sum(c)):
        below = int((as_numbers(frame[column]) < 0).sum())
        if 0 < below < frame.height:
            why = (
                f"{column} of {place} is below 0 there and is kept as context; if such rows "
                f"came back, say so in a TOML file (kind = 'purchase', columns = {{ value = "
                f"{column!r} }})"
            )
            findings.append(Finding(rule="amounts", rows=below, action="noted", why=why))
    return findings

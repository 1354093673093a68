"""The audit as one self-contained HTML file: sentences first, then plots, then every number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from html import escape
from math import isnan
from typing import Any

import polars as pl

from metarec.evaluation.tables import label_of
from metarec.fairness.audit import Audit
from metarec.fairness.audit_plots import draw_exposure, draw_groups
from metarec.fairness.mitigation.trade_off import TradeOffTable
from metarec.fairness.mitigation.trade_off_plot import draw_trade_offs
from metarec.runtime.report_page import figure, html_table, report_page, wide_and_narrow


def to_html(
    audit: Audit,
    *,
    trade_offs: TradeOffTable | None = None,
    further: Mapping[str, str] | None = None,
) -> str:
    """Return the audit as an HTML page, with the table of trade-offs if given.

    Args:
        further: title -> HTML of further sections, inserted unchanged.

    Raises:
        MissingExtra: if matplotlib is not installed (`pip install 'metarec[fairness]'`).
    """
    parts = [
        f'<p class="comparison{" no" if audit.largest_clear_gap else ""}">'
        f"<b>For whom does it work less well?</b>{escape(audit.summary())}</p>",
        *(f'<p class="caution">{escape(warning)}</p>' for warning in audit.warnings),
        "<h2>Gaps</h2>",
        *_gaps(audit),
        *_curves(audit),
        *(_items(audit) if audit.exposure else ()),
        *(_trade_offs(trade_offs) if trade_offs is not None else ()),
    ]
    for title, section in (further or {}).items():
        parts += [f"<h2>{escape(title)}</h2>", section]
    parts += ["<h2>Every number</h2>", _folded(f"{len(audit.groups):,} rows", _groups(audit))]
    of_model = f", model {audit.model_version}" if audit.model_version else ""
    return report_page(
        "For whom it works",
        f"{audit.users:,} users evaluated as new users{of_model}; intervals are 95% bootstrap "
        "over users; a gap is clear if Welch's test holds after Holm's correction over every pair.",
        "\n".join(parts),
        downloads={"groups.csv": _csv(audit)},
    )


def _plot(draw: Callable[..., str], *about: Any) -> str:
    return figure(wide_and_narrow(lambda narrow: draw(*about, narrow=narrow)) or "")


def _curves(audit: Audit) -> Iterator[str]:
    """Yield a heading for each attribute and a plot of each metric."""
    metrics = list(dict.fromkeys(row.metric for row in audit.groups))
    for by in dict.fromkeys(row.by for row in audit.groups):
        yield f"<h2>By {escape(by)}</h2>"
        yield from (_plot(draw_groups, audit, by, metric) for metric in metrics)


def _items(audit: Audit) -> Iterator[str]:
    yield "<h2>What it does to items</h2>"
    yield from (
        _plot(draw_exposure, audit, by) for by in dict.fromkeys(row.by for row in audit.exposure)
    )
    yield html_table(
        ["known items", "share of the catalog shown to anyone"],
        [[n_support, f"{share:.3f}"] for n_support, share in audit.coverage.items()],
    )


def _trade_offs(trade_offs: TradeOffTable) -> list[str]:
    return [
        "<h2>What a mitigation would cost</h2>",
        f"<p>{escape(trade_offs.summary())}</p>",
        figure(draw_trade_offs(trade_offs)),
        f"<pre>{escape(trade_offs.to_text())}</pre>",
    ]


def _csv(audit: Audit) -> str:
    rows = [asdict(row) for row in audit.groups]
    return pl.DataFrame(rows, infer_schema_length=None).write_csv()


def _gaps(audit: Audit) -> list[str]:
    """Return the table of gaps over the whole curve, and those after each number of events folded
    below.
    """
    rows = [
        [
            gap.by,
            "whole curve" if gap.n_support is None else str(gap.n_support),
            gap.best,
            gap.worst,
            f"{gap.size:.3f} [{gap.low:.3f}, {gap.high:.3f}]",
            str(gap.matched),
            f"{gap.p_corrected:.3f}",
            "clear" if gap.is_clear else "",
        ]
        for gap in sorted(
            audit.gaps, key=lambda g: (g.by, g.n_support is not None, g.n_support or 0)
        )
    ]
    if not rows:
        return ["<p>No attribute has two groups large enough to compare.</p>"]
    head = [
        "by",
        "known items",
        "served best",
        "served worst",
        f"gap in {label_of(audit.metric)}",
        "at equal number of liked items",
        "corrected p",
        "",
    ]
    over_curve, single = (
        [row for row in rows if (row[1] == "whole curve") == is_whole] for is_whole in (True, False)
    )
    words = (0, 2, 3, 7)
    return [
        html_table(head, over_curve, words=words),
        _folded("at each number of known items", html_table(head, single, words=words)),
    ]


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def _groups(audit: Audit) -> str:
    return html_table(
        ["by", "group", "users", "metric", "known items", "mean", "95% interval"],
        [
            [
                r.by,
                r.group + (" (small)" if r.is_small else ""),
                str(r.users),
                label_of(r.metric),
                "whole curve" if r.n_support is None else str(r.n_support),
                f"{r.value:.4f}",
                "" if isnan(r.low) else f"{r.low:.4f} to {r.high:.4f}",
            ]
            for r in audit.groups
        ],
        words=(0, 1, 3),
    )

"""A study as a page: its summary first, then a table for each data set, encoder and metric."""

from __future__ import annotations

from html import escape

import polars as pl

from metarec.evaluation.study import Results, Study
from metarec.runtime.report_page import html_table, report_page


def study_page(study: Study, results: Results) -> str:
    """Return the page of a finished study, with both tables to download as CSV."""
    clear = results.differences.filter("is_clear")
    body = [
        f'<p class="comparison"><b>What does it come to?</b>{escape(results.summary())}.</p>',
        *_blocks(results.table),
        "<h2>Clear differences</h2>",
        _differences(clear) if clear.height else "<p>None after the correction.</p>",
    ]
    return report_page(
        "Study",
        f"{', '.join(study.data)}; encoders {', '.join(study.encoders)}; seeds "
        f"{', '.join(map(str, study.seeds))}; scenario {study.scenario}. Differences are of the "
        "first model over users, corrected by Holm over the whole study.",
        "\n".join(body),
        downloads={
            "table.csv": results.table.write_csv(),
            "differences.csv": results.differences.write_csv(),
        },
    )


def _blocks(table: pl.DataFrame) -> list[str]:
    """Return a heading and a table for each data set, encoder and metric: means with 95%
    intervals.
    """
    blocks = []
    for key, rows in table.group_by(["data", "encoder", "metric"], maintain_order=True):
        events = rows["events"].unique(maintain_order=True).to_list()
        body = []
        for (model,), of_model in rows.group_by(["model"], maintain_order=True):
            at = {row["events"]: row for row in of_model.iter_rows(named=True)}
            body.append([model, *(_cell(at.get(k)) for k in events)])
        title = f"{key[2]}, {key[0]}, texts by {key[1]}, by known items of each user"
        blocks.append(f"<h2>{escape(title)}</h2>{html_table(['', *events], body)}")
    return blocks


def _cell(row: dict[str, float] | None) -> str:
    return "" if row is None else f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def _differences(clear: pl.DataFrame) -> str:
    head = ["data", "encoder", "metric", "events", "model", "other", "difference", "p, Holm"]
    rows = [
        [
            *(row[name] for name in head[:6]),
            f"{row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]",
            f"{row['p_holm']:.2g}",
        ]
        for row in clear.iter_rows(named=True)
    ]
    return html_table(head, rows, words=(0, 1, 2, 4, 5))

"""The leaderboard and README's tables, made from what `metarec study` wrote: `make leaderboard`."""

from __future__ import annotations

from pathlib import Path

import polars as pl

ROOT = Path(__file__).parent.parent.parent
PLACE = ROOT / "docs" / "experiments" / "2026-11-28-leaderboard"
BEGIN, END = "<!-- made by `make leaderboard`: begin -->", "<!-- made: end -->"
FIRST = "metarec small"
NAMES = {
    "ml-100k": "MovieLens 100K",
    "ml-latest-small": "MovieLens small",
}
WORDS = {
    "README.md": ("events known", "best other", "ratio"),
    "README.zh-CN.md": ("已知事件数", "其余最好的", "比值"),
}
"""README -> what its table says."""
EVENTS = (0, 1, 3, 5, 10, 20)


def main() -> None:
    """Write every table into its page."""
    for path, text in made().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))


def made() -> dict[Path, str]:
    """Page -> its text with the tables that the CSV files give now."""
    table, differences = (pl.read_csv(PLACE / f"{one}.csv") for one in ("table", "differences"))
    blocks = {ROOT / page: _short(table, differences, *words) for page, words in WORDS.items()}
    blocks[PLACE / "README.md"] = _long(table, differences)
    return {path: _filled(path.read_text("utf-8"), block) for path, block in blocks.items()}


def _filled(text: str, block: str) -> str:
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{block}\n{rest[rest.index(END) :]}"


def _short(table: pl.DataFrame, differences: pl.DataFrame, events: str, best: str, by: str) -> str:
    """NDCG@10 of metarec and of the best other at each number of events, and their ratio."""
    rows = [f"| {events} | | {' | '.join(map(str, EVENTS))} |", "|---" * (len(EVENTS) + 2) + "|"]
    for data, name in NAMES.items():
        ours, others = _means(table, data, FIRST), _best(table, data)
        rows.append(_row(name, FIRST, {k: f"{one:.3f}" for k, one in ours.items()}))
        rows.append(_row("", best, {k: f"{one:.3f} {who}" for k, (who, one) in others.items()}))
        ratios = {
            k: _ratio(ours[k] / one, _difference(differences, data, k, who))
            for k, (who, one) in others.items()
        }
        rows.append(_row("", by, ratios))
    return "\n".join(rows)


def _row(name: str, what: str, cells: dict[int, str]) -> str:
    return f"| {name} | {what} | {' | '.join(cells.get(k, '') for k in EVENTS)} |"


def _means(table: pl.DataFrame, data: str, model: str) -> dict[int, float]:
    own = table.filter(data=data, model=model, metric="ndcg@10")
    return dict(zip(own["events"].to_list(), own["mean"].to_list(), strict=True))


def _best(table: pl.DataFrame, data: str) -> dict[int, tuple[str, float]]:
    """Number of events -> name and mean of the best other there."""
    others = table.filter(pl.col("model") != FIRST, data=data, metric="ndcg@10")
    best = others.sort("mean").group_by("events", maintain_order=True).last()
    return {row["events"]: (row["model"], row["mean"]) for row in best.iter_rows(named=True)}


def _difference(differences: pl.DataFrame, data: str, events: int, other: str) -> tuple[float, ...]:
    """Mean, low and high of metarec minus another."""
    found = differences.filter(data=data, metric="ndcg@10", events=events, other=other)
    return found.select("mean", "low", "high").row(0)


def _ratio(value: float, difference: tuple[float, ...]) -> str:
    _, low, high = difference
    told = f"{value:.2f}"
    return f"*{told}*" if low <= 0 <= high else f"**{told}**" if value < 1 else told


def _long(table: pl.DataFrame, differences: pl.DataFrame) -> str:
    """Every row of every data set, then metarec minus the best other, then where it loses."""
    parts = [part for data in NAMES for part in _of_data(table, differences, data)]
    return "\n\n".join([*parts, "## Where metarec is behind", _losses(differences)])


def _of_data(table: pl.DataFrame, differences: pl.DataFrame, data: str) -> list[str]:
    own = table.filter(data=data)
    users, seeds = own["users"][0], own["seeds"][0]
    parts = [f"## {NAMES[data]}", f"{users} test users, seeds: {seeds}."]
    for metric, rows in own.group_by("metric", maintain_order=True):
        parts.append(_full(str(metric[0]), rows))
    others = _best(table, data)
    lines = ["| events known | best other | metarec minus it, 95% interval |", "|---|---|---|"]
    for k, (who, _) in sorted(others.items()):
        mean, low, high = _difference(differences, data, k, who)
        lines.append(f"| {k} | {who} | {mean:+.3f} [{low:+.3f}, {high:+.3f}] |")
    return [*parts, "\n".join(lines)]


def _full(metric: str, rows: pl.DataFrame) -> str:
    """Means with 95% intervals of every recommender; the best of each column is bold."""
    events = rows["events"].unique(maintain_order=True).to_list()
    lower = metric == "mae"
    best = {k: (min if lower else max)(rows.filter(events=k)["mean"].to_list()) for k in events}
    lines = [
        f"| {metric} after | {' | '.join(map(str, events))} | fit, CPU s |",
        "|---" * (len(events) + 2) + "|",
    ]
    for model, own in rows.group_by("model", maintain_order=True):
        cells = [
            ("**{}**" if mean == best[k] else "{}").format(f"{mean:.3f}")
            + f" [{low:.3f}, {high:.3f}]"
            for k, mean, low, high in own.select("events", "mean", "low", "high").iter_rows()
        ]
        lines.append(f"| {model[0]} | {' | '.join(cells)} | {own['fit_cpu_seconds'][0]:.0f} |")
    return "\n".join(lines)


def _losses(differences: pl.DataFrame) -> str:
    """Each difference that is against metarec by its mean; clear ones say so."""
    against = differences.filter(pl.col("mean") < 0)
    lines = [
        f"- {NAMES[row['data']]}, {row['metric']} after {row['events']}, {row['other']}: "
        f"{row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
        f"{', clear after Holm' if row['is_clear'] else ''}"
        for row in against.iter_rows(named=True)
    ]
    return "\n".join(lines) or "Nowhere in this study."


if __name__ == "__main__":
    main()

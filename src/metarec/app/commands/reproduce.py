"""`metarec reproduce`: published tables on the files of their authors, our results beside the
published ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metarec.app.commands.options import Device, Encoder, Json, Preset, Seed, choose_device, show


def reproduce(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A table: melu, tanp-ml1m, hire, tanp-lastfm, beauty, toys, sports or lastfm-loo.",
        ),
    ],
    path: Annotated[
        Path | None,
        typer.Argument(metavar="PATH", help="Its files; without them, where to get them is said."),
    ] = None,
    preset: Preset = "small",
    encoder: Encoder = "auto",
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Reproduce a published table: metarec and simple baselines on the files of its authors, with
    their split and their scorer, beside what the papers say.
    """
    choose_device(device)
    from metarec.data.schema import BadInput
    from metarec.evaluation.own_recommender import OwnRecommender
    from metarec.evaluation.papers.protocols import as_json as plain
    from metarec.evaluation.papers.protocols import describe_rows
    from metarec.evaluation.papers.reproduce import published_lines, table_of
    from metarec.evaluation.papers.reproduce import reproduce as measure
    from metarec.runtime.progress import on_terminal

    table = table_of(name)
    if path is None:
        raise BadInput(f"give the files: metarec reproduce {name} PATH; they are {table.files}")
    with on_terminal(show=not as_json) as progress:
        ours = OwnRecommender(preset=preset, encoder=encoder, progress=progress)
        rows = measure(name, path, [ours], seed=seed, progress=progress)
    result = {"table": name, "published": table.published, "rows": plain(rows)}
    show(result, f"{describe_rows(rows)}\n{published_lines(name)}", as_json=as_json)

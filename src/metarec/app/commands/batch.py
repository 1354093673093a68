"""`metarec recommend MODEL --all-users DATA --out DIR`: slates for all users, for a nightly job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metarec.app.commands.options import show

if TYPE_CHECKING:
    from metarec.app.batch import BatchConfig

AllUsers = Annotated[
    str | None,
    typer.Option(
        metavar="DATA",
        help="Recommend to every user of these data instead, into Parquet files under --out.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="With --all-users: folder of the slates; a run that was killed goes on there.",
    ),
]
UsersPerFile = Annotated[int, typer.Option(help="With --all-users: users in each file.")]


def to_all(
    model: Path,
    source: str,
    out: Path | None,
    config: BatchConfig,
    *,
    workers: int,
    backend: str,
    as_json: bool,
) -> None:
    """Write the slates of all users of a source and print a summary."""
    from metarec.app.batch import recommend_all
    from metarec.app.jobs import BATCH, recorded
    from metarec.data.errors import BadInput
    from metarec.data.read import read
    from metarec.runtime.progress import combined_progress, on_terminal

    if out is None:
        raise BadInput("--all-users needs --out DIR, the folder that the slates are written to")
    data = read(source)
    with recorded(model, BATCH) as job, on_terminal(show=not as_json) as bars:
        both = combined_progress(job, bars)
        summary = recommend_all(
            model, data, out, config, workers=workers, backend=backend, progress=both
        )
        job.outcome = f"slates of {summary['users']:,} users in {out}"
    notes = [f"note: {many:,} slates: {note}" for note, many in summary["notes"].items()]
    again = f", {summary['files_found']} of them were there" if summary["files_found"] else ""
    files = "1 file" if summary["files"] == 1 else f"{summary['files']} files"
    text = (
        f"{out}: {summary['rows']:,} rows for {summary['users']:,} users in {files}{again}; "
        f"{summary['empty_slates']:,} users may be shown nothing"
    )
    show({"out": str(out), **summary}, "\n".join([text, *notes]), as_json=as_json)

"""Progress reports: stages call a listener, which displays or logs them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from metarec.runtime.language import ENVIRONMENT, OUTPUT, display_width, language_of, translated


@runtime_checkable
class Progress(Protocol):
    """Listener called with the stage's name and the share done in [0, 1]; `note` tells the latest
    result.
    """

    def __call__(self, stage: str, done: float, note: str = "") -> None:
        """Report how far `stage` is."""
        ...


# The default listener
def silent(stage: str, done: float, note: str = "") -> None:  # noqa: ARG001
    """Ignore all reports."""


def combined_progress(*listeners: Progress) -> Progress:
    """Return one listener that calls all of these."""

    def report(stage: str, done: float, note: str = "") -> None:
        for listener in listeners:
            listener(stage, done, note)

    return report


@contextmanager
def on_terminal(*, show: bool = True) -> Iterator[Progress]:
    """Draw a bar for each stage on stderr, so that stdout stays clean for results; stages and notes
    are said in the language of `METAREC_LANG`.
    """
    if not show:
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    with Bars(
        TextColumn("{task.description}"),
        BarColumn(30),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    ) as bars:
        tasks: dict[str, Any] = {}
        language = language_of(os.environ.get(ENVIRONMENT, ""))

        def report(stage: str, done: float, note: str = "") -> None:
            if stage not in tasks:
                name = translated(stage, language, OUTPUT)
                padded = name + " " * (28 - display_width(name))
                tasks[stage] = bars.add_task(padded, total=1.0, note="")
            bars.update(tasks[stage], completed=min(max(done, 0.0), 1.0))
            if note:
                bars.update(tasks[stage], note=translated(note, language, OUTPUT))

        yield report

"""`metarec study`: many evaluations in one table."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metarec.app.commands.options import (
    Backend,
    Device,
    Json,
    Workers,
    choose_device,
    command_language,
    command_of,
    note,
    show,
)
from metarec.runtime.language import translated_page

if TYPE_CHECKING:
    from metarec.data.dataset import Dataset
    from metarec.evaluation.study import Study


@dataclass(frozen=True, kw_only=True)
class CompareAll:
    """Compare recommenders on data sets, encoders and seeds in one table; a study that was killed
    goes on where it stopped.
    """

    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A TOML file: data, presets, encoders, seeds, learners, baselines, metrics, "
            "scenario.",
        ),
    ]
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="For the cells, table.csv, differences.csv and report.html."
        ),
    ]
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Where the data sets lie that the file names; beside it first."
        ),
    ] = None
    workers: Workers = 1
    device: Device = None
    backend: Backend = "here"
    as_json: Json = False

    def run(self) -> None:
        """Evaluate every cell, and write the table and the page."""
        choose_device(self.device)
        from metarec.evaluation.report.study_page import study_page
        from metarec.evaluation.study import run_study
        from metarec.runtime.jobs import check_backend
        from metarec.runtime.progress import on_terminal

        planned = self._study()
        check_backend(self.workers, self.backend)
        folders = (self.file.parent, *([] if self.data is None else [self.data]))
        _check_places(folders, planned.data)  # before the folder of results is made
        if (self.out / "config.json").exists():
            raise FileExistsError(f"{str(self.out)!r} is the folder of a model; give another one")
        with on_terminal(show=not self.as_json) as progress:
            study = run_study(
                planned,
                partial(_read, folders),
                self.out,
                workers=self.workers,
                backend=self.backend,
                progress=progress,
            )
        page = self.out / "report.html"
        page.write_text(
            translated_page(study_page(planned, study), command_language()), encoding="utf-8"
        )
        result = {"table": study.table.to_dicts(), "differences": study.differences.to_dicts()}
        text = f"{study.text()}\n{self.out / 'table.csv'}\n{page}"
        show(result, text, as_json=self.as_json)

    def _study(self) -> Study:
        from metarec.data.schema import BadInput
        from metarec.evaluation.study import Study

        try:
            settings = tomllib.loads(self.file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadInput(f"{self.file} is no TOML file: {error}") from error
        return Study.of(settings)


study = command_of(CompareAll)


def _check_places(folders: tuple[Path, ...], names: Sequence[str]) -> None:
    from metarec.data.schema import BadInput

    if missing := [folder for folder in folders if not folder.is_dir()]:
        raise BadInput(f"there is no folder {str(missing[0])!r} of data sets; name one with --data")
    for name in names:
        place = _place(folders, name)
        if "://" not in place and not Path(place).exists():
            raise BadInput(
                f"{place} does not exist; give a data folder, a file of events, a TOML file or a "
                "database URL"
            )


def _place(folders: tuple[Path, ...], name: str) -> str:
    return str(next((place for one in folders if (place := one / name).exists()), name))


def _read(folders: tuple[Path, ...], name: str) -> Dataset:
    """Read a data set by its name: from the first of the folders that has it, else as `metarec fit`
    reads it.
    """
    from metarec.data.cleaning import read_clean

    data, report = read_clean(_place(folders, name))
    note(f"{name}: {report.events_read:,} events read, {report.removed:,} removed by cleaning")
    return data

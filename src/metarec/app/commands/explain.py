"""`metarec explain`: explains one recommendation, for a user described by options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metarec.app.commands.options import Json, check_page, command_language, command_of, show
from metarec.app.commands.requests import AboutUser
from metarec.runtime.language import translated_page

if TYPE_CHECKING:
    from metarec.explanation.inner_steps import InnerTrace
    from metarec.recommendation.explained import Explanation
    from metarec.recommendation.slate import Request
    from metarec.recommender import Recommender


@dataclass(frozen=True, kw_only=True)
class Explain(AboutUser):
    """Explain the rank of an item for a user."""

    item: Annotated[str, typer.Option(help="Id of the item to explain.")]
    trace: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also draw how the slate moved with each event, and with each inner step of a "
            "learner that takes some (SVG).",
        ),
    ] = None
    learner: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="With --trace or --map: whose inner steps to follow; the model's first learner "
            "that takes some unless given.",
        ),
    ] = None
    map_file: Annotated[
        Path | None,
        typer.Option(
            "--map",
            metavar="FILE",
            help="Also draw up to 200 training users by the parameters a learner moved for them "
            "(PNG); with --by.",
        ),
    ] = None
    by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="With --map: column of users that names their group."),
    ] = None
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the page of a report here.")
    ] = None
    as_json: Json = False

    def run(self) -> None:
        """Explain the item, and write the files asked for."""
        from metarec.recommender import Recommender

        self._check()
        loaded = Recommender.load(self.model)
        request = self.request(loaded)
        drawn: dict[str, dict[str, Any]] = {}
        if self.trace is not None:
            drawn |= _drawn_trace(loaded, request, self.item, self.learner, self.trace)
        if self.map_file is not None and self.by is not None:
            drawn |= _drawn_map(loaded, self.by, self.learner, self.map_file)
        why = loaded.explain(request, item_id=self.item)
        if self.out is not None:
            drawn |= _written_page(loaded, request, why, self.learner, self.out)
        lines = [why.to_text(), *(str(one.pop("text")) for one in drawn.values())]
        show(why.to_json() | drawn, "\n".join(lines), as_json=self.as_json)

    def _check(self) -> None:
        """Refuse options that exclude each other, and files with another extension than the format
        written.
        """
        from metarec.data.schema import BadInput

        files = (self.trace, self.map_file, self.out)
        if self.learner is not None and not any(files):
            raise BadInput(
                "--learner says whose inner steps to draw; add --trace FILE, --map FILE or "
                "--out FILE"
            )
        if (self.map_file is None) != (self.by is None):
            raise BadInput("--map FILE and --by COLUMN go together")
        check_page(self.out, "--out")
        for option, file, form in (
            ("--trace", self.trace, ".svg"),
            ("--map", self.map_file, ".png"),
        ):
            if file is not None and not file.is_dir() and file.suffix.lower() != form:
                raise BadInput(
                    f"{option} draws a picture, so FILE ends in {form}; got {file} (--out FILE "
                    "writes a page)"
                )


explain = command_of(Explain)


def _drawn_trace(
    model: Recommender, request: Request, item: str, learner: str | None, file: Path
) -> dict[str, dict[str, Any]]:
    """Draw the trace as a picture; return its description."""
    from metarec.explanation.trace import trace
    from metarec.explanation.trace_plot import draw

    inner = _inner_steps(model, request, learner)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(draw(trace(model, request, item), inner), encoding="utf-8")
    text = str(file) if inner is None else f"{inner.to_text()}\n{file}"
    return {"trace": {"file": str(file), "text": text, "inner": inner and inner.to_json()}}


def _written_page(
    model: Recommender, request: Request, why: Explanation, learner: str | None, file: Path
) -> dict[str, dict[str, Any]]:
    """Write explanation and trace as a page in the style of reports; return its path."""
    from metarec.explanation.explanation_page import explanation_page
    from metarec.explanation.trace import trace

    inner = _inner_steps(model, request, learner)
    page = explanation_page(why, trace(model, request, why.item_id), inner)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(translated_page(page, command_language()), encoding="utf-8")
    return {"page": {"file": str(file), "text": str(file)}}


def _inner_steps(model: Recommender, request: Request, learner: str | None) -> InnerTrace | None:
    """Return the inner steps of a learner on the user's events; None where no learner of the model
    takes any.
    """
    from metarec.explanation.inner_steps import follow_steps
    from metarec.models.base import TakesInnerSteps

    steps = [one for one in model.ensemble.scorers.values() if isinstance(one, TakesInnerSteps)]
    return follow_steps(model, request, learner) if steps or learner is not None else None


def _drawn_map(
    model: Recommender, by: str, learner: str | None, file: Path
) -> dict[str, dict[str, Any]]:
    """Draw the map of users as a picture; return its description."""
    from metarec.explanation.inner_steps import map_users
    from metarec.explanation.trace_plot import draw_map

    user_map = map_users(model, by, learner)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(draw_map(user_map))
    table = {"file": str(file), "groups": user_map.rows(), "explained": list(user_map.explained)}
    return {"map": table | {"text": f"{user_map.to_text()}\n{file}"}}

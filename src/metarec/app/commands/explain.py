"""`metarec explain`: one recommendation, in the words of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metarec.app.commands.options import (
    Bought,
    Context,
    Did,
    Dislike,
    Friend,
    Json,
    Like,
    Model,
    Near,
    Profile,
    Search,
    Viewed,
    Wish,
    show,
    spoken,
)
from metarec.app.commands.requests import request_of, with_context
from metarec.runtime.language import translated_page

if TYPE_CHECKING:
    from metarec.explanation.inner_steps import InnerTrace
    from metarec.recommendation.explained import Explanation
    from metarec.recommendation.slate import Request
    from metarec.recommender import Recommender


def explain(
    model: Model,
    item: Annotated[str, typer.Option(help="Id of the item to explain.")],
    like: Like = None,
    dislike: Dislike = None,
    bought: Bought = None,
    viewed: Viewed = None,
    did: Did = None,
    profile: Profile = None,
    wish: Wish = None,
    friend: Friend = None,
    near: Near = None,
    context: Context = None,
    search: Search = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also draw how the slate moved with each event, and with each inner step of a "
            "learner that takes some (SVG).",
        ),
    ] = None,
    learner: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="With --trace or --map: whose inner steps to follow; the model's first learner "
            "that takes some unless given.",
        ),
    ] = None,
    map_file: Annotated[
        Path | None,
        typer.Option(
            "--map",
            metavar="FILE",
            help="Also draw up to 200 training users by the parameters a learner moved for them "
            "(PNG); with --by.",
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="With --map: column of users that names their group."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the page of a report here.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say why an item stands where it stands for a user."""
    from metarec.data.schema import BadInput
    from metarec.recommender import Recommender

    if learner is not None and trace is None and map_file is None and out is None:
        raise BadInput(
            "--learner says whose inner steps to draw; add --trace FILE, --map FILE or --out FILE"
        )
    if (map_file is None) != (by is None):
        raise BadInput("--map FILE and --by COLUMN go together")
    for option, file, form in (("--trace", trace, ".svg"), ("--map", map_file, ".png")):
        if file is not None and not file.is_dir() and file.suffix.lower() != form:
            raise BadInput(
                f"{option} draws a picture, so FILE ends in {form}; got {file} (--out FILE writes "
                f"a page)"
            )
    loaded = Recommender.load(model)
    who = request_of(loaded, like, dislike, profile, wish, bought=bought, viewed=viewed, did=did)
    request = with_context(loaded, who, friend, near, context, search)
    drawn = {} if trace is None else _drawn_trace(loaded, request, item, learner, trace)
    if map_file is not None and by is not None:
        drawn |= _drawn_map(loaded, by, learner, map_file)
    why = loaded.explain(request, item_id=item)
    if out is not None:
        drawn |= _written_page(loaded, request, why, learner, out)
    told = [why.to_text(), *(str(one.pop("text")) for one in drawn.values())]
    show(why.to_json() | drawn, "\n".join(told), as_json=as_json)


def _drawn_trace(
    model: Recommender, request: Request, item: str, learner: str | None, file: Path
) -> dict[str, dict[str, Any]]:
    """The trace as a picture, and what to tell of it."""
    from metarec.explanation.trace import trace
    from metarec.explanation.trace_plot import draw

    inner = _inner_steps(model, request, learner)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(draw(trace(model, request, item), inner), encoding="utf-8")
    told = str(file) if inner is None else f"{inner.to_text()}\n{file}"
    return {"trace": {"file": str(file), "text": told, "inner": inner and inner.to_json()}}


def _written_page(
    model: Recommender, request: Request, why: Explanation, learner: str | None, file: Path
) -> dict[str, dict[str, Any]]:
    """The explanation and the trace as a page of the reports' family, and where it lies."""
    from metarec.explanation.explanation_page import explanation_page
    from metarec.explanation.trace import trace

    inner = _inner_steps(model, request, learner)
    page = explanation_page(why, trace(model, request, why.item_id), inner)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(translated_page(page, spoken()), encoding="utf-8")
    return {"page": {"file": str(file), "text": str(file)}}


def _inner_steps(model: Recommender, request: Request, learner: str | None) -> InnerTrace | None:
    """What a learner's steps on the user's events do; None where none of the model takes any."""
    from metarec.explanation.inner_steps import follow_steps
    from metarec.models.base import TakesInnerSteps

    steps = [one for one in model.ensemble.scorers.values() if isinstance(one, TakesInnerSteps)]
    return follow_steps(model, request, learner) if steps or learner is not None else None


def _drawn_map(
    model: Recommender, by: str, learner: str | None, file: Path
) -> dict[str, dict[str, Any]]:
    """The map of users as a picture, and what to tell of it."""
    from metarec.explanation.inner_steps import map_users
    from metarec.explanation.trace_plot import draw_map

    found = map_users(model, by, learner)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(draw_map(found))
    table = {"file": str(file), "groups": found.rows(), "explained": list(found.explained)}
    return {"map": table | {"text": f"{found.to_text()}\n{file}"}}

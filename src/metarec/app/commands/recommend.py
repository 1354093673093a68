"""`metarec recommend` and `metarec explain`: one user, in the words of the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metarec.app.commands.batch import AllUsers, Out, UsersAPart, to_all
from metarec.app.commands.options import (
    Backend,
    Bought,
    Context,
    Device,
    Did,
    Dislike,
    Friend,
    Json,
    Like,
    Model,
    Near,
    Profile,
    Search,
    Seed,
    Viewed,
    Wish,
    WithinKm,
    Workers,
    choose_device,
    number_of,
    pairs_of,
    show,
    spoken,
    table,
)
from metarec.runtime.language import translated_page

if TYPE_CHECKING:
    from metarec.explanation.inner_steps import InnerTrace
    from metarec.recommendation.explained import Explanation
    from metarec.recommendation.slate import Request
    from metarec.recommender import Recommender


def recommend(
    model: Model,
    like: Like = None,
    dislike: Dislike = None,
    bought: Bought = None,
    viewed: Viewed = None,
    did: Did = None,
    profile: Profile = None,
    wish: Wish = None,
    friend: Friend = None,
    near: Near = None,
    within_km: WithinKm = None,
    context: Context = None,
    search: Search = None,
    k: Annotated[int, typer.Option("-k", help="Length of the list.")] = 10,
    where: Annotated[
        str | None,
        typer.Option(
            "--filter",
            metavar="EXPRESSION",
            help="Which items may be shown: 'genre = \"Sci-Fi\" and year > 1990'.",
        ),
    ] = None,
    ban: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="An item never to show; may be repeated.")
    ] = None,
    pin: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="An item to put first; may be repeated.")
    ] = None,
    quota: Annotated[
        list[str] | None,
        typer.Option(metavar="TAG=N", help="At most N items with a tag; may be repeated."),
    ] = None,
    diversity: Annotated[
        float, typer.Option(help="In [0, 1]: 0 keeps the ranking, towards 1 items differ more.")
    ] = 0.0,
    explore: Annotated[
        float, typer.Option(help="Strength of exploration; 0 shows the best as known.")
    ] = 0.0,
    cold_share: Annotated[
        float, typer.Option(help="Share of places for items with few or no events, in [0, 0.5].")
    ] = 0.0,
    seed: Seed = 0,
    device: Device = None,
    all_users: AllUsers = None,
    out: Out = None,
    users_a_part: UsersAPart = 5_000,
    workers: Workers = 1,
    backend: Backend = "here",
    as_json: Json = False,
) -> None:
    """Recommend to one user: what they liked, who they are, what they wish for; or to all users."""
    choose_device(device)
    import numpy as np

    from metarec.data.errors import BadInput
    from metarec.recommendation.rules import Rules
    from metarec.recommender import Recommender

    if all_users is not None:
        told = (like, dislike, bought, viewed, did, profile, wish, friend, near, within_km)
        if any((*told, context, search, ban, pin, quota, explore, cold_share)):
            raise BadInput(
                "--all-users takes what is known of each user from DATA; beside it only -k, "
                "--filter and --diversity count"
            )
        from metarec.app.batch import BatchConfig

        config = BatchConfig(k=k, where=where, diversity=diversity, users_a_part=users_a_part)
        to_all(model, all_users, out, config, workers=workers, backend=backend, as_json=as_json)
        return
    if out is not None:
        raise BadInput("--out says where the slates of --all-users DATA go; give both")

    loaded = Recommender.load(model)
    who = request_of(loaded, like, dislike, profile, wish, bought=bought, viewed=viewed, did=did)
    request = with_context(loaded, who, friend, near, context, search, within_km)
    rules = Rules(
        pin=known_items(loaded, pin or ()),
        ban=known_items(loaded, ban or ()),
        quota={name: int(number_of(most, "--quota")) for name, most in pairs_of(quota, "--quota")},
    )
    slate = loaded.recommend(
        [request],
        k=k,
        filter=where,
        rules=rules,
        diversity=diversity,
        explore=explore,
        cold_share=cold_share,
        rng=np.random.default_rng(seed),
    )[0]
    titles = titles_of(loaded, slate.item_ids)
    columns = zip(
        slate.item_ids, titles, slate.scores, slate.uncertainty, slate.propensity, strict=True
    )
    places: list[dict[str, Any]] = [
        {
            "item_id": item_id,
            "title": title,
            "score": float(score),
            "uncertainty": float(uncertainty),
            "propensity": float(chance),
        }
        for item_id, title, score, uncertainty, chance in columns
    ]
    if slate.predicted is not None and slate.interval is not None:
        for one, rated, ends in zip(
            places, slate.predicted.tolist(), slate.interval.tolist(), strict=True
        ):
            one |= {"predicted": rated, "interval": ends}
    rows = [
        [str(place), one["title"], f"{one['score']:.2f}", _uncertainty(one), one["item_id"]]
        for place, one in enumerate(places, start=1)
    ]
    head = [
        "",
        "title",
        "score",
        "uncertainty" if slate.interval is None else "rating (9 in 10)",
        "id",
    ]
    text = table(head, rows) if rows else "nothing may be shown: loosen the filter or the bans"
    show(
        {"items": places, "notes": slate.notes, "model_version": slate.model_version},
        "\n".join([text, *(f"note: {note}" for note in slate.notes)]),
        as_json=as_json,
    )


def _uncertainty(place: dict[str, Any]) -> str:
    """The predicted rating and the interval that holds nine of ten, or, without ratings, the
    uncertainty about the score.
    """
    if "interval" not in place:
        return f"{place['uncertainty']:.2f}"
    low, high = place["interval"]
    return f"{place['predicted']:.1f} ({low:.1f} to {high:.1f})"


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


def request_of(
    model: Recommender,
    like: list[str] | None,
    dislike: list[str] | None,
    profile: list[str] | None,
    wish: str | None,
    *,
    bought: list[str] | None = None,
    viewed: list[str] | None = None,
    did: list[str] | None = None,
) -> Request:
    """A user as the command line describes them.

    Raises:
        BadInput: if an item is not in the catalog, a value cannot be read, or an attribute looks
            like one of the policy's, misspelled.
    """
    from metarec.recommendation.slate import Request

    given = (("like", like), ("purchase", bought), ("view", viewed), ("dislike", dislike))
    history = [_event(text, kind, model) for kind, texts in given for text in texts or ()]
    history += [
        _event(text, _kind(kind, model), model) for kind, text in pairs_of(did, "--did", "KIND=ID")
    ]
    known_items(model, [item_id for item_id, *_ in history])
    stated = {name: _read(value) for name, value in pairs_of(profile, "--profile")}
    model.policy_check.refuse_misspelled(stated)
    return Request(history=history, wish=wish, profile=stated)


def known_items(model: Recommender, item_ids: Sequence[str]) -> Sequence[str]:
    """The ids as they are: one that is no item's is a slip of the pen, and a ban of it would ban
    nothing.

    Raises:
        BadInput: naming the first that is not in the catalog.
    """
    from metarec.data.schema import BadInput

    for item_id in item_ids:
        if item_id not in model.vocabulary:
            raise BadInput(
                f"item {item_id!r} is not in the catalog ({len(model.vocabulary):,} items)"
            )
    return item_ids


def with_context(
    model: Recommender,
    request: Request,
    friend: list[str] | None,
    near: str | None,
    context: list[str] | None,
    search: list[str] | None,
    within_km: float | None = None,
) -> Request:
    """The same user with friends, place, circumstances and searches.

    Raises:
        BadInput: if a value cannot be read, or the model knows no such circumstance.
    """
    from dataclasses import replace

    from metarec.data.places import location_of
    from metarec.recommendation.notes import refuse_unknown_context

    told = {name: _read(value) for name, value in pairs_of(context, "--context")}
    refuse_unknown_context(model.context_columns, told, model.policy_check.heeds(told))
    return replace(
        request,
        within_km=within_km,
        friends=friend or (),
        location=None if near is None else location_of(near.split(",")),
        context=told,
        searches=search or (),
    )


def titles_of(model: Recommender, item_ids: list[str]) -> list[str]:
    """What to call each item."""
    titles = model.catalog.titles()
    return [titles[row] for row in model.vocabulary.indexes(item_ids)]


def _event(text: str, kind: str, model: Recommender) -> tuple[str, float | None, str]:
    """`ID`, or `ID=VALUE` for a stated rating or amount; an id that holds a `=` itself is known by
    the catalog.
    """
    item_id, sign, stated = text.rpartition("=")
    if sign and text not in model.vocabulary:
        return item_id, number_of(stated, f"--{kind}"), "rating" if kind == "like" else kind
    if kind == "like" and model.has_values:
        return text, model.value_range[1], "rating"
    return text, None, kind


def _kind(name: str, model: Recommender) -> str:
    """A kind that the model's table has.

    Raises:
        BadInput: naming the nearest, if it has none of this name.
    """
    from metarec.data.schema import BadInput

    kinds = model.training.interactions.kinds
    if not kinds.known(name):
        near = kinds.nearest(name)
        hint = f"; did you mean {near!r}?" if near else ""
        raise BadInput(f"--did: kind {name!r} is not known{hint}")
    return name


def _read(text: str) -> Any:
    """A number where it reads as one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

"""`metarec recommend`: one user, or all, in the words of the command line."""

from __future__ import annotations

from typing import Annotated, Any

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
    table,
)
from metarec.app.commands.requests import known_items, request_of, titles_of, with_context


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

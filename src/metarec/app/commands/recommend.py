"""`metarec recommend`: a slate for one user described by options, or slates for all users."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metarec.app.commands.batch import AllUsers, Out, UsersPerFile, to_all
from metarec.app.commands.options import (
    Backend,
    Device,
    Json,
    Seed,
    WithinKm,
    Workers,
    choose_device,
    command_of,
    show,
    table,
)
from metarec.app.commands.requests import AboutUser, known_items, known_tags, titles_of
from metarec.app.commands.stated_values import pairs_of, whole_number_of

if TYPE_CHECKING:
    from metarec.recommendation.slate import Slate
    from metarec.recommender import Recommender


@dataclass(frozen=True, kw_only=True)
class Recommend(AboutUser):
    """Recommend to one user, by what they liked, their attributes and a query in words; or to all
    users.
    """

    within_km: WithinKm = None
    k: Annotated[int, typer.Option("-k", help="Length of the list.")] = 10
    where: Annotated[
        str | None,
        typer.Option(
            "--filter",
            metavar="EXPRESSION",
            help="Which items may be shown: 'genre = \"Sci-Fi\" and year > 1990'.",
        ),
    ] = None
    ban: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="An item never to show; may be repeated.")
    ] = None
    pin: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="An item to put first; may be repeated.")
    ] = None
    quota: Annotated[
        list[str] | None,
        typer.Option(metavar="TAG=N", help="At most N items with a tag; may be repeated."),
    ] = None
    diversity: Annotated[
        float, typer.Option(help="In [0, 1]: 0 keeps the ranking, towards 1 items differ more.")
    ] = 0.0
    explore: Annotated[
        float, typer.Option(help="Strength of exploration; 0 shows the best as known.")
    ] = 0.0
    cold_share: Annotated[
        float, typer.Option(help="Share of places for items with few or no events, in [0, 0.5].")
    ] = 0.0
    seed: Seed = 0
    device: Device = None
    all_users: AllUsers = None
    out: Out = None
    users_per_file: UsersPerFile = 5_000
    workers: Workers = 1
    backend: Backend = "here"
    as_json: Json = False

    def run(self) -> None:
        """Recommend, and print the slate or a summary."""
        choose_device(self.device)
        from metarec.data.errors import BadInput

        if self.all_users is not None:
            self._to_all(self.all_users)
            return
        if self.out is not None:
            raise BadInput("--out says where the slates of --all-users DATA go; give both")
        self._to_one()

    def _to_all(self, source: str) -> None:
        """Write the slates of all users.

        Raises:
            BadInput: if an option describes a single user.
        """
        from metarec.app.batch import BatchConfig
        from metarec.data.errors import BadInput

        more = (self.ban, self.pin, self.quota, self.explore, self.cold_share)
        if self.is_said or any((self.within_km, *more)):
            raise BadInput(
                "--all-users takes what is known of each user from DATA; beside it only -k, "
                "--filter and --diversity count"
            )
        config = BatchConfig(
            k=self.k,
            where=self.where,
            diversity=self.diversity,
            users_per_file=self.users_per_file,
        )
        to_all(
            self.model,
            source,
            self.out,
            config,
            workers=self.workers,
            backend=self.backend,
            as_json=self.as_json,
        )

    def _to_one(self) -> None:
        from metarec.recommender import Recommender

        loaded = Recommender.load(self.model)
        slate = self._slate(loaded)
        places = _places(slate, titles_of(loaded, slate.item_ids))
        show(
            {"items": places, "notes": slate.notes, "model_version": slate.model_version},
            "\n".join([_text(slate, places), *(f"note: {note}" for note in slate.notes)]),
            as_json=self.as_json,
        )

    def _slate(self, model: Recommender) -> Slate:
        import numpy as np

        from metarec.recommendation.ordering.rules import Rules

        request = replace(self.request(model), within_km=self.within_km)
        quota = known_tags(model, pairs_of(self.quota, "--quota"))
        rules = Rules(
            pin=known_items(model, self.pin or ()),
            ban=known_items(model, self.ban or ()),
            quota={name: whole_number_of(limit, f"--quota {name}") for name, limit in quota},
        )
        return model.recommend(
            [request],
            k=self.k,
            filter=self.where,
            rules=rules,
            diversity=self.diversity,
            explore=self.explore,
            cold_share=self.cold_share,
            rng=np.random.default_rng(self.seed),
        )[0]


recommend = command_of(Recommend)


def _places(slate: Slate, titles: list[str]) -> list[dict[str, Any]]:
    """Return the items of a slate as plain data, in its order."""
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
    return places


def _text(slate: Slate, places: list[dict[str, Any]]) -> str:
    """Return the slate as a table."""
    if not places:
        return "nothing may be shown: loosen the filter or the bans"
    rows = [
        [str(place), one["title"], f"{one['score']:.2f}", _uncertainty(one), one["item_id"]]
        for place, one in enumerate(places, start=1)
    ]
    sure = "uncertainty" if slate.interval is None else "rating (9 in 10)"
    return table(["", "title", "score", sure, "id"], rows)


def _uncertainty(place: dict[str, Any]) -> str:
    """Return the predicted rating with the interval of nine cases in ten or, without ratings, the
    uncertainty about the score.
    """
    if "interval" not in place:
        return f"{place['uncertainty']:.2f}"
    low, high = place["interval"]
    return f"{place['predicted']:.1f} ({low:.1f} to {high:.1f})"

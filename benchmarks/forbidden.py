"""Count the items shown that a policy forbids, on every surface. A data folder with a
`metarec.toml` of health, finance or education is fitted as written (preset tiny), random users ask,
and what each must not be shown is derived from the tables, not from the model.

    python benchmarks/forbidden.py WORLD_FOLDER --users 500

Prints one JSON object: for each surface the number of items shown and of forbidden ones among them,
which must be 0. A surface that shows nothing proves nothing, so both are counted.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

SHARED = {
    "health": (("allergens", "allergies"), ("contraindications", "conditions")),
    "finance": (("unsuitable_for", "risk_profile"), ("barred_countries", "country")),
    "education": (),
}
"""Domain -> pairs of a column of items and an attribute of users that must not share a value."""
GIVEN_UP = "drop"


class Truth:
    """What each user must not be shown, from the tables alone."""

    def __init__(self, folder: Path) -> None:
        settings = (folder / "metarec.toml").read_text(encoding="utf-8")
        self.domain = next(name for name in SHARED if f'"{name}"' in settings)
        rows = _rows(folder / "items.csv")
        self.items = {next(iter(row.values())): row for row in rows}
        users = folder / "users.csv"
        self.users = _rows(users) if users.is_file() else [{}]

    def profile(self, rng: random.Random) -> dict[str, str]:
        """Draw attributes independently; some are not stated."""
        attributes = [attribute for _, attribute in SHARED[self.domain]]
        drawn = {name: rng.choice(self.users).get(name, "") for name in attributes}
        return {name: value for name, value in drawn.items() if value}

    def history(self, rng: random.Random) -> list[tuple[str, float, str]]:
        """Draw up to eight events, oldest first; in education one kind in four is that of dropping
        a course.
        """
        kinds = ("enrol", "complete", "view", GIVEN_UP) if self.domain == "education" else ("view",)
        ids = rng.choices(list(self.items), k=rng.randrange(9))
        return [(item_id, 1.0, rng.choice(kinds)) for item_id in ids]

    def forbidden(self, profile: dict[str, str], history: list[tuple[str, float, str]]) -> set[str]:
        """Return the ids that this user must not be shown."""
        no = {
            item_id
            for item_id, row in self.items.items()
            for column, attribute in SHARED[self.domain]
            if _tags(row[column]) & _tags(profile.get(attribute, ""))
        }
        if self.domain == "finance" and not profile.get("risk_profile"):
            no |= {item_id for item_id, row in self.items.items() if row["unsuitable_for"]}
        if self.domain == "education":
            done: set[str] = set()
            for item_id, _, kind in history:
                if kind in ("enrol", "complete"):
                    done.add(item_id)
                elif kind == GIVEN_UP:
                    done.discard(item_id)
            needs = {
                i: _tags(row["prerequisites"]) & set(self.items) for i, row in self.items.items()
            }
            no |= {i for i, needed in needs.items() if needed - done}
            no |= {item_id for item_id, _, _ in history}
        return no


def _tags(cell: str) -> set[str]:
    return {tag.strip() for tag in cell.replace(",", "|").replace(";", "|").split("|")} - {""}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def shown_in_python(model, truth: Truth, cases) -> Iterator[tuple[str, int, list[str]]]:
    """Yield (surface, number of the user, ids)."""
    import numpy as np

    from metarec import Request
    from metarec.explanation.counterfactual import counterfactual
    from metarec.recommendation.ordering.rules import Rules

    requests = [Request(history=history, profile=profile) for profile, history in cases]
    rng = np.random.default_rng(0)
    ids = list(truth.items)
    pins = Rules(pin=ids[:40])
    ways = {
        "slate": {},
        "slate, wish": {},
        "pins": {"rules": pins},
        "explored": {"explore": 2.0},
        "explored, pins": {"explore": 2.0, "rules": pins},
        "diverse": {"diversity": 0.7},
        "whole catalog": {"k": len(ids)},
    }
    for surface, how in ways.items():
        asked = requests
        if surface == "slate, wish":
            asked = [
                Request(history=r.history, profile=r.profile, wish="nut dish") for r in requests
            ]
        for number, slate in enumerate(model.recommend(asked, rng=rng, **how)):
            yield surface, number, slate.item_ids
    for number, request in enumerate(requests):
        asked_about = model.questions([request], 5).items[0]
        yield "onboarding", number, model.vocabulary.names(asked_about[asked_about >= 0].tolist())
        first = model.recommend([request], k=1)[0].item_ids
        if first and number % 5 == 0:
            instead = counterfactual(model, request, first[0], max_tries=50)
            yield "explanation's alternatives", number, instead.slate


def shown_over_http(folder: Path, truth: Truth, cases) -> Iterator[tuple[str, int, list[str]]]:
    """Yield (surface, number of the user, ids), from a service on the saved model."""
    from starlette.testclient import TestClient

    from metarec.app.service.application import create_app
    from metarec.app.service.settings import ServiceSettings

    ids = list(truth.items)
    settings = ServiceSettings(
        model=str(folder), store=str(folder.parent / "events.db"), requests_per_second=0.0
    )
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        for number, (profile, history) in enumerate(cases):
            events = [
                {"item_id": item_id, "kind": kind, "value": value, "timestamp": 1e9 + place}
                for place, (item_id, value, kind) in enumerate(history)
            ]
            sent = {"history": events, "profile": profile}
            for surface, more in (
                ("slate", {}),
                ("pins", {"pin": ids[:20]}),
                ("explored", {"explore": 2.0}),
            ):
                answer = client.post("/v1/recommendations", json={**sent, **more, "k": 20})
                yield f"HTTP {surface}", number, _ids(answer)
            user = f"u{number}"
            client.put(f"/v1/users/{user}", json={"profile": profile}).raise_for_status()
            if events:
                stored = [{**event, "user_id": user} for event in events]
                client.post("/v1/events", json={"events": stored}).raise_for_status()
            yield (
                "HTTP stored user",
                number,
                _ids(client.post("/v1/recommendations", json={"user_id": user, "k": 20})),
            )
            like = f"/v1/items/{ids[number % len(ids)]}/similar"
            yield "HTTP similar", number, _ids(client.get(like, params={"user_id": user, "k": 20}))
            yield (
                "HTTP onboarding",
                number,
                _ids(client.get("/v1/onboarding", params={"user_id": user})),
            )


def _ids(answer) -> list[str]:
    answer.raise_for_status()
    return [item["item_id"] for item in answer.json()["items"]]


def count(world: Path, users: int, seed: int) -> dict[str, object]:
    """Fit the world as written, and count on every surface."""
    from metarec.recommender import Recommender

    truth, rng = Truth(world), random.Random(seed)
    cases = [(truth.profile(rng), truth.history(rng)) for _ in range(users)]
    forbidden = [truth.forbidden(profile, history) for profile, history in cases]
    shown, wrong = Counter(), Counter()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        words = ["fit", str(world), "--out", str(folder), "--preset", "tiny", "--encoder", "none"]
        fitted = subprocess.run(
            [sys.executable, "-m", "metarec.app.cli", *words, "--json"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        print(json.loads(fitted.stdout)["policy"]["words"][0], file=sys.stderr)
        model = Recommender.load(folder)
        surfaces = (shown_in_python(model, truth, cases), shown_over_http(folder, truth, cases))
        for surface, number, ids in (one for way in surfaces for one in way):
            shown[surface] += len(ids)
            wrong[surface] += len(set(ids) & forbidden[number])
    counted = {surface: {"shown": shown[surface], "forbidden": wrong[surface]} for surface in shown}
    return {
        "domain": truth.domain,
        "users": users,
        "forbidden_in_catalog": sum(map(len, forbidden)),
        "surfaces": counted,
        "forbidden": sum(wrong.values()),
    }


def main() -> None:
    read = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    read.add_argument("world", type=Path)
    read.add_argument("--users", type=int, default=500)
    read.add_argument("--seed", type=int, default=0)
    given = read.parse_args()
    print(json.dumps(count(given.world, given.users, given.seed), indent=1))


if __name__ == "__main__":
    main()

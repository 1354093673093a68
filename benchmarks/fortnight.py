"""Simulate two weeks of a service: users with held-out real ratings respond to its slates.

    python benchmarks/fortnight.py path/to/ml-100k --days 14 --new-users 20

New users arrive each day. They ask for slates and rate the items shown that they rated in the real
data, with those ratings; other items are passed over. A click is a shown item that they like. Three
services get the same users and explore alike:

- `still`: popularity and profile only, events are ignored;
- `adapting`: each event changes the next slate, the model stays;
- `loop`: adapting, and retrained on days 5 and 10 if the challenger is not worse for test users
  held out of the first data.

Printed are clicks per slate and NDCG@10 by visit, whether a sabotaged challenger was refused, and
whether drift of the catalog was detected.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

VISITS, K = 5, 10
RETRAIN_DAYS = (5, 10)


@dataclass
class UserInput:
    """A held-out user with their ratings, known for shown items only."""

    name: str
    profile: dict[str, object]
    ratings: dict[str, float]


@dataclass
class Arm:
    """One service, and the clicks and NDCG@10 of its users by visit."""

    name: str
    adapts: bool
    client: object
    clicks: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    ndcg: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", help="a data folder with ratings")
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--new-users", type=int, default=20, help="a day")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--explore", type=float, default=0.1, help="strength of exploration")
    parser.add_argument("--encoder", default="auto")
    parser.add_argument(
        "--test-users",
        type=float,
        default=0.15,
        help="share of the earlier users held out for evaluation, as `metarec fit --hold-out`",
    )
    parser.add_argument("--half", action="store_true", help="half of the users of the data")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fortnight(options, Path(folder))


def fortnight(options: argparse.Namespace, folder: Path) -> None:
    import metarec
    from metarec.app.retraining.loop import retrain
    from metarec.feedback.promotion import Guardrails

    rng = np.random.default_rng(options.seed)
    data = metarec.read(options.data)
    users, old = held_out(
        without_holdout_users(data, 0.5, rng) if options.half else data,
        options.days * options.new_users,
        rng,
    )
    liked_from = old.interactions.relevant_from

    def fit(data, **how):
        return metarec.Recommender.fit(
            data, preset=options.preset, seed=options.seed, encoder=options.encoder, **how
        )

    began = time.perf_counter()
    first = without_holdout_users(old, options.test_users, rng)
    fit(first).save(folder / "model")
    print(
        f"{len(users)} users held out, {len(old.interactions):,} events to begin with, "
        f"{options.test_users:.0%} of their users kept out "
        f"for evaluation; fitted in {time.perf_counter() - began:.0f} s",
        flush=True,
    )
    arms = [
        Arm(name, adapts, started(folder, name, options.explore))
        for name, adapts in (("still", False), ("adapting", True), ("loop", True))
    ]
    rails = Guardrails()
    for day in range(1, options.days + 1):
        for user in users[(day - 1) * options.new_users : day * options.new_users]:
            for arm in arms:
                visit_all(arm, user, liked_from)
        if day in RETRAIN_DAYS:
            done = retrain(
                str(folder / "loop" / "model"),
                str(folder / "loop" / "events.db"),
                data=old,
                fit=fit,
                rails=rails,
            )
            print(
                f"day {day}: challenger {'promoted' if done.promoted else 'refused'} "
                f"({done.decision.reason}); "
                f"{done.events_new} new events, {done.test_users} test users"
            )
            print_table(done)
    report(arms, options)
    sabotage(folder, old, fit, rails)
    drift(arms[2].client, old)
    for arm in arms:
        arm.client.__exit__(None, None, None)


def held_out(data, count: int, rng: np.random.Generator):
    """Return users for all days, and the data without them."""
    import metarec

    frame = data.interactions.frame
    rich = (
        frame.group_by("user_id")
        .len()
        .filter(pl.col("len") >= 40)
        .sort("user_id")["user_id"]
        .to_numpy()
    )
    if len(rich) < count:
        raise SystemExit(
            f"{len(rich)} users have 40 ratings, {count} are needed; take fewer days or new users"
        )
    names = rng.permutation(rich)[:count].tolist()
    profiles = data.users.of_users(names)
    ratings = {
        user: dict(rows.select("item_id", "value").iter_rows())
        for (user,), rows in frame.group_by("user_id")
        if user in set(names)
    }
    old = metarec.Dataset(
        interactions=data.interactions.keep(frame.filter(~pl.col("user_id").is_in(names))),
        items=data.items,
        users=data.users,
        name=data.name,
    )
    return [
        UserInput(name, profile, ratings[name])
        for name, profile in zip(names, profiles, strict=True)
    ], old


def without_holdout_users(data, share: float, rng: np.random.Generator):
    """Return the data without a share of its users."""
    frame = data.interactions.frame
    users = frame["user_id"].unique().sort().to_numpy()
    return data.with_interactions(
        frame.filter(
            ~pl.col("user_id").is_in(rng.permutation(users)[: int(share * len(users))].tolist())
        )
    )


def started(folder: Path, name: str, explore: float):
    from starlette.testclient import TestClient

    from metarec.app.service.application import create_app
    from metarec.app.service.settings import ServiceSettings

    shutil.copytree(folder / "model", folder / name / "model")
    app = create_app(
        ServiceSettings(
            model=str(folder / name / "model"),
            store=str(folder / name / "events.db"),
            requests_per_second=0,
            explore=explore,
            watch_seconds=0.2,
        )
    )
    client = TestClient(app, base_url="http://127.0.0.1")
    client.__enter__()
    return client


def visit_all(arm: Arm, user: UserInput, liked_from: float) -> None:
    """Simulate the visits of one user: each asks for a slate and sends the user's ratings as
    events.
    """
    shown_before: list[str] = []
    arm.client.put(f"/v1/users/{user.name}", json={"profile": user.profile})
    for visit in range(VISITS):
        known = {"user_id": user.name} if arm.adapts else {"profile": user.profile}
        slate = arm.client.post(
            "/v1/recommendations", json={**known, "k": K, "exclude": shown_before}
        ).json()
        items = [item["item_id"] for item in slate["items"]]
        gains = np.array([float(user.ratings.get(item, 0.0) >= liked_from) for item in items])
        left = sum(
            value >= liked_from for item, value in user.ratings.items() if item not in shown_before
        )
        arm.clicks[visit].append(gains.sum())
        arm.ndcg[visit].append(ndcg(gains, left))
        shown_before += items
        events = [
            {
                "event_id": f"{user.name}-{item}",
                "user_id": user.name,
                "item_id": item,
                "slate_id": slate["slate_id"],
                "kind": "rating",
                "value": user.ratings[item],
            }
            for item in items
            if item in user.ratings
        ]
        if events and arm.adapts:
            assert arm.client.post("/v1/events", json={"events": events}).status_code == 200


def ndcg(gains: np.ndarray, liked: int) -> float:
    """Return the binary NDCG of a slate; relevant is everything the user would still like."""
    discount = 1.0 / np.log2(np.arange(2, len(gains) + 2))
    best = discount[: min(liked, len(discount))].sum()
    return float((gains * discount).sum() / best) if best else 0.0


def report(arms: list[Arm], options: argparse.Namespace) -> None:
    print(f"\nmean over {options.days * options.new_users} new users; visit 1 is before any event")
    print(f"{'':<12}" + "".join(f"visit {visit + 1:<6}" for visit in range(VISITS)) + "all")
    for arm in arms:
        for label, values in (("clicks", arm.clicks), ("NDCG@10", arm.ndcg)):
            means = [float(np.mean(values[visit])) for visit in range(VISITS)]
            print(
                f"{arm.name:<9} {label:<8}"
                + "".join(f"{mean:<12.3f}" for mean in means)
                + f"{np.mean(means):.3f}"
            )
    day = np.repeat(np.arange(1, options.days + 1), options.new_users)
    for metric in ("NDCG@10", "clicks"):
        still, adapting, loop = (
            np.mean(
                [
                    (arm.ndcg if metric == "NDCG@10" else arm.clicks)[visit]
                    for visit in range(VISITS)
                ],
                axis=0,
            )
            for arm in arms
        )  # [users], the mean of each over their visits
        retrained = day > min(RETRAIN_DAYS)
        for label, gain in (
            ("adapting - still", adapting - still),
            ("loop - still", loop - still),
            ("loop - adapting, before the first retraining", (loop - adapting)[~retrained]),
            ("loop - adapting, after it", (loop - adapting)[retrained]),
        ):
            half = 1.96 * gain.std(ddof=1) / np.sqrt(len(gain))
            print(
                f"{metric:<8} {label}: {gain.mean():+.4f} [{gain.mean() - half:+.4f}, "
                f"{gain.mean() + half:+.4f}] ({len(gain)} users)"
            )


def sabotage(folder: Path, old, fit, rails) -> None:
    """Retrain on events with shuffled items, and print whether the challenger is refused."""
    from metarec.app.retraining.loop import retrain

    def shuffled(data, **how):
        frame = data.interactions.frame
        moved = frame.with_columns(frame["item_id"].shuffle(seed=1)).unique(
            ["user_id", "item_id"], maintain_order=True
        )
        return fit(data.with_interactions(moved), **how)

    done = retrain(
        str(folder / "loop" / "model"),
        str(folder / "loop" / "events.db"),
        data=old,
        fit=shuffled,
        rails=rails,
    )
    print(
        f"\nsabotaged challenger: {'PROMOTED' if done.promoted else 'refused'}: "
        f"{done.decision.reason}"
    )
    print_table(done)


def print_table(done) -> None:
    for check in done.decision.checks:
        print(f"    {'ok   ' if check.passed else 'WORSE'} {check.sentence}", flush=True)


def drift(client, old) -> None:
    """Print the measured drift before and after events half of which are on new items."""
    watch = client.app.state.service.monitor
    before = watch.look(time.time() + 100)
    counts = (
        old.interactions.frame.group_by("item_id").len().sort("len", "item_id")["item_id"].to_list()
    )
    events = [
        {
            "event_id": f"d{n}",
            "user_id": f"d{n % 40}",
            "kind": "like",
            "item_id": f"fresh{n % 30}" if n % 2 else counts[n % 200],
        }
        for n in range(1_200)
    ]
    for start in range(0, len(events), 400):
        assert (
            client.post("/v1/events", json={"events": events[start : start + 400]}).status_code
            == 200
        )
    after = watch.look(time.time() + 200)
    for label, look in (("before", before), ("after", after)):
        print(f"drift {label}: {look.drift}\n    reasons to retrain: {look.reasons or 'none'}")


if __name__ == "__main__":
    main()

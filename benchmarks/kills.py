"""Kill a service and its jobs again and again, on SQLite or PostgreSQL, and count what was lost.

python benchmarks/kills.py --store sqlite         # 40 under load, 10 in the midst of each job
python benchmarks/kills.py --store postgresql --load 40 --amid 10 --json kills.json
python benchmarks/kills.py --only merges --amid 50
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent.parent / "tests"), str(Path(__file__).parent / "attack")]

# The tests' own processes and servers, found once their folder is on the path (hence E402).
from bounds import Check, arguments, conclude, none_of  # noqa: E402

from feedback.cluster import Cluster, private_cluster  # noqa: E402
from journeys.kills import Outcome, kill_again_and_again  # noqa: E402
from journeys.kills_amid import (  # noqa: E402
    Left,
    kill_forgetting,
    kill_imports,
    kill_merges,
    kill_migrations,
    kill_promotions,
    kill_retraining,
    rename_users,
)
from world import tiny_world  # noqa: E402

LOAD = "load"


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--load", type=int, default=40, help="Kills of the service under load.")
    parser.add_argument("--amid", type=int, default=10, help="Kills in the midst of each job.")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", help="One series: load, promotions, migrations, ...")
    options = parser.parse_args()
    checks: list[Check] = []
    found: dict[str, Any] = {"store": options.store}
    with prepared(options.store) as (folder, cluster):
        for name, series in all_series(folder, cluster, options).items():
            if options.only in (None, name):
                done = series()
                checks += checks_of(f"{options.store}, {name}", done)
                found[name] = vars(done)
                print(f"{name} done", file=sys.stderr, flush=True)
    conclude(checks, found, options.json)


@contextlib.contextmanager
def prepared(store: str) -> Iterator[tuple[Path, Cluster | None]]:
    """Yield a folder with a saved model, and a PostgreSQL server where one is needed."""
    from metarec import Recommender

    server = private_cluster() if store == "postgresql" else contextlib.nullcontext()
    with tempfile.TemporaryDirectory() as temporary, server as cluster:
        folder = Path(temporary)
        world = tiny_world(ratings=True).data
        Recommender.fit(world, preset="tiny", seed=0, encoder="tfidf").save(folder / "model")
        rename_users(folder / "model")
        yield folder, cluster


def all_series(
    folder: Path, cluster: Cluster | None, options: Any
) -> dict[str, Callable[[], Outcome | Left]]:
    """Return name -> series of kills that counts losses; each has its own store."""

    def url(name: str) -> str:
        (folder / name).mkdir(exist_ok=True)
        return cluster.new_database(name) if cluster else str(folder / name / "events.db")

    model, kills = folder / "model", options.amid
    return {
        LOAD: lambda: kill_again_and_again(
            model, url("load"), options.load, workers=options.workers, told=tell
        ),
        "promotions": lambda: kill_promotions(model, kills),
        "migrations": lambda: kill_migrations(lambda n: url(f"old{n}"), kills),
        "imports": lambda: kill_imports(lambda n: url(f"import{n}"), folder, kills),
        "merges": lambda: kill_merges(url("merges"), kills),
        "retraining": lambda: kill_retraining(model, url("retraining"), kills),
        "forgetting": lambda: kill_forgetting(
            model, url("forgetting"), kills, server=cluster.folder if cluster else None
        ),
    }


def checks_of(name: str, done: Outcome | Left) -> list[Check]:
    """Return the checks that nothing was lost, duplicated or invented in a series of kills."""
    if isinstance(done, Left):
        return [none_of(f"{name}: {done.kills} kills, {done.in_midst} at work", done.problems, 1)]
    for what, seconds in [*done.back.items(), ("some, until all workers answer", done.whole)]:
        if seconds:
            tell(
                f"back after the kill of {what}: {statistics.median(seconds):.2f} s (median of "
                f"{len(seconds)}), {max(seconds):.2f} s (most)"
            )
    under = f"{name}: {done.kills} kills, {done.acknowledged:,} events acknowledged"
    return [
        Check(what=f"{under}; {what}", measured=number, bound="0", holds=number == 0)
        for what, number in {
            "lost": done.lost,
            "doubled": done.doubled,
            "never sent": done.unsent,
        }.items()
    ]


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

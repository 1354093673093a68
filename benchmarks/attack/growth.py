"""Measure the growth of an idle worker's memory with the slates of a day in its store.

    python benchmarks/attack/growth.py [--model MODEL] [--slates 300000] [--json FILE]

The slates are written into the store directly; the service reads only what it reads by itself.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from pathlib import Path

from bounds import arguments, at_most, conclude
from service import resident_mb, serving

PLACES = 10
MAX_MB = 100.0
"""Maximum growth of an idle worker; it was 900 once."""


def write_slates(store_url: str, many: int) -> None:
    """Write so many slates of the last day."""
    from metarec.feedback import open_store
    from metarec.feedback.events import Impression

    store, now = open_store(store_url), time.time()
    for start in range(0, many, 2_000):
        store.show(
            [
                Impression(
                    slate_id=uuid.uuid4().hex,
                    user_id=f"u{n % 5_000}",
                    item_ids=[f"i{(n + place) % 2_000}" for place in range(PLACES)],
                    scores=[0.5] * PLACES,
                    propensity=[1.0] * PLACES,
                    model_version="m",
                    timestamp=now - 80_000.0 * n / many,
                    shots=n % 9,
                )
                for n in range(start, min(many, start + 2_000))
            ]
        ).result()
    store.close()


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--slates", type=int, default=300_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / "events.db")
        with serving(options.model, keyed=False, store=store) as (_, process):
            time.sleep(5)
            found = {"slates": options.slates, "before_mb": resident_mb(process.pid)}
            write_slates(store, options.slates)
            highest = 0.0
            for _ in range(30):
                time.sleep(1)
                highest = max(highest, resident_mb(process.pid))
            found |= {"highest_mb": highest, "after_mb": resident_mb(process.pid)}
    grown = round(found["highest_mb"] - found["before_mb"], 1)
    conclude([at_most("growth in MB", grown, MAX_MB)], found, options.json)


if __name__ == "__main__":
    main()

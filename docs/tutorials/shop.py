"""A small made-up shop with a known truth, for the tutorials: `python shop.py FOLDER`.

Users like one or two of four departments. They view many things, and buy after a view. The tables
are the same on each machine: the seed is fixed.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

DEPARTMENTS = {
    "camping": ("tent", "sleeping bag", "stove", "lamp", "trekking poles"),
    "garden": ("pruning shears", "planter", "watering can", "seeds", "rake"),
    "kitchen": ("espresso machine", "grinder", "kettle", "pan", "knife"),
    "office": ("keyboard", "monitor", "desk lamp", "chair", "notebook"),
}
WORDS = {
    "camping": "for nights outdoors, light and waterproof",
    "garden": "for beds and balconies, made of steel and wood",
    "kitchen": "for coffee and cooking, easy to clean",
    "office": "for long days at the desk, quiet and plain",
}
USERS, EACH, START, DAY = 400, 4, 1_750_000_000, 86_400


def items() -> list[dict[str, object]]:
    """80 items: four makes of each of twenty things."""
    rng = np.random.default_rng(1)
    return [
        {
            "item_id": f"{thing.replace(' ', '-')}-{make}",
            "title": f"{thing.capitalize()} no. {make}",
            "text": f"{thing} {WORDS[department]}",
            "categories": department,
            "price": round(float(rng.uniform(10, 200)), 2),
        }
        for department, things in DEPARTMENTS.items()
        for thing in things
        for make in range(1, EACH + 1)
    ]


def events(catalog: list[dict[str, object]]) -> list[dict[str, object]]:
    """Each user's days: a view, and every third time a purchase of what was viewed."""
    rng = np.random.default_rng(2)
    departments = np.array([row["categories"] for row in catalog])
    common = rng.zipf(1.6, len(catalog)).clip(max=20).astype(float)
    told = []
    for user in range(USERS):
        liked = rng.choice(list(DEPARTMENTS), size=rng.integers(1, 3), replace=False)
        chance = common * np.where(np.isin(departments, liked), 8.0, 1.0)
        viewed = rng.choice(
            len(catalog), size=rng.integers(4, 25), replace=False, p=chance / chance.sum()
        )
        at = START + int(rng.integers(0, 200)) * DAY
        for place in viewed:
            at += int(rng.integers(60, DAY))
            loved = bool(np.isin(departments[place], liked))
            acts = ["view", "purchase"] if loved and rng.random() < 0.5 else ["view"]
            for later, kind in enumerate(acts):
                told.append(
                    {
                        "user_id": f"u{user}",
                        "item_id": catalog[place]["item_id"],
                        "kind": kind,
                        "timestamp": at + 30 * later,
                    }
                )
    return told


def write(folder: Path) -> Path:
    """`interactions.csv` and `items.csv` in `folder`, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    catalog = items()
    for name, rows in (("items", catalog), ("interactions", events(catalog))):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return folder


if __name__ == "__main__":
    write(Path(sys.argv[1]))

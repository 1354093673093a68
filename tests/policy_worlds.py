"""Small data folders whose policies are known by construction, one for each pack that forbids: all
users take what pleases them, and what is forbidden to them is the most popular.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

START = 1_700_000_000


def write_world(folder: Path, domain: str, seed: int = 0) -> Path:
    """A data folder with a `metarec.toml` that names the domain."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    tables = MAKERS[domain](rng)
    for name, table in tables.items():
        table.write_csv(folder / f"{name}.csv")
    files = "\n".join(f'{name} = "{name}.csv"' for name in tables)
    text = f'name = "small {domain}"\ndomain = "{domain}"\n\n[[sources]]\n{files}\n'
    (folder / "metarec.toml").write_text(text, encoding="utf-8")
    return folder


def _health(rng: np.random.Generator) -> dict[str, pl.DataFrame]:
    allergens = ["nuts", "milk|egg", "", "fish, milk", ""]
    items = pl.DataFrame(
        {
            "recipe_id": [f"F{n:02d}" for n in range(40)],
            "recipe_name": [
                f"{['nut', 'cream', 'rice', 'fish', 'bean'][n % 5]} {n}" for n in range(40)
            ],
            "allergens": [allergens[n % 5] for n in range(40)],
            "contraindications": [["", "diabetes", "", "hypertension"][n % 4] for n in range(40)],
            "sodium_mg": [200 + 50 * (n % 20) for n in range(40)],
        }
    )
    users = pl.DataFrame(
        {
            "patient_id": [f"H{n:02d}" for n in range(60)],
            "systolic": rng.integers(100, 180, 60),
            "conditions": rng.choice(["", "diabetes", "hypertension", "diabetes|hypertension"], 60),
            "allergies": rng.choice(["", "nuts", "milk", "egg|fish"], 60),
        }
    )
    return {
        "interactions": _events(rng, "patient_id", users, "recipe_id", items),
        "items": items,
        "users": users,
    }


def _finance(rng: np.random.Generator) -> dict[str, pl.DataFrame]:
    unsuitable = ["conservative", "", "conservative|balanced", ""]
    items = pl.DataFrame(
        {
            "isin": [f"DE{n:02d}" for n in range(40)],
            "fund_name": [f"{['equity', 'bond', 'crypto', 'cash'][n % 4]} {n}" for n in range(40)],
            "unsuitable_for": [unsuitable[n % 4] for n in range(40)],
            "barred_countries": [["", "US", "", "", "US|FR"][n % 5] for n in range(40)],
        }
    )
    users = pl.DataFrame(
        {
            "client": [f"K{n:02d}" for n in range(60)],
            "risk_profile": rng.choice(["conservative", "balanced", "aggressive"], 60),
            "country": rng.choice(["US", "FR", "DE"], 60),
        }
    )
    return {
        "interactions": _events(rng, "client", users, "isin", items),
        "items": items,
        "users": users,
    }


def _education(rng: np.random.Generator) -> dict[str, pl.DataFrame]:
    before = [
        "" if n < 10 else f"C{n - 10:02d}" if n < 25 else f"C{n - 10:02d}|C{n - 20:02d}"
        for n in range(40)
    ]
    items = pl.DataFrame(
        {
            "course_key": [f"C{n:02d}" for n in range(40)],
            "course_title": [f"{['data', 'law', 'art'][n % 3]} {n}" for n in range(40)],
            "prerequisites": before,
        }
    )
    users = pl.DataFrame({"student_id": [f"S{n:02d}" for n in range(60)]})
    return {"interactions": _events(rng, "student_id", users, "course_key", items), "items": items}


def _events(
    rng: np.random.Generator, user: str, users: pl.DataFrame, item: str, items: pl.DataFrame
) -> pl.DataFrame:
    """Everyone takes a dozen items, those with the lowest numbers most."""
    chance = 1.0 / (1.0 + np.arange(items.height))
    rows = [
        (user_id, item_id, START + place)
        for user_id in users[user]
        for place, item_id in enumerate(
            rng.choice(items[item].to_numpy(), 12, replace=False, p=chance / chance.sum())
        )
    ]
    return pl.DataFrame(rows, schema=[user, item, "timestamp"], orient="row").with_columns(
        pl.lit("enrol" if user == "student_id" else "buy" if user == "client" else "cook").alias(
            "action"
        )
    )


MAKERS: dict[str, Callable[[np.random.Generator], dict[str, pl.DataFrame]]] = {
    "health": _health,
    "finance": _finance,
    "education": _education,
}

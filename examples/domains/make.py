"""Write the example tables of the seven domains: `python examples/domains/make.py [FOLDER]`.

Each is made from a seed, in the field's own column names, and small enough to read. What is true of
it is said in `metarec domains NAME`.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

HERE = Path(__file__).parent
Rows = list[dict[str, Any]]
Tables = dict[str, Rows]


def main(folder: Path) -> None:
    """Write every domain's folder."""
    for number, (name, make) in enumerate(MAKERS.items()):
        tables, policy = make(np.random.default_rng(number)), POLICIES.get(name, "")
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        for table, rows in tables.items():
            pl.DataFrame(rows, infer_schema_length=None).write_csv(place / f"{table}.csv")
        files = "\n".join(f'{table} = "{table}.csv"' for table in tables)
        text = f'name = "{name} example"\ndomain = "{name}"\n{policy}\n[[sources]]\n{files}\n'
        (place / "metarec.toml").write_text(text, encoding="utf-8")


def day(number: float) -> str:
    """A moment so many days into 2026."""
    return (dt.datetime(2026, 1, 1) + dt.timedelta(days=number)).isoformat(timespec="minutes")


def choose(rng: np.random.Generator, chances: Sequence[float] | np.ndarray, size: int) -> list[int]:
    """So many different indexes, by chances."""
    weights = np.asarray(chances, np.float64)
    size = min(size, int((weights > 0).sum()))
    return rng.choice(len(weights), size=size, replace=False, p=weights / weights.sum()).tolist()


def education(rng: np.random.Generator) -> Tables:
    """Each course needs one of the level below; students follow the path of their goal."""
    paths = {"DA": "data analyst", "WE": "web developer", "DE": "designer", "LA": "translator"}
    courses = [
        {
            "course_key": f"{code}{level}{part}",
            "course_title": f"{goal.title()} {('basics', 'practice', 'projects')[level - 1]} "
            f"{part}",
            "subject": goal.split()[0],
            "goals": goal,
            "level": level,
            "hours": 10 * level + 2 * part,
            "prerequisites": f"{code}{level - 1}{part}" if level > 1 else "",
        }
        for code, goal in paths.items()
        for level in (1, 2, 3)
        for part in (1, 2, 3)
    ]
    students: Rows = []
    events: Rows = []
    for number in range(90):
        code = list(paths)[number % 4]
        student = f"S{number:02d}"
        level = int(rng.integers(1, 4))
        students.append(
            {
                "student_id": student,
                "goal": paths[code],
                "level": level,
                "hours_free": int(rng.integers(12, 60)),
            }
        )
        when = float(rng.integers(0, 60))
        for part in rng.permutation([1, 2, 3]):
            for step in range(1, level + 1):
                when += float(rng.uniform(3, 20))
                acts = ["view", "enrol", "drop" if rng.random() < 0.1 else "complete"]
                for offset, act in enumerate(acts):
                    events.append(
                        {
                            "student_id": student,
                            "course_key": f"{code}{step}{part}",
                            "action": act,
                            "start_time": day(when + offset),
                        }
                    )
                if acts[-1] == "drop":
                    break
        aside = courses[int(rng.integers(len(courses)))]["course_key"]
        events.append(
            {
                "student_id": student,
                "course_key": aside,
                "action": "view",
                "start_time": day(when + 5),
            }
        )
    return {"interactions": events, "items": courses, "users": students}


def health(rng: np.random.Generator) -> Tables:
    """Users cook one or two kinds of dish; allergens, conditions and blood values forbid some."""
    kinds = ["soup", "salad", "fish", "curry", "dessert"]
    recipes = [
        {
            "recipe_id": f"R{kind}{number:02d}",
            "recipe_name": f"{kinds[kind].title()} no. {number}",
            "diet": kinds[kind],
            "allergens": ["", "nuts", "none", "milk|egg"][number % 4] if kind != 2 else "fish",
            "contraindications": "hypertension" if number % 7 == 3 else "",
            "sugar_g": [3, 4, 2, 6, 28][kind] + number % 5 if number != 9 else None,
            "sodium_mg": [900, 300, 500, 700, 150][kind] + 20 * number,
        }
        for kind in range(5)
        for number in range(10)
    ]
    patients: Rows = []
    events: Rows = []
    for number in range(80):
        diabetic, tense = rng.random() < 0.3, rng.random() < 0.3
        allergy = ["", "", "nuts", "milk", "none"][int(rng.integers(5))]
        patients.append(
            {
                "patient_id": f"H{number:02d}",
                "hba1c": round(float(rng.normal(7.8 if diabetic else 5.4, 0.4)), 1),
                "systolic": f"{int(rng.normal(152 if tense else 122, 6))} mmHg",
                "allergies": allergy,
                "conditions": "hypertension" if tense else "none",
            }
        )
        favorite = rng.integers(5, size=2)
        fits = np.array(
            [
                (4.0 if n // 10 in favorite else 0.4)
                * (allergy not in str(recipe["allergens"]).split("|") or allergy in ("", "none"))
                * (0.05 if diabetic and (recipe["sugar_g"] or 0) > 15 else 1.0)
                for n, recipe in enumerate(recipes)
            ]
        )
        for step, item in enumerate(choose(rng, fits, int(rng.integers(7, 13)))):
            events.append(
                {
                    "patient_id": f"H{number:02d}",
                    "recipe_id": recipes[item]["recipe_id"],
                    "action": ["cook", "eat", "view"][int(rng.integers(3))],
                    "eaten_at": day(number / 4 + 2 * step),
                }
            )
    return {"interactions": events, "items": recipes, "users": patients}


def finance(rng: np.random.Generator) -> Tables:
    """The risk profile decides the class of fund."""
    classes = ["equity", "bond", "money market", "crypto", "real estate"]
    shares = {
        "conservative": [0.02, 0.5, 0.38, 0.0, 0.1],
        "balanced": [0.35, 0.3, 0.1, 0.05, 0.2],
        "aggressive": [0.5, 0.05, 0.0, 0.4, 0.05],
    }
    funds = [
        {
            "isin": f"FD{kind}{number:02d}",
            "fund_name": f"{classes[kind].title()} fund {number}",
            "asset_class": classes[kind],
            "unsuitable_for": ["conservative", "none", "none", "conservative|balanced", ""][kind],
            "barred_countries": "US" if kind == 3 else "none",
            "currency": "EUR" if number % 2 else "USD",
            "horizon_years": [8, 5, 1, 10, 7][kind],
            "ongoing_charge": round(float(rng.uniform(0.1, 1.8)), 2),
        }
        for kind in range(5)
        for number in range(8)
    ]
    clients: Rows = []
    events: Rows = []
    for number in range(90):
        risk = list(shares)[int(rng.integers(3))]
        country = ["DE", "FR", "US"][int(rng.integers(3))]
        clients.append(
            {
                "client": f"K{number:02d}",
                "risk_profile": risk,
                "country": country,
                "currency": "USD" if country == "US" else "EUR",
                "horizon_years": int(rng.integers(1, 15)),
            }
        )
        chances = [
            shares[risk][classes.index(str(fund["asset_class"]))]
            * (country not in str(fund["barred_countries"]))
            * (risk not in str(fund["unsuitable_for"]))
            for fund in funds
        ]
        for step, item in enumerate(choose(rng, chances, int(rng.integers(5, 9)))):
            act = ["buy", "buy", "watchlist", "sell"][int(rng.integers(4))]
            events.append(
                {
                    "client": f"K{number:02d}",
                    "isin": funds[item]["isin"],
                    "action": act,
                    "trade_date": day(number / 3 + 5 * step),
                }
            )
    return {"interactions": events, "items": funds, "users": clients}


def logistics(rng: np.random.Generator) -> Tables:
    """Near loads are taken, if they fit the vehicle and the hours."""
    cities = {"Hamburg": (53.55, 10.0), "Berlin": (52.52, 13.4), "Munich": (48.14, 11.58)}
    names, places = list(cities), np.array(list(cities.values()))
    loads: Rows = []
    for number in range(60):
        lat, lon = places[number % 3] + rng.normal(0, 0.3, 2)
        start = int(rng.integers(6, 16))
        loads.append(
            {
                "load_id": f"L{number:03d}",
                "lane": f"{names[number % 3]} load {number}",
                "cargo_type": ["steel", "food", "parcels"][int(rng.integers(3))],
                "latitude": round(float(lat), 3),
                "longitude": round(float(lon), 3),
                "weight_t": round(float(rng.uniform(1, 22)), 1),
                "pickup_from": start,
                "pickup_until": start + 3,
                "hazard_class": "3" if number % 9 == 0 else "none",
                "vehicle_needed": "reefer" if number % 7 == 0 else "none",
            }
        )
    spots = np.array([[load["latitude"], load["longitude"]] for load in loads])
    carriers: Rows = []
    events: Rows = []
    for number in range(90):
        home = places[int(rng.integers(3))] + rng.normal(0, 0.4, 2)
        capacity, start = float(rng.choice([7.5, 12, 24])), int(rng.integers(5, 12))
        license = "3" if rng.random() < 0.5 else "none"
        lacks = "reefer" if rng.random() < 0.6 else "none"
        carriers.append(
            {
                "carrier_id": f"T{number:02d}",
                "latitude": round(float(home[0]), 3),
                "longitude": round(float(home[1]), 3),
                "capacity_t": capacity,
                "free_from": start,
                "free_until": start + 8,
                "hazards_not_licensed": license,
                "vehicles_lacking": lacks,
            }
        )
        km = 111 * np.hypot(spots[:, 0] - home[0], 0.62 * (spots[:, 1] - home[1]))
        fits = np.array(
            [
                load["weight_t"] <= capacity
                and load["pickup_until"] >= start
                and load["pickup_from"] <= start + 8
                and not (
                    load["hazard_class"] == license == "3"
                    or load["vehicle_needed"] == lacks == "reefer"
                )
                for load in loads
            ]
        )
        for step, item in enumerate(choose(rng, np.exp(-km / 25) * fits, 7)):
            act = ["accept", "deliver", "bid"][int(rng.integers(3))]
            events.append(
                {
                    "carrier_id": f"T{number:02d}",
                    "load_id": loads[item]["load_id"],
                    "action": act,
                    "pickup_time": day(number / 9 + 2 * step),
                }
            )
    return {"interactions": events, "items": loads, "users": carriers}


def travel(rng: np.random.Generator) -> Tables:
    """Families, couples and friends, each with a season and a budget."""
    kinds = ["beach", "mountain", "town", "farm"]
    stays = [
        {
            "hotel_id": f"V{kind}{number:02d}",
            "hotel_name": f"{kinds[kind].title()} house {number}",
            "place_type": kinds[kind],
            "price_per_night": 40 + 15 * (number % 8) + 20 * kind,
            "closed_in": ["winter", "none", "none", "winter"][kind] if number % 3 else "none",
            "best_season": ["summer", "winter", "spring|autumn", "summer"][kind],
            "good_for": [
                ["children", "couples"],
                ["friends", "children"],
                ["couples", "friends"],
                ["children", "friends"],
            ][kind][number % 2],
            "not_for": "children" if number % 5 == 4 else "none",
            "inaccessible_for": "wheelchair" if number % 4 == 1 else "none",
        }
        for kind in range(4)
        for number in range(10)
    ]
    guests: Rows = []
    events: Rows = []
    for number in range(90):
        company = ["children", "couples", "friends"][int(rng.integers(3))]
        season = ["summer", "winter", "spring", "autumn"][int(rng.integers(4))]
        budget = int(rng.choice([80, 110, 160]))
        guests.append(
            {
                "guest_id": f"G{number:02d}",
                "companions": company,
                "season": season,
                "budget_per_night": budget,
                "access_needs": "wheelchair" if rng.random() < 0.15 else "none",
            }
        )
        fits = np.array(
            [
                (1 + 5 * (company == stay["good_for"]))
                * (1 + 4 * (season in stay["best_season"]))
                * (season != stay["closed_in"])
                * (company != stay["not_for"])
                * (stay["price_per_night"] <= budget)
                for stay in stays
            ]
        )
        for step, item in enumerate(choose(rng, fits, 6)):
            act = ["book", "visit", "view", "wishlist"][int(rng.integers(4))]
            events.append(
                {
                    "guest_id": f"G{number:02d}",
                    "hotel_id": stays[item]["hotel_id"],
                    "action": act,
                    "booking_time": day(number / 2 + 4 * step),
                }
            )
    return {"interactions": events, "items": stays, "users": guests}


def shop(rng: np.random.Generator) -> Tables:
    """Everyone buys from one department and looks at others."""
    departments = ["coffee", "camping", "garden", "gaming"]
    products = [
        {
            "sku": f"P{part}{number:02d}",
            "product_desc": f"{departments[part].title()} article {number}",
            "department": departments[part],
            "price": round(float(rng.lognormal(3, 0.6)), 2),
            "in_stock": number != 8,
        }
        for part in range(4)
        for number in range(10)
    ]
    shoppers: Rows = []
    events: Rows = []
    for number in range(80):
        part = int(rng.integers(4))
        shoppers.append({"customer": f"C{number:02d}", "interests": departments[part]})
        own = np.array([4.0 if n // 10 == part else 0.15 for n in range(40)])
        for step, item in enumerate(choose(rng, own, 8)):
            acts = ["view", "purchase"] if item // 10 == part and rng.random() < 0.7 else ["view"]
            for offset, act in enumerate(acts):
                events.append(
                    {
                        "customer": f"C{number:02d}",
                        "sku": products[item]["sku"],
                        "action": act,
                        "ordered_at": day(number / 3 + 2 * step + offset / 9),
                    }
                )
    return {"interactions": events, "items": products, "users": shoppers}


def social(rng: np.random.Generator) -> Tables:
    """Every reader likes one topic and hides another."""
    topics = ["football", "cats", "cooking", "astronomy", "fashion", "politics"]
    posts = [
        {
            "post_id": f"B{topic}{number:02d}",
            "title": f"{topics[topic].title()} post {number}",
            "body": f"all about {topics[topic]}",
            "hashtags": topics[topic],
            "min_age": 18 if number % 5 == 0 else 0,
        }
        for topic in range(6)
        for number in range(8)
    ]
    readers: Rows = []
    events: Rows = []
    for number in range(90):
        liked, age = int(rng.integers(6)), int(rng.integers(13, 60))
        hidden = (liked + 1) % 6
        readers.append({"reader_id": f"N{number:02d}", "interests": topics[liked], "age": age})
        for step in range(int(rng.integers(8, 14))):
            topic = [liked, liked, hidden, int(rng.integers(6))][int(rng.integers(4))]
            act = "hide" if topic == hidden else "impression" if topic != liked else "like"
            post = posts[8 * topic + int(rng.integers(8))]
            if post["min_age"] <= age:
                events.append(
                    {
                        "reader_id": f"N{number:02d}",
                        "post_id": post["post_id"],
                        "action": act,
                        "read_at": day(number / 9 + step / 3),
                    }
                )
    return {"interactions": events, "items": posts, "users": readers}


MAKERS: dict[str, Callable[[np.random.Generator], Tables]] = {
    "e-commerce": shop,
    "education": education,
    "finance": finance,
    "health": health,
    "logistics": logistics,
    "social": social,
    "travel": travel,
}
POLICIES = {
    "e-commerce": '\n[policy]\navailable = "in_stock"\n',
    "health": '\n[policy]\nrules = [\n  "sugar_g > 15 when hba1c >= 6.5",\n'
    '  "sodium_mg > 800 when systolic >= 140",\n]\n',
    "social": '\n[policy]\nrules = ["min_age > user.age"]\n',
}
"""What the owner of a table says over the pack."""

if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)

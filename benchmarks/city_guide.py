"""A synthetic city guide with known probabilities of choice. How much do location, weather, hour,
friends and searches improve slates for new users, and how far is metarec from the optimum?

    python benchmarks/city_guide.py --folder city --preset tiny --json city.json

Venues are of eight kinds in three cities. Users choose them by taste, distance to the center of
their city, popularity, and context: bars at night, no parks and more museums in rain. A third of
their events are on venues of their circle of friends. A quarter of the events follow, after five
minutes, a search for a word of the venue's kind. The phone has no effect. Tables and columns have
Chinese names, as `metarec data check FOLDER` lists them.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CITIES = {"北京": (39.90, 116.40), "上海": (31.23, 121.47), "成都": (30.66, 104.06)}
WORDS = {
    "咖啡馆": ("手冲咖啡", "拿铁", "安静"),
    "火锅店": ("麻辣", "牛油锅底", "涮肉"),
    "书店": ("小说", "绘本", "阅读"),
    "健身房": ("瑜伽", "力量训练", "游泳"),
    "酒吧": ("精酿", "鸡尾酒", "现场音乐"),
    "博物馆": ("青铜器", "展览", "古画"),
    "公园": ("散步", "湖", "樱花"),
    "面馆": ("牛肉面", "拉面", "小吃"),
}
KINDS = tuple(WORDS)
VENUES, USERS, CIRCLES, ASKED, KNOWN = 360, 900, 60, 200, (0, 1, 3, 5)
SOCIAL, SEARCHED, RAIN = 0.3, 0.25, 0.3
ACTS = {"浏览": 0.4, "到店": 0.4, "收藏": 0.15, "不感兴趣": 0.05}
START = dt.datetime(2025, 3, 1)


@dataclass(frozen=True, kw_only=True)
class World:
    """Venues, and the venues of each circle of friends."""

    city: np.ndarray
    kind: np.ndarray
    degrees: np.ndarray
    popularity: np.ndarray
    circles: list[np.ndarray]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> World:
        """Draw a world."""
        city, kind = rng.choice(list(CITIES), VENUES), rng.choice(KINDS, VENUES)
        popularity = rng.pareto(1.5, VENUES) + 0.3
        share = popularity / popularity.sum()
        return cls(
            city=city,
            kind=kind,
            degrees=np.array([CITIES[name] for name in city]) + rng.normal(0, 0.05, (VENUES, 2)),
            popularity=popularity,
            circles=[rng.choice(VENUES, 6, replace=False, p=share) for _ in range(CIRCLES)],
        )

    def user_vectors(
        self, user: User, hour: int, rain: bool, *, without: Sequence[str] = ()
    ) -> np.ndarray:
        """Return the probability of each venue, [VENUES], without some of taste, place, context and
        friends.
        """
        known = np.ones(VENUES)
        if "taste" not in without:
            known *= user.taste[[KINDS.index(kind) for kind in self.kind]]
        if "place" not in without:
            away = np.hypot(*(self.degrees - CITIES[user.city]).T)
            known *= 1.0 / (1.0 + (away / 0.03) ** 2)
        if "context" not in without:
            known *= np.where((self.kind == "酒吧") & (hour >= 20), 8.0, 1.0)
            known *= np.where((self.kind == "酒吧") & (hour < 17), 0.05, 1.0)
            known *= np.where((self.kind == "公园") & rain, 0.05, 1.0)
            known *= np.where((self.kind == "博物馆") & rain, 4.0, 1.0)
        chances = known * self.popularity
        chances /= chances.sum()
        mine = self.of_circle(user)
        if "friends" in without or not len(mine):
            return np.asarray(chances)
        of_friends = np.bincount(mine, minlength=VENUES) / len(mine)
        return np.asarray((1.0 - SOCIAL) * chances + SOCIAL * of_friends)

    def of_circle(self, user: User) -> np.ndarray:
        """Return the venues of the user's circle in their city."""
        venues = self.circles[user.circle]
        return np.asarray(venues[self.city[venues] == user.city])


@dataclass(frozen=True, kw_only=True)
class User:
    """Variables that determine a user's events."""

    city: str
    circle: int
    taste: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator) -> User:
        """Draw a user."""
        return cls(
            city=str(rng.choice(list(CITIES))),
            circle=int(rng.integers(CIRCLES)),
            taste=rng.dirichlet(np.full(len(KINDS), 0.35)),
        )


@dataclass(frozen=True, kw_only=True)
class Question:
    """Known events and context of a new user, and the venues that they want."""

    user: User
    known: np.ndarray
    """Venues of earlier events, [5], the oldest first."""
    hour: int
    rain: bool
    friends: list[str]
    wanted: set[int]
    query: str
    wanted_of_query: set[int]


def write(folder: Path, world: World, users: Sequence[User], rng: np.random.Generator) -> None:
    """Write the five tables."""
    folder.mkdir(parents=True, exist_ok=True)
    events, searches = [], []
    for number, user in enumerate(users):
        seen: set[int] = set()
        for _ in range(rng.integers(2, 25)):
            hour, rain = int(rng.integers(7, 24)), bool(rng.random() < RAIN)
            venue = int(rng.choice(VENUES, p=world.user_vectors(user, hour, rain)))
            if venue in seen:
                continue
            seen.add(venue)
            time = START + dt.timedelta(days=int(rng.integers(80)), hours=hour, minutes=7)
            act = rng.choice(list(ACTS), p=list(ACTS.values()))
            weather, phone = "雨" if rain else "晴", rng.choice(["安卓", "苹果"])
            events.append((f"U{number}", f"S{venue}", act, _written(time), weather, phone))
            if rng.random() < SEARCHED:
                word = rng.choice(WORDS[str(world.kind[venue])])
                before = time - dt.timedelta(minutes=5)
                searches.append((f"U{number}", word, _written(before)))
    circles = np.array([user.circle for user in users])
    friends = [
        (f"U{one}", f"U{other}")
        for one, other in zip(*np.nonzero(circles[:, None] == circles[None, :]), strict=True)
        if one != other and rng.random() < 0.5
    ]
    venues = [
        (f"S{n}", f"{city}{kind}{n}号", kind, " ".join(rng.choice(WORDS[kind], 2)), *degrees)
        for n, (city, kind, degrees) in enumerate(
            zip(world.city, world.kind.tolist(), world.degrees.round(5), strict=True)
        )
    ]
    people = [(f"U{number}", user.city) for number, user in enumerate(users)]
    tables: dict[str, tuple[str, list[Any]]] = {
        "商户": ("商户编号,店名,类别,简介,纬度,经度", venues),
        "用户": ("用户编号,城市", people),
        "行为": ("用户编号,商户编号,行为,时间,天气,手机", events),
        "好友": ("用户编号,好友编号", friends),
        "搜索": ("用户编号,搜索词,时间", searches),
    }
    for name, (columns, rows) in tables.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file).writerows([columns.split(","), *rows])


def _written(time: dt.datetime) -> str:
    return time.strftime("%Y/%m/%d %H:%M")


def question(world: World, users: Sequence[User], rng: np.random.Generator) -> Question:
    """Draw a new user whose friends are among the others."""
    user, hour = User.draw(rng), int(rng.integers(7, 24))
    rain = bool(rng.random() < RAIN)
    known = rng.choice(
        VENUES,
        max(KNOWN),
        replace=False,
        p=world.user_vectors(user, hour, rain, without=("context",)),
    )
    chances = world.user_vectors(user, hour, rain)
    chances[known] = 0.0
    chances /= chances.sum()
    kind = str(world.kind[rng.choice(VENUES, p=chances)])
    of_kind = np.where(world.kind == kind, chances, 0.0)
    return Question(
        user=user,
        known=known,
        hour=hour,
        rain=rain,
        friends=[f"U{n}" for n, other in enumerate(users) if other.circle == user.circle][:8],
        wanted=set(rng.choice(VENUES, 5, replace=False, p=chances).tolist()),
        query=str(rng.choice(WORDS[kind])),
        wanted_of_query=set(
            rng.choice(
                VENUES, min(3, (of_kind > 0).sum()), replace=False, p=of_kind / of_kind.sum()
            ).tolist()
        ),
    )


def ndcg(order: Sequence[int], wanted: set[int]) -> float:
    """Return the NDCG@10 of one list."""
    gains = 1.0 / np.log2(np.arange(2, 12))
    hits = np.array([venue in wanted for venue in order[:10]], float)
    return float(hits @ gains[: len(hits)] / gains[: min(10, len(wanted))].sum())


def told(one: Question, shots: int, what: Sequence[str]) -> Any:
    """Return the request of a user with those of place, context, friends and search that are in
    `what`.
    """
    from metarec import Request

    said: dict[str, Any] = {}
    if "place" in what:
        said |= {"location": CITIES[one.user.city], "profile": {"城市": one.user.city}}
    if "context" in what:
        said["context"] = {"天气": "雨" if one.rain else "晴", "hour": one.hour}
    if "friends" in what:
        said["friends"] = one.friends
    if "search" in what:
        said["searches"] = [one.query]
    ids = [f"S{venue}" for venue in one.known]
    return Request(history=[(item,) for item in ids[:shots]], exclude=ids, **said)


def row(model: Any, asked: Sequence[Question], what: Sequence[str]) -> list[float]:
    """Return the mean NDCG@10 after each number of known events."""
    found = []
    for shots in KNOWN:
        slates = model.recommend([told(one, shots, what) for one in asked], k=10)
        wanted = [one.wanted_of_query if "search" in what else one.wanted for one in asked]
        lists = [[int(item[1:]) for item in slate.item_ids] for slate in slates]
        found.append(float(np.mean([ndcg(*pair) for pair in zip(lists, wanted, strict=True)])))
    return found


def by_truth(world: World, asked: Sequence[Question], of: Callable[[Question], set[int]]) -> float:
    """Return the mean NDCG@10 of ranking by the true probabilities, and by the kind that a query
    means.
    """
    found = []
    for one in asked:
        chances = world.user_vectors(one.user, one.hour, one.rain)
        if of(one) is one.wanted_of_query:
            chances = chances * [one.query in WORDS[kind] for kind in world.kind.tolist()]
        chances[one.known] = -1.0
        found.append(ndcg(np.argsort(-chances).tolist(), of(one)))
    return float(np.mean(found))


def main() -> None:
    """Write the tables, fit a model, and print a row for each kind of request."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    import metarec

    warnings.simplefilter("ignore", metarec.DataWarning)
    rng = np.random.default_rng(given.seed)
    world, users = World.draw(rng), [User.draw(rng) for _ in range(USERS)]
    write(given.folder, world, users, rng)
    model = metarec.Recommender.fit(
        metarec.read(given.folder), preset=given.preset, encoder="tfidf", seed=given.seed
    )
    asked = [question(world, users, rng) for _ in range(ASKED)]
    everything = ("place", "context", "friends")
    rows = {
        "nothing told": row(model, asked, ()),
        "place, context and friends told": row(model, asked, everything),
        **{
            f"the same without {one}": row(model, asked, [w for w in everything if w != one])
            for one in everything
        },
        "the same and a search": row(model, asked, (*everything, "search")),
        "a search alone": row(model, asked, ("search",)),
        "truth": [by_truth(world, asked, lambda one: one.wanted)] * len(KNOWN),
        "truth of a search": [by_truth(world, asked, lambda one: one.wanted_of_query)] * len(KNOWN),
    }
    print(f"NDCG@10 after {', '.join(map(str, KNOWN))} events, {ASKED} new users")
    for name, values in rows.items():
        print(f"  {name:<36}" + "  ".join(f"{value:.3f}" for value in values))
    if given.json:
        given.json.write_text(json.dumps({"seed": given.seed, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()

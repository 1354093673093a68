"""HIRE's user-cold contexts of MovieLens 1M (Fang et al. 2025), as its authors' program draws them.

MeLU's files say which users are new. For each new user 32 of the user's items are drawn and 32
users: the user and some of the new users who rated most of these items. Ratings of three of the
items are support, those of all 32 are the query, the support included, and each user of the context
gives one list.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from metarec.data.cold_users import ColdUser
from metarec.data.dataset import Dataset
from metarec.evaluation.papers.melu_states import state_of, warm_data
from metarec.evaluation.papers.splits import Published
from metarec.runtime.rng import derive

ITEMS = USERS = 32
"""Items and users of a context."""
SHOWN = 3
"""Items whose ratings are support: 10% of 32."""
MIN_RATED = 10
"""Minimum number of ratings of a list, the longest cutoff of its metrics: the authors' program
cannot score shorter lists.
"""


def hire_movies(folder: Path, *, seed: int = 0) -> Published:
    """Return the protocol: training on MeLU's warm state, test on contexts of its user-cold state.

    Raises:
        BadInput: if a file is missing or not the one of its name.
    """
    train, new = warm_data(folder, "HIRE's MovieLens 1M"), state_of(folder, "user_cold_state")
    return Published(
        name="hire",
        train=train,
        validation=[],
        scenarios={"new users": list(lists_of(new, train, derive(seed, "hire")))},
        cuts=(5, 7, 10),
        is_graded=False,
        asks_shown=True,
    )


def lists_of(
    new: dict[str, dict[str, float]], train: Dataset, rng: np.random.Generator
) -> Iterator[ColdUser]:
    """Yield one list for each user in each new user's context; lists of fewer than ten ratings are
    left out.
    """
    users, films = list(new), train.items.frame["item_id"].to_list()
    catalog = list(dict.fromkeys([*films, *(item for row in new.values() for item in row)]))
    profiles = dict(zip(users, train.users.of_users(users), strict=True))
    shown_places = rng.permutation(ITEMS)[:SHOWN]
    place_of = {item: place for place, item in enumerate(catalog)}
    has = np.zeros((len(users), len(catalog)), bool)
    for row, user in zip(has, users, strict=True):
        row[[place_of[item] for item in new[user]]] = True
    for user in users:
        items = _items_of(new[user], catalog, rng)
        shown = {items[place] for place in shown_places}
        n_shared = has[:, [place_of[item] for item in items]].sum(1)
        for one in _users_of(user, users, n_shared, rng):
            rated = [(item, new[one][item]) for item in items if item in new[one]]
            if len(rated) >= MIN_RATED:
                yield ColdUser(
                    user_id=one,
                    profile=profiles[one],
                    pool=[pair for pair in rated if pair[0] in shown],
                    query=rated,
                    relevant=[],
                )


def _items_of(own: dict[str, float], catalog: list[str], rng: np.random.Generator) -> list[str]:
    """Return 32 of a user's own items, filled up with other items of the catalog."""
    items = [str(item) for item in rng.permutation(list(own))[:ITEMS]]
    others = (catalog[place] for place in rng.permutation(len(catalog)))
    more = (item for item in others if item not in own)
    return items + [next(more) for _ in range(ITEMS - len(items))]


def _users_of(
    user: str, users: list[str], n_shared: np.ndarray, rng: np.random.Generator
) -> list[str]:
    """Return the user and 31 random others of the 64 with most of the items; `n_shared` [U] counts
    each user's items.
    """
    most = np.argsort(-n_shared, kind="stable")[: 2 * USERS]
    drawn = [users[place] for place in rng.permutation(most)[:USERS]]
    return [user, *(one for one in drawn if one != user)][:USERS]

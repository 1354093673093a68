"""HIRE's contexts: who is in them, what is shown, and what is asked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from metarec.data.schema import BadInput
from metarec.evaluation.papers.hire_contexts import hire_movies
from metarec.evaluation.papers.reproduce import published_lines, reproduce

FILMS, KNOWN, NEW = 60, 50, 70


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MeLU's files of 50 known and 70 new users, 60 films that differ in how good they are."""
    folder, rng = tmp_path_factory.mktemp("ml-1m"), np.random.default_rng(0)
    good = rng.normal(0, 1.0, FILMS)
    for name, users in (
        ("warm_state", range(1, KNOWN + 1)),
        ("user_cold_state", range(KNOWN + 1, KNOWN + NEW + 1)),
    ):
        items, values = {}, {}
        for user in users:
            own = rng.permutation(FILMS)[: 4 if user == KNOWN + 1 else 45]
            rated = np.clip(np.rint(3.5 + good[own] + rng.normal(0, 0.7, len(own))), 1, 5)
            items[str(user)] = [str(film + 1) for film in own]
            values[str(user)] = [int(value) for value in rated]
        (folder / f"{name}.json").write_text(json.dumps(items))
        (folder / f"{name}_y.json").write_text(json.dumps(values))
    films = [
        f"{film}::Film {film}::19{film + 20}::PG::1 Jan 1990::Drama, War::Ann Lee (co-director)::"
        f"Jo Fox::Kim Ray, Lou May::It happens.::x.jpg"
        for film in range(1, FILMS + 1)
    ]
    (folder / "movies_extrainfos.dat").write_text("\n".join(films))
    users = [f"{user}::F::25::3::55117" for user in range(1, KNOWN + NEW + 1)]
    (folder / "users.dat").write_text("\n".join(users))
    return folder


def test_a_context_shows_three_items_to_users_who_rated_its_items(states: Path) -> None:
    found = hire_movies(states)

    lists = found.scenarios["new users"]
    assert found.train.interactions.frame["user_id"].n_unique() == KNOWN
    assert {int(one.user_id) for one in lists} <= set(range(KNOWN + 1, KNOWN + NEW + 1))
    assert (NEW - 1) * 32 < len(lists) <= NEW * 32
    for one in lists:
        assert 10 <= len(one.query) <= 32
        assert len(one.pool) <= 3
        assert set(one.pool) <= set(one.query)
        assert one.profile["gender"] == "F"
    assert {len(one.pool) for one in lists} == {0, 1, 2, 3}


def test_lists_that_its_program_cannot_score_are_left_out(states: Path) -> None:
    few = str(KNOWN + 1)

    lists = hire_movies(states).scenarios["new users"]

    assert few not in {one.user_id for one in lists}
    assert "fewer than 10 ratings" in published_lines("hire")


def test_attributes_are_read_as_lists(states: Path) -> None:
    film = hire_movies(states).train.items.frame.row(0, named=True)

    assert film["categories"] == "Drama|War"
    assert film["directors"] == "Ann Lee"
    assert film["actors"] == "Kim Ray|Lou May"
    assert film["year"] == 1921.0


def test_what_is_shown_stands_as_shown_in_every_row(states: Path) -> None:
    rows = {row.model: row for row in reproduce("hire", states, [])}

    assert list(rows) == ["chance", "item mean", "ItemMean+UserOffset"]
    assert rows["chance"].users == NEW - 1
    assert rows["item mean"].means["ndcg@5"] > rows["chance"].means["ndcg@5"] + 0.05
    low, high = rows["item mean"].intervals["precision@5"]
    assert low < rows["item mean"].means["precision@5"] < high
    assert 0.3 < rows["item mean"].means["mae"] < rows["chance"].means["mae"]


def test_files_that_do_not_belong_together_are_named(states: Path, tmp_path: Path) -> None:
    for file in states.iterdir():
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "warm_state_y.json").write_text('{"1": [3]}')

    with pytest.raises(
        BadInput, match=r"warm_state.json and warm_state_y.json do not hold the same"
    ):
        hire_movies(tmp_path)
    with pytest.raises(BadInput, match=r"^\S+warm_state.json is missing; fetch all files"):
        hire_movies(tmp_path / "elsewhere")

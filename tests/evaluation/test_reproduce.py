"""Published tables: files are read as their authors wrote them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from metarec.data.schema import BadInput
from metarec.evaluation.own_recommender import OwnRecommender
from metarec.evaluation.papers.reproduce import (
    TABLES,
    published_lines,
    reproduce,
    sequences,
    tanp_lastfm,
)
from metarec.evaluation.papers.splits import Published


@pytest.fixture(scope="module")
def episodes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small lastfm_20: 40 users with 32 items, half of them taken."""
    folder, rng = tmp_path_factory.mktemp("lastfm_20"), np.random.default_rng(0)
    items, ratings = {}, {}
    for user in range(40):
        own = rng.permutation(50)[:32]
        items[str(user)] = [str(item) for item in own]
        ratings[str(user)] = [int(item % 2 == user % 2) for item in own]
    (folder / "interaction_dict_x.json").write_text(json.dumps(items))
    (folder / "interaction_dict_y.json").write_text(json.dumps(ratings))
    for part, users in (
        ("training", range(24)),
        ("validation", range(24, 30)),
        ("testing", range(30, 40)),
    ):
        (folder / part / "evidence").mkdir(parents=True)
        for place, user in enumerate(users):
            for name, rows in (("supp", slice(0, 20)), ("query", slice(20, None))):
                lines = [f"{user}\t{item}\n" for item in items[str(user)][rows]]
                file = folder / part / "evidence" / f"{name}_x_{place}_u_m_ids.txt"
                file.write_text("".join(lines))
    return folder


def test_tanp_s_episodes_are_read_as_they_were_split(episodes: Path) -> None:
    found = tanp_lastfm(episodes)

    evaluated = found.scenarios["new users"]
    assert [user.user_id for user in evaluated] == [str(n) for n in range(30, 40)]
    assert all(len(user.query) == 12 for user in evaluated)
    assert {value for user in evaluated for _, value in user.query} == {0.0, 1.0}
    assert found.train.interactions.frame["user_id"].n_unique() == 24


def test_artists_drawn_by_chance_are_no_acts(episodes: Path) -> None:
    found = tanp_lastfm(episodes)

    assert not found.train.interactions.has_values
    frame = found.train.interactions.frame.with_columns(
        same=pl.col("item_id").cast(int) % 2 == pl.col("user_id").cast(int) % 2
    )
    assert frame["same"].all()
    shown = [
        (int(user.user_id), int(item))
        for user in found.scenarios["new users"]
        for item, *_ in user.pool
    ]
    assert shown
    assert all(user % 2 == item % 2 for user, item in shown)


def test_baselines_stand_beside_and_beat_chance(episodes: Path) -> None:
    rows = {row.model: row for row in reproduce("tanp-lastfm", episodes, [])}

    assert set(rows) == {"chance", "item mean", "ItemMean+UserOffset", "ItemKNN", "EASE"}
    assert rows["EASE"].means["ndcg@5"] > rows["chance"].means["ndcg@5"] + 0.2
    assert rows["EASE"].users == 10
    assert "TaNP" in published_lines("tanp-lastfm")


@pytest.fixture(scope="module")
def movies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ml-1m: 60 users with 40 of 60 films, a taste for odd or even ones."""
    folder, rng = tmp_path_factory.mktemp("ml-1m"), np.random.default_rng(0)
    rows = [
        f"{user}::{film}::{4 + int(rng.random() < 0.5) if film % 2 == user % 2 else 2}::{place}"
        for user in range(1, 61)
        for place, film in enumerate(rng.permutation(60)[:40] + 1)
    ]
    (folder / "ratings.dat").write_text("\n".join(rows))
    films = [f"{film}::Film {film} ({1960 + film // 2})::Drama" for film in range(1, 61)]
    (folder / "movies.dat").write_text("\n".join(films))
    (folder / "users.dat").write_text("\n".join(f"{n}::F::25::3::55117" for n in range(1, 61)))
    return folder


@pytest.mark.parametrize("name", ["melu", "tanp-ml1m"])
def test_movielens_is_split_by_the_paper_s_rules_and_said_to_be_rebuilt(
    movies: Path, name: str
) -> None:
    found = TABLES[name].read(movies)

    assert isinstance(found, Published)
    assert found.train.interactions.has_values
    assert all(users for users in found.scenarios.values())
    assert "rebuilt by the paper's rules" in published_lines(name)
    (movies.parent / "acts").mkdir(exist_ok=True)
    acts = movies.parent / "acts" / "interactions.csv"
    acts.write_text("user_id,item_id\n" + "\n".join(f"{n},{n % 3}" for n in range(9)))
    with pytest.raises(BadInput, match="holds no ratings; give the folder ml-1m"):
        reproduce(name, acts, [])


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MeLU's states: 80 known and 20 new users, films 1 to 40 known and 41 to 70 new."""
    folder, rng = tmp_path_factory.mktemp("states"), np.random.default_rng(0)
    for name, users, films in (
        ("warm_state", range(1, 81), range(1, 41)),
        ("item_cold_state", range(1, 81), range(41, 71)),
        ("user_cold_state", range(81, 101), range(1, 41)),
        ("user_and_item_cold_state", range(81, 101), range(41, 71)),
    ):
        rated = {str(user): rng.permutation(films)[: 12 + user % 12] for user in users}
        items = {user: [str(film) for film in own] for user, own in rated.items()}
        values = {user: [2 + int(film) % 4 for film in own] for user, own in rated.items()}
        (folder / f"{name}.json").write_text(json.dumps(items))
        (folder / f"{name}_y.json").write_text(json.dumps(values))
    films = [
        f"{film}::Film {film}::1990::PG::1 Jan::Drama::Ann Lee::Jo Fox::Kim Ray::It is.::x.jpg"
        for film in range(1, 71)
    ]
    (folder / "movies_extrainfos.dat").write_text("\n".join(films))
    (folder / "users.dat").write_text("\n".join(f"{n}::F::25::3::55117" for n in range(1, 101)))
    return folder


def test_melu_s_own_split_is_asked_where_its_files_are_given(states: Path) -> None:
    found = TABLES["melu"].read(states)

    assert isinstance(found, Published)
    assert set(found.train.interactions.frame["item_id"].cast(int)) <= set(range(1, 41))
    for scenario, users, films in (
        ("new items, known users", range(1, 81), range(41, 71)),
        ("known items, new users", range(81, 101), range(1, 41)),
        ("new items, new users", range(81, 101), range(41, 71)),
    ):
        asked = found.scenarios[scenario]
        assert {int(one.user_id) for one in asked} == {n for n in users if n % 12}  # 13 or more
        assert all(len(one.query) == 10 for one in asked)
        assert all(len(one.pool) == 2 + int(one.user_id) % 12 for one in asked)
        assert {int(item) for one in asked for item, _ in [*one.pool, *one.query]} <= set(films)
    aside = {one.user_id for one in found.validation}
    assert aside
    assert not aside & set(found.train.interactions.frame["user_id"])


def test_what_recommend_orders_stands_beside_what_rate_orders(movies: Path) -> None:
    ours = OwnRecommender(preset="tiny", encoder="none")

    rows = {row.model: row for row in reproduce("tanp-ml1m", movies, [ours])}

    by_rate, by_score = rows[ours.name], rows[f"{ours.name}, allow"]
    assert "mae" in by_rate.means
    assert "mae" not in by_score.means
    assert by_score.means["ndcg@5"] > rows["chance"].means["ndcg@5"] + 0.1


def test_sequences_are_read_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "Beauty.txt"
    file.write_text("1 7 3 9\n2 3 7\n")

    data = sequences(file)

    frame = data.interactions.frame.filter(data.interactions.frame["user_id"] == "1")
    assert frame.sort("timestamp")["item_id"].to_list() == ["7", "3", "9"]
    assert len(data.interactions) == 5


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match="there is no table 'x'; there are melu, tanp-ml1m, hire, tanp-lastfm"
    ):
        reproduce("x", tmp_path, [])
    with pytest.raises(BadInput, match="is not there; beauty needs data/Beauty.txt of github"):
        reproduce("beauty", tmp_path / "no", [])
    with pytest.raises(BadInput, match="interaction_dict_x.json is missing; fetch all"):
        reproduce("tanp-lastfm", tmp_path, [])
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(BadInput, match="empty.txt is empty; fetch the file again"):
        TABLES["beauty"].read(tmp_path / "empty.txt")


def _cut(text: str) -> str:
    return text[: len(text) // 2]


BROKEN: list[tuple[str, str, Any, str]] = [
    ("episodes", "interaction_dict_x.json", _cut, "is not the file of that name.*cut short"),
    ("episodes", "interaction_dict_x.json", "[1, 2]", "an object of lists is expected"),
    ("episodes", "interaction_dict_x.json", '{"1": 5}', "'1' must be a list of ids or numbers"),
    ("episodes", "interaction_dict_x.json", '{"1": "ab"}', "'1' must be a list of ids or numbers"),
    ("episodes", "interaction_dict_y.json", None, "interaction_dict_y.json is missing; fetch all"),
    ("episodes", "interaction_dict_y.json", '{"1": [1]}', "do not hold the same ratings: user"),
    ("episodes", "interaction_dict_y.json", lambda t: t.replace("1", "NaN", 1), "same ratings|fin"),
    ("episodes", "training/evidence/supp_x_3_u_m_ids.txt", None, "holds 23 files supp_x_N"),
    ("episodes", "training/evidence/supp_x_3_u_m_ids.txt", "", "is empty; fetch the file again"),
    ("episodes", "training/evidence/supp_x_3_u_m_ids.txt", "1 2 3\n", "line 1: 2 words are exp"),
    ("episodes", "testing/evidence/query_x_3_u_m_ids.txt", "1\n", "line 1: 2 words are expected"),
    ("episodes", "testing/evidence/query_x_3_u_m_ids.txt", "no 2\n", "user 'no' has no item '2'"),
    ("states", "warm_state.json", _cut, "is not the file of that name.*cut short"),
    ("states", "warm_state_y.json", None, "warm_state_y.json is missing; fetch all files"),
    ("states", "user_cold_state.json", '{"1": ["2"]}', "do not hold the same ratings: user"),
    ("states", "movies_extrainfos.dat", _cut, "line 3[0-9]: 9 cells or more between `::`"),
    ("states", "movies_extrainfos.dat", "", "movies_extrainfos.dat is empty"),
    ("states", "users.dat", "1::F\n", "users.dat line 1: 4 cells or more between `::`"),
    ("states", "users.dat", b"\xff\xfe1::F", "users.dat cannot be read.*fetch the file again"),
    ("sequences", "Beauty.txt", "1 7 3\n2\n", "line 2: 2 or more words are expected, got 1"),
    ("sequences", "Beauty.txt", "what it is\n", "each a whole number, got 'what'"),
    ("sequences", "Beauty.txt", "1 7 3\n1 3 7\n", "holds two lines of one user"),
]


@pytest.mark.parametrize(("kind", "name", "content", "said"), BROKEN)
def test_a_broken_file_of_a_table_is_refused_by_its_name(
    kind: str, name: str, content: Any, said: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    if kind == "sequences":
        folder.mkdir()
        (folder / name).write_text("1 7 3\n")
    else:
        shutil.copytree(request.getfixturevalue(kind), folder)
    file = folder / name
    if content is None:
        file.unlink()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    else:
        file.write_text(content if isinstance(content, str) else content(file.read_text()))
    table = {"episodes": "tanp-lastfm", "states": "hire", "sequences": "beauty"}[kind]
    with pytest.raises(BadInput, match=said) as refused:
        TABLES[table].read(file if kind == "sequences" else folder)
    assert file.name in str(refused.value) or "supp_x_N" in str(refused.value)

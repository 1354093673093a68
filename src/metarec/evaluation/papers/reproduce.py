"""Published tables, reproduced on the files of their authors with their splits and metrics.

No data are shipped: the files come from the repository that each table names. Published figures are
copied from the papers and shown beside those measured here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from metarec.data.arguments import shown
from metarec.data.cleaning_config import OFF
from metarec.data.cold_users import ColdUser
from metarec.data.dataset import Dataset
from metarec.data.read import read
from metarec.data.schema import BadInput
from metarec.evaluation.baselines import BASELINES
from metarec.evaluation.interface import Evaluated, Rates
from metarec.evaluation.papers import leave_last_out as last_out
from metarec.evaluation.papers.baselines import ByScore
from metarec.evaluation.papers.files import ratings_of, rows_of_words
from metarec.evaluation.papers.hire_contexts import hire_movies
from metarec.evaluation.papers.melu_states import FILES as MELU_FILES
from metarec.evaluation.papers.melu_states import is_melu
from metarec.evaluation.papers.protocols import ProtocolRow, evaluate_by_protocol
from metarec.evaluation.papers.splits import (
    Published,
    melu_split,
    melu_states_split,
    tanp_split,
)
from metarec.runtime.progress import Progress, silent


@dataclass(frozen=True, kw_only=True)
class Table:
    """One published table."""

    files: str
    """Files to give, and the repository that holds them."""
    published: dict[str, dict[str, float]]
    """Model -> metric -> published figure."""
    read: Callable[[Path], Dataset | Published]
    """Reads the files: a split of their own, or data to split by leave-last-out."""
    remade: str = ""
    """Note on what is redrawn by the paper's rules and so differs from what its authors drew; empty
    where nothing is.
    """


def tanp_lastfm(folder: Path) -> Published:
    """Read the split that TaNP's authors ship: training users, validation and test episodes by
    name.

    A 1 is an artist listened to, a 0 one drawn at random, which is no event of the user. Training
    and support are implicit events without values, and query items are ranked by score.
    """
    values = ratings_of(folder / "interaction_dict_x.json", folder / "interaction_dict_y.json")
    train = Dataset(
        interactions=pl.DataFrame(
            [(u, i, "listen") for u, i in _pairs(folder / "training", values) if values[u][i] > 0],
            schema=["user_id", "item_id", "kind"],
            orient="row",
        ),
        name="TaNP's Last.FM",
        cleaning=OFF,
    )
    validation, evaluated = (_episodes(folder / part, values) for part in ("validation", "testing"))
    return Published(
        name="tanp",
        train=train,
        validation=[user for user in validation if user.relevant],
        scenarios={"new users": evaluated},
        cuts=(5, 7, 10),
        is_graded=False,
    )


def melu_movies(folder: Path) -> Published:
    """Return MeLU's split of MovieLens 1M: the authors' draw if its files are given; else redrawn
    by the rules of the paper, since MovieLens does not hold that draw.
    """
    return melu_states_split(folder) if is_melu(folder) else melu_split(_rated_movies(folder))


def tanp_movies(folder: Path) -> Published:
    """Return TaNP's split of MovieLens 1M, redrawn by the rules of the paper."""
    return tanp_split(_rated_movies(folder))


def _rated_movies(folder: Path) -> Dataset:
    data = replace(read(folder), cleaning=OFF)  # papers use the data uncleaned
    if not data.interactions.has_values:
        raise BadInput(f"{folder} holds no ratings; give {MOVIES}")
    return data


def sequences(file: Path) -> Dataset:
    """Read a file with one line for each user: the user, then the user's items in order."""
    lines = rows_of_words(file, 2)
    odd = next((word for line in lines for word in line if not word.isdigit()), None)
    if odd is not None:
        raise BadInput(
            f"{file} holds no sequences: lines of a user and items are expected, each a whole "
            f"number, got {shown(odd)}; fetch the file again"
        )
    rows = [
        (user, item, float(place)) for user, *items in lines for place, item in enumerate(items)
    ]
    if len({user for user, *_ in lines}) < len(lines):
        raise BadInput(f"{file} holds two lines of one user; fetch the file again")
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return Dataset(interactions=events, name=file.stem, cleaning=OFF)


MOVIES = "the folder ml-1m of ml-1m.zip from grouplens.org, with ratings, movies and users"
REMADE = (
    "The split is rebuilt by the paper's rules with other users drawn, so figures differ by the "
    "draw."
)
CONTEXTS = (
    "Contexts are drawn anew from the same users; every model's shown ratings stand as shown, and "
    "lists of fewer than 10 ratings, which the program cannot score, are left out."
)
TABLES: dict[str, Table] = {
    "melu": Table(
        files=f"{MELU_FILES}; or {MOVIES}",
        published={
            "best of MeLU, known items, new users": {"mae": 0.74},
            "best of MeLU, new items, known users": {"mae": 0.90},
            "best of MeLU, new items, new users": {"mae": 0.89},
        },
        read=melu_movies,
        remade=f"From MovieLens alone: {REMADE[0].lower()}{REMADE[1:]}",
    ),
    "tanp-ml1m": Table(
        files=MOVIES,
        published={"TaNP, rerun": {"precision@5": 0.589, "ndcg@5": 0.751, "map@5": 0.492}},
        read=tanp_movies,
        remade=REMADE,
    ),
    "hire": Table(
        files=MELU_FILES,
        published={
            "HIRE, first 5": {"precision@5": 0.700, "ndcg@5": 0.917, "map@5": 0.645},
            "deviation over its runs": {"precision@5": 0.018, "ndcg@5": 0.015, "map@5": 0.031},
            "HIRE, first 10": {"precision@10": 0.766, "ndcg@10": 0.943, "map@10": 0.707},
        },
        read=hire_movies,
        remade=CONTEXTS,
    ),
    "tanp-lastfm": Table(
        files="the folder lastfm_20 of TaNP/data.zip in github.com/IIEdm/TaNP",
        published={"TaNP": {"ndcg@5": 0.782, "map@5": 0.714, "ndcg@10": 0.829}},
        read=tanp_lastfm,
    ),
    "beauty": Table(
        files="data/Beauty.txt of github.com/RUCAIBox/CIKM2020-S3Rec",
        published={
            "eSASRec": {"hit_rate@10": 0.0928, "ndcg@10": 0.0523},
            "SASRec, sampled softmax": {"hit_rate@10": 0.0921, "ndcg@10": 0.0531},
            "TIGER": {"hit_rate@10": 0.0648, "ndcg@10": 0.0384},
        },
        read=sequences,
    ),
    "toys": Table(
        files="data/Toys_and_Games.txt of github.com/RUCAIBox/CIKM2020-S3Rec",
        published={"SASRec, sampled softmax": {"hit_rate@10": 0.0970, "ndcg@10": 0.0580}},
        read=sequences,
    ),
    "sports": Table(
        files="data/Sports_and_Outdoors.txt of github.com/RUCAIBox/CIKM2020-S3Rec",
        published={"SASRec, sampled softmax": {"hit_rate@10": 0.0569, "ndcg@10": 0.0314}},
        read=sequences,
    ),
    "lastfm-loo": Table(
        files="data/LastFM.txt of github.com/RUCAIBox/CIKM2020-S3Rec",
        published={"S3-Rec": {"hit_rate@10": 0.0743, "ndcg@10": 0.0427}},
        read=sequences,
    ),
}
"""Name of a table -> table."""
COMPARED = ("ItemMean+UserOffset", "ItemKNN", "EASE")
"""Baselines compared with where a table has its own split."""


def reproduce(
    name: str,
    path: Path,
    models: Sequence[Evaluated],
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> list[ProtocolRow]:
    """Measure `models` and the baselines of the table `name` on the files at `path`.

    Raises:
        BadInput: for an unknown table, or files that are not the ones it needs.
    """
    table = table_of(name)
    if not path.exists():
        raise BadInput(f"{path} is not there; {name} needs {table.files}")
    rows = table.read(path)
    if isinstance(rows, Published):
        evaluated: list[Evaluated] = [*(BASELINES[one]() for one in COMPARED), *models]
        if rows.asks_shown:
            evaluated = [model for model in evaluated if isinstance(model, Rates)]
        elif rows.train.interactions.has_values:
            evaluated += [ByScore(model=model) for model in models if isinstance(model, Rates)]
        return evaluate_by_protocol(rows, evaluated, seed=seed, progress=progress)
    split = last_out.leave_last_out_split(rows)
    return last_out.evaluate_last_out(split, models, seed=seed, progress=progress)


def table_of(name: str) -> Table:
    """Return the table of this name.

    Raises:
        BadInput: if there is none.
    """
    if name not in TABLES:
        raise BadInput(f"there is no table {name!r}; there are {', '.join(TABLES)}")
    return TABLES[name]


def published_lines(name: str) -> str:
    """Return the published figures, for a terminal."""
    rows = [
        f"  {model:<24}" + "  ".join(f"{metric} {value:.4g}" for metric, value in figures.items())
        for model, figures in table_of(name).published.items()
    ]
    return "\n".join(["published:", *rows, *filter(None, [table_of(name).remade])])


def _episodes(folder: Path, values: dict[str, dict[str, float]]) -> list[ColdUser]:
    """Read the test episodes of a folder as new users; liked items are those with value 1."""
    users = []
    for place in range(_count(folder)):
        shown, query_of = (_named(folder, part, place, values) for part in ("supp", "query"))
        query = [(item, values[user][item]) for user, item in query_of]
        users.append(
            ColdUser(
                user_id=query_of[0][0],
                profile={},
                pool=[(item, 1.0, "listen") for user, item in shown if values[user][item] > 0],
                query=query,
                relevant=[item for item, value in query if value > 0],
            )
        )
    if not users:
        raise BadInput(f"{folder} holds no episodes: give {TABLES['tanp-lastfm'].files}")
    return users


def _pairs(folder: Path, values: dict[str, dict[str, float]]) -> list[tuple[str, str]]:
    return [
        pair
        for place in range(_count(folder))
        for part in ("supp", "query")
        for pair in _named(folder, part, place, values)
    ]


def _count(folder: Path) -> int:
    """Return the number of episodes of a folder, each of which has two files.

    Raises:
        BadInput: if there are fewer files of one side than of the other.
    """
    n_support, n_query = (
        len(list((folder / "evidence").glob(f"{part}_x_*_u_m_ids.txt")))
        for part in ("supp", "query")
    )
    if n_support != n_query:
        raise BadInput(
            f"{folder / 'evidence'} holds {n_support} files supp_x_N_u_m_ids.txt and {n_query} "
            "files query_x_N_u_m_ids.txt; fetch all files of the table"
        )
    return n_query


def _named(
    folder: Path, part: str, place: int, values: dict[str, dict[str, float]]
) -> list[tuple[str, str]]:
    """Return (user, item) of each line of one side of an episode.

    Raises:
        BadInput: if a line is something else, or its rating is not in `values`.
    """
    file = folder / "evidence" / f"{part}_x_{place}_u_m_ids.txt"
    rows = [(user, item) for user, item in rows_of_words(file, 2, 2)]
    for user, item in rows:
        if item not in values.get(user, {}):
            raise BadInput(
                f"{file}: user {user!r} has no item {item!r} in interaction_dict_x.json; fetch all "
                "files of the table"
            )
    return rows

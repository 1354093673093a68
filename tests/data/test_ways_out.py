"""What a table can be read by once it is said what its columns hold: matrices, lists within a row,
objects by user, sheets of months; and answers that were not read as such.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.exports import one_file
from metarec.data.cleaning import read_clean
from metarec.data.errors import BadInput

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def said(folder: Path, name: str, text: str, columns: str) -> None:
    (folder / name).write_text(text, "utf-8")
    toml = f'[[sources]]\ninteractions = "{name}"\ncolumns = {{ {columns} }}\n'
    (folder / "metarec.toml").write_text(toml, "utf-8")


@pytest.mark.parametrize(("mark", "values"), [("3", {3.0, 5.0}), ("x", set())])
def test_a_matrix_whose_users_are_named(tmp_path: Path, mark: str, values: set[float]) -> None:
    films = [f"Film {n}" for n in range(9)]
    other = "5" if values else mark
    rows = [
        ",".join([f"Person {u}", *(("", mark, other)[(u + 2 * n) % 3] for n in range(9))])
        for u in range(12)
    ]
    text = "\n".join([",".join(["Name", *films]), *rows]) + "\n"
    said(tmp_path, "wide.csv", text, 'user_id = "Name"')
    data, _ = read_clean(tmp_path)
    frame = data.interactions.frame
    assert set(frame["item_id"]) == {*films} and frame.height == 72
    assert set(frame["user_id"]) == {f"Person {u}" for u in range(12)}
    assert set(frame["value"].drop_nulls()) == values


def test_items_within_lists_of_objects(tmp_path: Path) -> None:
    rows = [
        {
            "session": s,
            "events": [{"aid": 100 + (s + k) % 7, "ts": 1659304800 + k, "type": "clicks"}],
        }
        for s in range(14)
        for k in range(3)
    ]
    text = "\n".join(map(json.dumps, rows)) + "\n"
    (tmp_path / "otto.jsonl").write_text(text)
    with pytest.raises(BadInput, match="'events' holds lists of objects with 'aid', 'ts', 'type'"):
        read_clean(tmp_path / "otto.jsonl")
    said(tmp_path, "otto.jsonl", text, 'user_id = "session", item_id = "aid"')
    data, _ = read_clean(tmp_path)
    assert set(data.interactions.frame["item_id"]) == {str(100 + n) for n in range(7)}
    assert data.interactions.frame["user_id"].n_unique() == 14


def test_ids_with_their_names_and_a_user_called_like_an_order(tmp_path: Path) -> None:
    rows = [
        {
            "order_partner_id": [10 + n % 5, f"Azure {n % 5}"],
            "product_id": [200 + n % 7, f"Desk {n % 7}"],
            "state": ("sale", "cancel", "done")[n % 3],
        }
        for n in range(42)
    ]
    text = "\n".join(map(json.dumps, rows)) + "\n"
    said(tmp_path, "odoo.jsonl", text, 'user_id = "order_partner_id"')
    data, _ = read_clean(tmp_path)
    frame = data.interactions.frame
    assert set(frame["user_id"]) == {str(10 + n) for n in range(5)}
    assert set(frame["item_id"]) == {str(200 + n) for n in range(7)}
    assert set(data.items.frame["title"]) == {f"Desk {n}" for n in range(7)}


def test_lists_of_two_items_are_two_events(tmp_path: Path) -> None:
    rows = [{"user_id": f"u{n % 5}", "item_id": [str(n % 7), f"b{n % 3}"]} for n in range(42)]
    data, _ = one_file(tmp_path, "\n".join(map(json.dumps, rows)), "events.jsonl")
    assert {"b0", "b1", "b2"} <= set(data.interactions.frame["item_id"])


@pytest.mark.parametrize("wrap", [None, "ratings"])
@pytest.mark.parametrize("user", ["user{}", "u-{}"])
def test_an_object_by_user_is_refused_with_a_way_out(
    tmp_path: Path, wrap: str | None, user: str
) -> None:
    ratings = {user.format(u): {f"m{(u + k) % 9}": k % 5 + 1 for k in range(4)} for u in range(9)}
    document = {u: {wrap: cells} if wrap else cells for u, cells in ratings.items()}
    path = tmp_path / "by_user.json"
    path.write_text(json.dumps(document))
    with pytest.raises(BadInput, match="holds an object by key .* write a row for each"):
        read_clean(path)


@pytest.mark.parametrize(
    "months", [("Jan", "Feb"), ("orders_march", "orders_april"), ("März", "Mai")]
)
def test_a_file_for_each_month(tmp_path: Path, months: tuple[str, str]) -> None:
    for month, name in enumerate(months, 1):
        rows = "".join(f"u{n % 5},x{n % 7},2024-0{month}-{n % 28 + 1:02d}\n" for n in range(30))
        (tmp_path / f"{name}.csv").write_text(f"user_id,item_id,date\n{rows}")
    data, _ = read_clean(tmp_path)
    assert data.interactions.frame.height == 60


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Vote", ("Yea", "Nay", "Not Voting")),
        ("vote_cast", ("for", "against", "abstain")),
        ("Stimme", ("Ja", "Nein", "Enthaltung")),
        ("投票", ("赞成", "反对", "弃权")),
    ],
)
def test_votes_against_say_no(tmp_path: Path, name: str, words: tuple[str, str, str]) -> None:
    text = f"user_id,item_id,{name}\n" + "".join(
        f"u{n % 5},x{n % 7},{words[n % 3]}\n" for n in range(48)
    )
    data, _ = one_file(tmp_path, text)
    signs = dict(
        zip(
            data.interactions.frame["kind"], data.interactions.acts()["sign"].to_list(), strict=True
        )
    )
    assert signs == {"like": 1, "dislike": -1, "impression": 0}


@pytest.mark.parametrize("name", ["downvote", "upvote"])
def test_a_flag_of_votes_is_no_vote(tmp_path: Path, name: str) -> None:
    text = f"user_id,item_id,{name}\n" + "".join(
        f"u{n % 5},x{n % 7},{('yes', 'no', 'no')[n % 3]}\n" for n in range(48)
    )
    data, _ = one_file(tmp_path, text)
    kinds = set(data.interactions.frame["kind"])
    assert name in kinds and "dislike" not in kinds and "like" not in kinds


def test_a_day_in_words_and_a_time_of_day_are_one_time(tmp_path: Path) -> None:
    text = "User,Restaurant,Visit Date,Visit Time\n" + "".join(
        f'u{n % 5},r{n % 7},"March {n % 28 + 1:02d}, 2024",0{n % 9 + 1}:30 PM\n' for n in range(48)
    )
    data, _ = one_file(tmp_path, text)
    assert data.interactions.frame["timestamp"].min() == 1709251200 + 13.5 * 3600

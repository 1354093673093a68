"""Exports of feeds and media: histories of songs and videos, lists of likes, votes with blanks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data.exports import one_file, told

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def lines(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def test_episodes_among_songs_are_items_too(tmp_path: Path) -> None:
    records = [
        {
            "ts": f"2024-03-{n % 28 + 1:02}T10:00:00Z",
            "username": f"u{n % 5}",
            "spotify_track_uri": f"spotify:track:{n % 7}" if n % 3 else None,
            "spotify_episode_uri": None if n % 3 else f"spotify:episode:{n % 4}",
        }
        for n in range(35)
    ]
    data, found = one_file(tmp_path, lines(records), "history.jsonl")
    items = data.interactions.frame["item_id"]
    assert len(items) == 35 and items.str.contains("episode").sum() == 12
    assert 12 in told(found, "columns")


def test_another_id_in_the_same_rows_leaves_missing_items_out(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},{f'x{n % 7}' if n % 9 else ''},a{n % 3}\n" for n in range(35))
    data, found = one_file(tmp_path, f"user_id,track_id,album_id\n{rows}")
    assert told(found, "missing_ids") == [4] and len(data.interactions) == 31


def test_advertisements_in_a_history_of_videos_are_left_out(tmp_path: Path) -> None:
    records = [
        {
            "user": f"u{n % 5}",
            "title": f"Watched Video {n % 7}",
            "titleUrl": f"https://www.youtube.com/watch?v={n % 7}",
            "time": f"2024-03-{n % 28 + 1:02}T10:00:00.123Z",
            **({} if n % 5 else {"details": [{"name": "From Google Ads"}]}),
        }
        for n in range(35)
    ]
    data, found = one_file(tmp_path, json.dumps(records), "watch-history.json")
    assert told(found, "no_acts") == [7] and len(data.interactions) == 28


def test_lists_of_each_user_that_are_called_like_acts_are_events(tmp_path: Path) -> None:
    users = [
        {"user_id": f"u{n}", "likes": [f"p{n}", f"p{n + 1}"], "hides": [f"p{n + 5}"]}
        for n in range(9)
    ]
    data, found = one_file(tmp_path, lines(users), "users.jsonl")
    assert told(found, "lists") == [27]
    assert sorted(data.interactions.acts()["sign"].value_counts().rows()) == [(-1, 9), (1, 18)]
    rows = "".join(f"u{n},\"['p{n}','p{n + 1}']\",\"['p{n + 5}','p{n + 6}']\"\n" for n in range(9))
    data, _ = one_file(tmp_path, f"user_id,liked,disliked\n{rows}")
    assert sorted(data.interactions.acts()["sign"].value_counts().rows()) == [(-1, 18), (1, 18)]


def test_a_no_beside_blanks_is_a_dislike(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{('true', 'false', '')[n % 3]}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user_id,item_id,liked\n{rows}")
    kinds = dict(data.interactions.frame["kind"].value_counts().iter_rows())
    assert kinds == {"like": 12, "dislike": 12, "impression": 11}
    rows = "".join(f"u{n % 5},x{n % 7},{('true', 'false')[n % 3 == 0]}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user_id,item_id,liked\n{rows}")
    assert set(data.interactions.frame["kind"]) == {"like", "impression"}


def test_the_date_of_an_entry_beside_that_of_the_act_is_told(tmp_path: Path) -> None:
    rows = "".join(
        f"u{n % 5},2024-04-{n % 28 + 1:02},x{n % 7},2024-03-{n % 28 + 1:02}\n" for n in range(35)
    )
    _, found = one_file(tmp_path, f"Username,Date,film_id,Watched Date\n{rows}")
    assert any("'Watched Date' may say when events were" in f.why for f in found)

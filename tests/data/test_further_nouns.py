"""Names of users and items in further exports, and what durations of 0 say."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.exports import one_file
from metarec.data.findings import Finding

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def whys(findings: list[Finding]) -> str:
    return " ".join(f.why for f in findings)


@pytest.mark.parametrize(
    ("header", "user", "item"),
    [
        ("Patienten-Nr;Medikament;Datum", "p1", "Aspirin"),
        ("Studenten-Nr;Modul;Note", "4711", "Analysis"),
        ("Aluno;Disciplina;Nota", "ana", "Física"),
        ("Matricola;Disciplina;Voto", "m1", "Fisica"),
        ("alumno;asignatura;calificación", "ana", "Historia"),
        ("KUNNR;MATNR;Datum", "k", "M"),
        ("openid;book_id;时间长", "o", "b"),
        ("Primary Identifier;MMS Id;Renewals", "p", "99"),
        ("driver_id;station_id;fuel", "d", "st"),
        ("visitor_id;pathname;events", "v", "/blog/"),
        ("actor_did;subject;uri", "did:plc:a", "at://did:plc:x/app.bsky.feed.post/1"),
    ],
)
def test_users_and_items_are_known_by_further_nouns(
    tmp_path: Path, header: str, user: str, item: str
) -> None:
    third = ["2024-01-02", "2024-01-03"] if "Datum" in header else ["7", "9"]
    third = ["at://a/1", "at://b/2"] if "uri" in header else third
    rows = [f"{user}{n % 4};{item}{n % 5};{third[n % 2]}" for n in range(20)]
    data, _ = one_file(tmp_path, "\n".join([header, *rows]))
    assert set(data.interactions.frame["user_id"]) == {f"{user}{n}" for n in range(4)}
    assert set(data.interactions.frame["item_id"]) == {f"{item}{n}" for n in range(5)}


def test_tracks_of_which_most_have_no_id_are_known_by_their_names(tmp_path: Path) -> None:
    rows = [
        f"user_{n % 3}\t2009-05-{n % 28 + 1:02d}T10:00:00Z\ta{n % 4}\tArtist {n % 4}\t"
        f"{'' if n % 3 else f't{n}'}\tSong of {'abcdefg'[n % 7]}"
        for n in range(40)
    ]
    data, findings = one_file(tmp_path, "\n".join(rows), "plays.tsv")
    assert set(data.interactions.frame["item_id"]) == {f"Song of {c}" for c in "abcdefg"}
    assert len(data.interactions) == 40
    assert "names = [" in whys(findings)


@pytest.mark.parametrize("name", ["playtime_forever", "hours_played", "游戏时长"])
def test_hours_of_play_of_which_some_are_0_are_told(tmp_path: Path, name: str) -> None:
    rows = [f"p{n % 4},g{n % 9},{n * 7 % 5 * 60}" for n in range(40)]
    _, findings = one_file(tmp_path, "\n".join([f"steamid,appid,{name}", *rows]))
    assert f"column {name!r}" in whys(findings) and "as much as one to the end" in whys(findings)


def test_a_pass_beside_a_like_says_no(tmp_path: Path) -> None:
    rows = [f"u{n % 5},p{n % 7},{['like', 'pass', 'superlike'][n % 3]}" for n in range(30)]
    data, _ = one_file(tmp_path, "\n".join(["swiper_id,swipee_id,decision", *rows]))
    assert data.interactions.acts()["sign"].to_list().count(-1) == 10
    rows = [row.replace("like", "fail").replace("superfail", "pass") for row in rows]
    data, _ = one_file(tmp_path, "\n".join(["student_id,course_id,decision", *rows]))
    assert -1 not in data.interactions.acts()["sign"].to_list()

"""Exports of learning platforms: logs of Moodle and edX, xAPI statements, reports of grades."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.exports import one_file
from metarec.data.kinds import Kinds

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def test_kinds_of_logs_count_for_what_they_say() -> None:
    kinds = Kinds.default()
    for name, known in {
        "Quiz attempt started": "start",
        "Quiz attempt submitted": "submit",
        "A submission has been submitted.": "submit",
        "Submission form viewed.": "view",
        "Quiz attempt reviewed": "view",
        "problem_check": "submit",
        "http://adlnet.gov/expapi/verbs/completed": "complete",
        "https://w3id.org/xapi/acrossx/verbs/liked": "like",
        "http://adlnet.gov/expapi/verbs/initialized": "start",
        "reblog": "share",
    }.items():
        assert kinds.of(name) == kinds.of(known), name
    neutral = "session_start SessionEnd user_engagement first_visit pause_video login 登录 心跳"
    for name in (*neutral.split(), "http://adlnet.gov/expapi/verbs/terminated"):
        assert kinds.of(name).sign == "neutral", name


def test_statements_of_xapi_are_read_by_actor_verb_and_object(tmp_path: Path) -> None:
    verbs = ("completed", "failed", "experienced", "voided")
    statements = [
        {
            "actor": {"mbox": f"mailto:l{n % 5}@x.org"},
            "verb": {"id": f"http://adlnet.gov/expapi/verbs/{verbs[n % 4]}"},
            "object": {"id": f"http://lms.org/act/{n % 7}"},
            "timestamp": f"2024-03-{n % 28 + 1:02}T10:00:00Z",
        }
        for n in range(35)
    ]
    text = "".join(json.dumps(s) + "\n" for s in statements)
    data, _ = one_file(tmp_path, text, "statements.jsonl")
    frame = data.interactions.frame.hstack(data.interactions.acts().select("sign"))
    assert frame["user_id"].unique().sort()[0] == "mailto:l0@x.org"
    assert frame["item_id"].unique().sort()[0] == "http://lms.org/act/0"
    signs = {kind.rpartition("/")[2]: sign for kind, sign in frame.select("kind", "sign").rows()}
    assert signs == {"completed": 1, "failed": 0, "experienced": 1, "voided": -1}


def test_a_grade_out_of_ten_is_a_rating_and_an_attempt_never_submitted_says_nothing(
    tmp_path: Path,
) -> None:
    states = ("Finished", "In progress", "Never submitted")
    rows = "".join(
        f"u{n % 5},x{n % 7},{states[n % 3]},{'-' if n % 3 else f'{n % 10}.50'}\n" for n in range(35)
    )
    data, _ = one_file(tmp_path, f"user,item,State,Grade/10.00\n{rows}")
    acts = data.interactions.acts()
    assert acts["rating"].count() == 12 and acts["rating"].max() == 9.5
    assert acts["sign"].value_counts().sort("sign").rows() == [(0, 11), (1, 24)]


@pytest.mark.parametrize("state", ["Not taken", "never attended", "Nicht angesehen", "not read"])
def test_what_a_user_did_not_do_is_no_act(tmp_path: Path, state: str) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{state if n % 3 else 'active'}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,status\n{rows}")
    assert data.interactions.acts()["sign"].value_counts().sort("sign").rows() == [(0, 23), (1, 12)]


@pytest.mark.parametrize("state", ["Not shipped", "not yet delivered", "Not cancelled"])
def test_what_a_shop_did_not_do_yet_leaves_the_act(tmp_path: Path, state: str) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{state if n % 3 else 'active'}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,status\n{rows}")
    assert data.interactions.acts()["sign"].to_list() == [1] * 35


def test_numbers_for_states_beside_ratings_are_told(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{n % 9 + 1},{(1, 2, 4, 6)[n % 4]}\n" for n in range(35))
    _, found = one_file(tmp_path, f"username,anime_id,my_score,my_status\n{rows}")
    assert any("'my_status'" in f.why and "stand for what was done" in f.why for f in found)


def test_dates_of_feeds_are_read_whatever_their_column_is_called(tmp_path: Path) -> None:
    days = ["Fri, 01 Mar 2024 08:00:00 GMT", "Mon, 04 Mar 2024 09:00:00 GMT"]
    rows = "".join(f'u{n % 5},x{n % 7},"{days[n % 2]}"\n' for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,last_played\n{rows}")
    assert data.interactions.frame["timestamp"].max() == 1_709_542_800
    rows = "".join(
        f"u{n % 5},x{n % 7},2024-03-0{n % 9 + 1} 08:00:00 +0000 UTC\n" for n in range(35)
    )
    data, _ = one_file(tmp_path, f"user,item,time\n{rows}")
    assert data.interactions.frame["timestamp"].min() == 1_709_280_000

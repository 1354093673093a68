"""Users whose name stands for all who are not known, such as `guest`, or for nobody: `tester`."""

from __future__ import annotations

import polars as pl

from metarec.data.cleaning_config import CleaningConfig
from metarec.data.events.rows import Rows

SHARED = frozenset(
    "guest guestuser guestcustomer anonymous anonymoususer anon unknownuser unknowncustomer walkin "
    "walkincustomer cashcustomer notloggedin loggedout deleted deleteduser removed gast "
    "gastkunde laufkunde laufkundschaft unbekannt anonym invité anonyme invitado anónimo convidado "
    "ospite anonimo гость аноним 游客 访客 匿名 匿名用户 散客 訪客 ゲスト 비회원 익명".split()
)
"""Names for all users who are not known, without signs between words."""
MIN_SHARED = 3
"""Number of events from which on such a name is told."""
TESTING = (
    r"(?i)^(test|tests|testing|tester|qa|dummy|demo|fake)([ _.\-]?(user|account|customer|client))?"
    r"[ _.\-]?\d{0,3}(@.*)?$"
)
"""Pattern of ids of users that were made for tests."""
MAX_TESTING = 0.2
"""Maximum share of such users; where they are more, ids are called so for another reason."""


def note_shared(rows: Rows, ids: pl.Series, config: CleaningConfig) -> None:
    """Add a finding on each user whose name stands for several (`guest`), and on test accounts."""
    _note_zero(rows, ids, config)
    _note_testing(rows, ids, config)
    bare = ids.str.to_lowercase().str.replace(r"@.*$", "").str.replace_all(r"[\W_]+", "")
    shared = bare.is_in([*SHARED]).fill_null(False)
    if not shared.any():
        return
    for name in ids.filter(shared).unique().sort():
        events = (ids == name).fill_null(False)
        if int(events.sum()) < MIN_SHARED or name in config.without_users:
            continue
        why = (
            f"user {name!r} stands for whoever is not known and is read as one user; to leave it "
            f"out, say so in a TOML file: [cleaning] without_users = [{name!r}]"
        )
        rows.note_rows("shared_users", events, "user_id", why)


def _note_zero(rows: Rows, ids: pl.Series, config: CleaningConfig) -> None:
    """Add a finding on user `0` where no other id is a number of one digit."""
    events = ids.str.contains("^0+$").fill_null(False)
    if int(events.sum()) < MIN_SHARED or ids.str.contains("^0*[1-9]$").any():
        return
    name = ids.filter(events)[0]
    if name in config.without_users or ids.n_unique() < MIN_SHARED:
        return
    why = (
        f"user {name!r} may stand for whoever is not known, since no other id is as small, and is "
        f"read as one user; to leave it out, say so in a TOML file: [cleaning] without_users = "
        f"[{name!r}]"
    )
    rows.note_rows("shared_users", events, "user_id", why)


def _note_testing(rows: Rows, ids: pl.Series, config: CleaningConfig) -> None:
    """Add a finding on users whose ids say that they were made for tests (`test_user`)."""
    users = ids.drop_nulls().unique().sort()
    named = users.filter(users.str.contains(TESTING))
    made = [name for name in named if name not in config.without_users]
    if not made or len(named) > MAX_TESTING * len(users):
        return
    why = (
        f"users such as {made[0]!r} are called like accounts for tests, and their events count as "
        f"others do; to leave them out, say so in a TOML file: [cleaning] without_users = "
        f"{made[:9]!r}"
    )
    rows.note_rows("test_users", ids.is_in(made).fill_null(False), "user_id", why)

"""Old rows go, a piece at a time, and what training needs of them stays."""

from __future__ import annotations

import pytest

pytest.importorskip("sqlalchemy")

from metarec.feedback import open_store, retention  # noqa: E402
from metarec.feedback.events import Event, Impression  # noqa: E402
from metarec.feedback.retention import note_untimed, remove_old, whole_since  # noqa: E402


@pytest.fixture
def store(tmp_path):
    """Ten events and ten slates at the seconds 0 to 9; each event of an even second answers the
    slate of that second.
    """
    opened = open_store(str(tmp_path / "events.db"))
    opened.append(
        [
            Event(
                event_id=f"e{n}",
                user_id="ann",
                item_id="i",
                timestamp=float(n),
                slate_id=None if n % 2 else f"s{n}",
            )
            for n in range(10)
        ]
    ).result()
    opened.show(
        [
            Impression(
                slate_id=f"s{n}",
                user_id="ann",
                item_ids=["i"],
                scores=[0.0],
                propensity=[1.0],
                model_version="m",
                timestamp=float(n),
                n_support=0,
            )
            for n in range(10)
        ]
    ).result()
    yield opened
    opened.close()


def left(store):
    return (
        [int(name[1:]) for name in store.as_frame()["event_id"]],
        [int(name[1:]) for name in store.slates()["slate_id"]],
    )


def test_nothing_is_deleted_unless_asked(store):
    assert remove_old(store).is_all
    assert left(store) == (list(range(10)), list(range(10)))
    assert whole_since(store) is None


def test_old_events_go_and_old_slates_that_no_kept_event_answers(store):
    removed = remove_old(store, events_before=3.0, slates_before=7.0)
    assert (removed.events, removed.slates, removed.is_all) == (3, 5, True)
    assert left(store) == ([3, 4, 5, 6, 7, 8, 9], [4, 6, 7, 8, 9])
    assert whole_since(store) == 7.0


def test_the_moment_since_which_all_slates_are_there_never_goes_back(store):
    remove_old(store, slates_before=6.0)
    remove_old(store, slates_before=4.0)
    assert whole_since(store) == 6.0


def test_it_goes_a_piece_at_a_time(store, monkeypatch):
    monkeypatch.setattr(retention, "AT_ONCE", 4)
    steps = [remove_old(store, events_before=9.0) for _ in range(3)]
    assert [step.events for step in steps] == [4, 4, 1]
    assert [step.is_all for step in steps] == [False, False, True]


def test_the_latest_rows_come_in_the_order_of_all(store):
    assert store.as_frame(latest=3)["event_id"].to_list() == ["e7", "e8", "e9"]
    assert store.slates(2.0, latest=3)["slate_id"].to_list() == ["s7", "s8", "s9"]
    assert store.as_frame(8.0, latest=3)["event_id"].to_list() == ["e8", "e9"]


def test_events_without_a_time_are_as_old_as_their_import(store):
    """Their timestamps are positions, which would be seconds of 1970."""
    note_untimed(store, 2e9)
    note_untimed(store, 1e9)  # of another import, whose clock was late

    remove_old(store, events_before=1.9e9)
    assert left(store)[0] == list(range(10))

    remove_old(store, events_before=2.1e9)
    assert left(store)[0] == []

"""Tables without a line of names that are known by their cells."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.exports import one_file, titles
from metarec.data.cleaning import read_clean
from metarec.data.errors import BadInput
from metarec.data.ingest import ingest

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")
START = 1_511_544_070
ACTS = ["pv", "cart", "fav", "buy"]


def lines(form: str, acts: list[str], n_rows: int = 35) -> str:
    """A row for each act, written as `form` says."""
    each = ((n % 5 + 1, n % 7 + 1, acts[n % len(acts)], START + n) for n in range(n_rows))
    return "".join(form.format(*row) + "\n" for row in each)


@pytest.mark.parametrize(
    "form",
    [
        "{0},{1},4{1},{2},{3}",
        "{0}\t{1}\t{2}\t2017-11-25 10:00:0{0}",
        '{0},"Game {1}, The",{2},1.0,0',
    ],
)
def test_acts_without_names_are_read_and_told(tmp_path: Path, form: str) -> None:
    data, found = one_file(tmp_path, lines(form, ACTS), "log.csv")
    events = data.interactions
    assert (len(events), events.has_time) == (35, "Game" not in form)
    assert set(events.frame["kind"]) == {*ACTS} and events.frame["user_id"].n_unique() == 5
    assert events.frame["item_id"].n_unique() == 7
    assert any("has no line of names" in f.why for f in found)
    if "Game" in form:
        assert titles(data)["Game 3, The"] == "Game 3, The"
    ingest(tmp_path / "log.csv", tmp_path / "out")
    assert len(read_clean(tmp_path / "out")[0].interactions) == 35


@pytest.mark.parametrize("form", ["{0},{1},4{1},{2},{3}", "{0},{1},7,{3}"])
def test_numbers_and_words_of_no_acts_are_refused(tmp_path: Path, form: str) -> None:
    with pytest.raises(BadInput, match="names = "):
        one_file(tmp_path, lines(form, ["red", "blue", "green"]), "log.csv")


def test_listens_are_of_the_last_pair_of_an_id_and_a_name(tmp_path: Path) -> None:
    form = 'user_{0:06d}\t2009-05-04T23:08:5{1}Z\ta-{0}\tArtist "{0}, The\t{4}\tTrack {1}'
    for key in ("t-{1}", ""):
        each = (form.format(n % 5, n % 7, 0, 0, key.format(0, n % 7)) + "\n" for n in range(35))
        data, _ = one_file(tmp_path, "".join(each), "plays.tsv")
        events = data.interactions
        assert (len(events), events.has_time, events.frame["user_id"].n_unique()) == (35, True, 5)
        assert set(events.frame["item_id"]) == {f"t-{n}" if key else f"Track {n}" for n in range(7)}
        if key:
            assert titles(data)["t-3"] == "Track 3"


@pytest.mark.parametrize(
    "form",
    [
        "{0},2014-04-07T10:51:0{0}.277Z,2145{1},0",  # clicks of Yoochoose
        "{0}\t2010-10-19T23:55:2{0}Z\t30.{1}\t-97.7\t2145{1}",  # visits of Gowalla
        "{0}\t2145{1}\t4bf5\tFood Shop\t40.{1}\t-74.0\t-240\tTue Apr 03 18:00:0{0} +0000 2012",
    ],
)
def test_clicks_and_visits_without_names(tmp_path: Path, form: str) -> None:
    rows = "".join(form.format(n % 5 + 1, n % 7) + "\n" for n in range(35))
    data, found = one_file(tmp_path, rows, "log.txt")
    assert set(data.interactions.frame["user_id"]) == set("12345") and data.interactions.has_time
    assert set(data.interactions.frame["item_id"]) == {f"2145{n}" for n in range(7)}
    assert any("has no line of names" in f.why for f in found)


def test_readings_of_sensors_are_refused(tmp_path: Path) -> None:
    for cell in ("{0}.5", "{0},1.5,2.5"):
        rows = "".join(f"s{n % 5},2014-04-07T10:51:0{n % 7},{cell.format(n)}\n" for n in range(35))
        with pytest.raises(BadInput, match="names = "):
            one_file(tmp_path, rows, "log.csv")


def test_what_was_shown_and_clicked_and_news_without_names(tmp_path: Path) -> None:
    rows = [
        f"{n + 1}\tU{n % 5}\t11/{n % 9 + 12}/2019 9:05:58 AM\tN{n % 5 + 11} N{n % 5 + 12}"
        f"\tN{n % 7 + 1}-1 N{n % 7 + 2}-0 N{n % 7 + 3}-0"
        for n in range(35)
    ]
    news = "".join(
        f'N{n}\tsports\tsoccer\tA "title of the news {n}, long\tIts text, which is longer, {n}'
        f"\thttps://x/{n}\t[]\t[]\n"
        for n in range(1, 20)
    )
    (tmp_path / "behaviors.tsv").write_text("\n".join(rows) + "\n")
    (tmp_path / "news.tsv").write_text(news)
    data, report = read_clean(tmp_path)
    events = data.interactions.frame
    kinds = dict(events["kind"].value_counts().iter_rows())
    assert kinds == {"click": 35 + 10, "impression": 70}
    past = events.filter(events["item_id"].is_in([f"N{n}" for n in range(11, 17)]))
    assert past.height == 10 and data.interactions.has_time
    assert titles(data)["N3"] == 'A "title of the news 3, long'
    assert any("without times" in f.why for f in report.findings)
    ingest(tmp_path / "behaviors.tsv", tmp_path / "out")
    in_parts = read_clean(tmp_path / "out")[0].interactions.frame
    assert dict(in_parts["kind"].value_counts().iter_rows()) == kinds
    assert set(in_parts["item_id"]) == set(events["item_id"])

"""Each rule takes out what it names, leaves the rest, can be switched off, and leaves the data
given untouched.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import metarec
from data.folders import DAY, START, events, write
from metarec.data.cleaning import OFF, CleaningConfig, check, clean, cleaned, read_clean
from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput, DataWarning
from metarec.runtime.language import OUTPUT, SAID, translated_lines


def act(rows: list[tuple[str, str, float, str]]) -> pl.DataFrame:
    """Implicit events."""
    return pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "kind"], orient="row")


def found(
    frame: pl.DataFrame, config: CleaningConfig | None = None
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Cleaned events and rows by rule."""
    data, report = clean(Dataset(interactions=frame), config)
    counts: dict[str, int] = {}
    for finding in report.findings:
        counts[finding.rule] = counts.get(finding.rule, 0) + finding.rows
    assert report.removed == frame.height - len(data.interactions)
    return data.interactions.frame, counts


def browsing(user: str = "u", n: int = 30, start: float = START) -> pl.DataFrame:
    """A user who looks at things now and then, unevenly."""
    rng = np.random.default_rng(1)
    times = start + np.floor(np.cumsum(rng.exponential(3600.0, n)))
    return act([(user, f"i{k % 11}", float(t), "view") for k, t in enumerate(times)])


def test_users_are_left_alone() -> None:
    frame, counts = found(pl.concat([browsing("a"), browsing("b")]))
    assert counts == {} and frame.height == 60


def test_exact_duplicates() -> None:
    frame, counts = found(pl.concat([events(), events().head(5)]))
    assert counts == {"duplicates": 5} and frame.height == events().height


def test_rows_that_differ_in_any_column_are_no_duplicates() -> None:
    other = events().with_columns(device=pl.lit("phone"))
    again = other.head(5).with_columns(device=pl.lit("tablet"))
    _, counts = found(pl.concat([other, again]), CleaningConfig(repeats="keep"))
    assert counts == {}


def test_purchases_without_times_may_repeat_but_ratings_may_not() -> None:
    bought = pl.DataFrame({"user_id": ["u", "u", "v"], "item_id": ["i", "i", "j"]})
    assert found(bought)[1] == {}
    rated = bought.with_columns(value=pl.Series([3.0, 3.0, 4.0]))
    assert found(rated)[1] == {"duplicates": 1}


@pytest.mark.parametrize(
    "policy, kept", [("auto", 5.0), ("last", 5.0), ("first", 1.0), ("keep", None)]
)
def test_the_repeat_policy(policy: str, kept: float | None) -> None:
    again = pl.DataFrame(
        {
            "user_id": ["u00"] * 2,
            "item_id": ["i99"] * 2,
            "timestamp": [START, START + DAY],
            "value": [1.0, 5.0],
            "kind": "rating",
        }
    )
    config = CleaningConfig(repeats=policy)  # type: ignore[arg-type]
    frame, counts = found(pl.concat([events(), again]), config)
    values = frame.filter(pl.col("item_id") == "i99")["value"].to_list()
    assert (values, counts) == (([kept], {"repeats": 1}) if kept else ([1.0, 5.0], {}))


def test_repeated_purchases_stay_by_default() -> None:
    frame = act(
        [("u", "milk", START + n * 3 * DAY + n * 17, "purchase") for n in range(9)]
        + [("v", "tea", START, "purchase")]
    )
    assert found(frame)[1] == {}
    assert found(frame, CleaningConfig(repeats="first"))[1] == {"repeats": 8}


@pytest.mark.parametrize(
    "shape, left",
    [
        ("cr", "r"),
        ("ccrr", "r"),
        ("crc", "c"),
        ("rc", "rc"),
        ("cc", "cc"),
        ("crr", "r"),
        ("ccr", "c"),
        ("crcr", "r"),
    ],
)
def test_acts_taken_back_go_in_pairs(shape: str, left: str) -> None:
    names = {"c": "cart", "r": "remove_from_cart"}
    rows = [("u", "i", START + n * 60 * 7.0 + n, names[letter]) for n, letter in enumerate(shape)]
    frame, _ = found(pl.concat([act(rows), browsing("w")]))
    kinds = frame.filter(pl.col("user_id") == "u")["kind"].to_list()
    assert "".join(k[0] for k in kinds) == left


def test_taking_back_at_the_same_moment() -> None:
    """Whichever row comes first in the file."""
    for kinds in (("cart", "remove_from_cart"), ("remove_from_cart", "cart")):
        rows = [("u", "i", START, kind) for kind in kinds]
        assert found(pl.concat([act(rows), browsing("w")]))[1] == {"cancelled": 1}
    earlier_name = CleaningConfig(cancelling={"abandon": "cart"})  # sorts before what it takes back
    rows = [("u", "i", START, kind) for kind in ("abandon", "cart")]
    assert found(pl.concat([act(rows), browsing("w")]), earlier_name)[1] == {"cancelled": 2}


def test_taking_back_one_thing_leaves_another() -> None:
    rows = [
        ("u", "i", START, "like"),
        ("u", "j", START + 3, "unlike"),
        ("v", "j", START - 60, "like"),
    ]
    assert found(pl.concat([act(rows), browsing("w")]))[1] == {}


def test_double_clicks_become_one() -> None:
    rows = [("u", "i", START + s, "view") for s in (0, 0.4, 1.2, 5)]
    rows += [("u", "j", START + 0.5, "view"), ("u", "i", START + 0.6, "purchase")]
    frame, counts = found(pl.concat([act(rows), browsing("w")]))
    assert counts == {"double_clicks": 2}
    assert frame.filter(pl.col("user_id") == "u").height == 4


def test_a_clock_of_days_tells_no_double_clicks_bursts_or_bots() -> None:
    rows = [("u", f"i{n % 3}", START - START % DAY + (n // 50) * DAY, "view") for n in range(5000)]
    assert found(act(rows))[1] == {}


def test_bursts_of_fleeting_acts_go_and_baskets_stay() -> None:
    rows = [("u", f"i{n}", START, "view") for n in range(40)] + [
        ("v", f"i{n}", START, "purchase") for n in range(80)
    ]
    frame, counts = found(pl.concat([act(rows), browsing("w")]))
    assert counts == {"bursts": 40} and frame.filter(pl.col("user_id") == "v").height == 80


def test_a_fast_user_is_a_bot_and_a_fast_rater_is_not() -> None:
    rng = np.random.default_rng(0)
    fast = np.floor(np.sort(rng.uniform(0, 3000, 4000)))
    quick = np.floor(np.sort(rng.uniform(0, 3600, 600)))
    rows = [
        (user, f"i{n}", START + t, "view")
        for user, times in (("bot", fast), ("fan", quick))
        for n, t in enumerate(times)
    ]
    frame, counts = found(act(rows))
    assert counts == {"bots": 4000} and frame["user_id"].unique().to_list() == ["fan"]
    assert "bots" not in found(act(rows), CleaningConfig(bot_events_per_hour=0))[1]


def test_the_fastest_hour_is_any_hour() -> None:
    """4,000 events around a full hour, 2,000 on either side."""
    hour = START - START % 3600 + 3600
    times = np.floor(np.sort(np.random.default_rng(0).uniform(hour - 1500, hour + 1500, 4000)))
    assert found(
        pl.concat([act([("bot", f"i{n}", t, "view") for n, t in enumerate(times)]), browsing("w")])
    )[1] == {"bots": 4000}


def test_an_even_user_is_a_bot() -> None:
    even = [("bot", f"i{n}", START + n * 613 + n % 3, "view") for n in range(101)]
    frame, counts = found(pl.concat([act(even), browsing("w", 200)]))
    assert counts == {"bots": 101} and frame["user_id"].unique().to_list() == ["w"]
    assert found(pl.concat([act(even[:100]), browsing("w", 200)]))[1] == {}


def test_a_user_who_never_sleeps_is_a_bot() -> None:
    rng = np.random.default_rng(0)
    rows = [
        ("bot", f"i{n}", float(START - START % 3600 + n * 3600 + rng.integers(3600)), "view")
        for n in range(72)
    ]
    assert found(pl.concat([act(rows), browsing("w")]))[1] == {"bots": 72}
    gap = [row for n, row in enumerate(rows) if n != 30]
    assert found(pl.concat([act(gap), browsing("w")]))[1] == {}


@pytest.mark.parametrize(("low", "high", "steps"), [(0, 1, 5), (-1, 1, 3), (0, 2, 3)])
def test_a_stray_five_is_off_a_narrow_scale(low: int, high: int, steps: int) -> None:
    scale = np.linspace(low, high, steps)
    many = events(users=60).with_columns((pl.int_range(pl.len()) % steps).alias("step"))
    value = pl.col("step").replace_strict(dict(enumerate(scale)), return_dtype=pl.Float64)
    many = many.with_columns(value.alias("value")).drop("step")
    one = many.head(1).with_columns(pl.lit(5.0).alias("value"), pl.lit("i99").alias("item_id"))
    assert "stray_values" not in found(many)[1]
    assert found(pl.concat([many, one]))[1]["stray_values"] == 1


def test_stray_ratings_go_and_a_wide_scale_stays() -> None:
    strays = pl.DataFrame(
        {
            "user_id": ["u00", "u01"],
            "item_id": ["i97", "i98"],
            "timestamp": [START, START + 9],
            "value": [99.0, -1.0],
            "kind": "rating",
        }
    )
    many = events(users=60)
    assert found(pl.concat([many, strays]))[1] == {"stray_values": 2}
    assert found(many.with_columns(pl.col("value") * 19))[1] == {}
    assert found(many, CleaningConfig(value_scale=(1, 4)))[1] == {
        "stray_values": int((many["value"] == 5).sum())
    }


def test_k_core_holds_for_all_that_are_left() -> None:
    chain = pl.DataFrame(
        {
            "user_id": ["a", "a", "b", "b", "c", "c", "d"],
            "item_id": ["1", "2", "1", "2", "2", "3", "3"],
            "timestamp": [START + 7.0 * n for n in range(7)],
        }
    )
    frame, counts = found(chain, CleaningConfig(k_core=2))
    assert set(frame.select("user_id", "item_id").rows()) == {
        ("a", "1"),
        ("a", "2"),
        ("b", "1"),
        ("b", "2"),
    }
    assert counts == {"k_core": 3}
    with pytest.raises(BadInput, match=r"no events are left after the rule k_core .* relax it"):
        found(chain, CleaningConfig(k_core=5))


def test_everything_off_keeps_every_readable_row() -> None:
    mess = pl.concat([events(), events().head(5)])
    frame, counts = found(mess, OFF)
    assert counts == {} and frame.height == mess.height


def test_the_data_given_stay_as_they_are() -> None:
    data = Dataset(interactions=pl.concat([events(), events().head(5)]))
    before = data.interactions.frame.clone()
    clean(data)
    assert data.interactions.frame.equals(before)


def test_values_that_are_no_numbers_in_a_dataset_built_by_hand() -> None:
    frame = events().with_columns(
        value=pl.when(pl.int_range(pl.len()) < 3).then(float("inf")).otherwise("value")
    )
    with pytest.warns(DataWarning, match="impossible_values: removed 3 rows"):
        assert len(Dataset(interactions=frame).interactions) == frame.height - 3


def test_a_position_is_no_time_of_day() -> None:
    """Sequence positions are evenly spaced by nature."""
    rows = pl.DataFrame(
        {
            "user_id": ["u"] * 5000,
            "item_id": [f"i{n}" for n in range(5000)],
            "seq_pos": [n // 2 for n in range(5000)],
        }
    )
    assert found(rows)[1] == {}


def test_a_daily_habit_on_a_clock_of_minutes_is_no_clockwork() -> None:
    habit = act(
        [("u", f"i{n % 7}", START - START % DAY + n * DAY + 480 * 60, "view") for n in range(150)]
    )
    assert found(habit)[1] == {}


@pytest.mark.parametrize(
    "settings_given, message",
    [
        ({"most_unreadable": 2.0}, r"most_unreadable is a share and must lie in \[0, 1\], got 2.0"),
        ({"k_core": -1}, "k_core must be 0 or more, got -1"),
        ({"repeats": "some"}, "repeats must be one of auto, keep, first, last, got 'some'"),
        ({"value_scale": (5, 1)}, r"got \(5, 1\)"),
    ],
)
def test_settings_are_checked(settings_given: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        CleaningConfig(**settings_given)  # type: ignore[arg-type]


rows_of_events = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from("xyz"),
        st.integers(0, 5),
        st.sampled_from(["view", "cart", "remove_from_cart"]),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(rows_of_events, st.integers(0, 3))
def test_cleaning_only_takes_rows_out_counts_them_and_is_done_after_once(
    rows: list[tuple[str, str, int, str]], seed: int
) -> None:
    frame = act(
        [(u, i, START + 37.0 * t, k) for u, i, t, k in rows] + [("w", "q", START + 1.0, "view")]
    )
    config = CleaningConfig(repeats="first")
    once, counts = found(frame, config)
    assert sum(counts.values()) == frame.height - once.height
    assert (
        once.join(
            Dataset(interactions=frame).interactions.frame,
            on=["user_id", "item_id", "timestamp", "kind"],
            how="anti",
        ).height
        == 0
    )
    shuffled, again = found(frame.sample(fraction=1.0, shuffle=True, seed=seed), config)
    assert again == counts
    assert (
        shuffled.select(pl.struct("user_id", "item_id", "timestamp").n_unique()).item()
        == once.select(pl.struct("user_id", "item_id", "timestamp").n_unique()).item()
    )


def shared_table(users: int, of_one: float) -> pl.DataFrame:
    """`users` with ten events each, and `tester` with a share of all."""
    rows = [
        (f"u{n}", f"i{(7 * n + k) % 30}", 60.0 * (n + 97 * k))
        for n in range(users)
        for k in range(10)
    ]
    extra = round(len(rows) * of_one / (1 - of_one))
    rows += [("tester", f"i{k % 30}", 60.0 * (k * 7 + (k % 5) * 13)) for k in range(extra)]
    return pl.DataFrame(
        rows, schema=["user_id", "item_id", "timestamp"], orient="row"
    ).with_columns(pl.col("timestamp") + 1.7e9)


@pytest.mark.parametrize(
    ("users", "share", "is_told"),
    [(60, 0.34, True), (20, 0.34, True)] + [(300, 0.12, True), (300, 0.05, False), (3, 0.3, False)],
)
def test_a_user_with_much_of_all_events_is_told_and_kept(
    users: int, share: float, is_told: bool
) -> None:
    table = shared_table(users, share)
    report = check(table)
    told = [f for f in report.findings if f.rule == "heavy_users"]
    assert bool(told) == is_told
    if told:
        assert (told[0].action, told[0].table) == ("noted", "interactions")
        assert told[0].rows == table.filter(pl.col("user_id") == "tester").height
        assert "user 'tester' has" in told[0].why
        assert told[0].why.endswith('without_users = ["tester"]')
        chinese = translated_lines(told[0].line(), "zh", OUTPUT, SAID)
        assert "用户 'tester' 占全部事件的" in chinese


def test_users_are_left_out_by_name() -> None:
    table = shared_table(60, 0.34)
    data, report = read_clean(table, CleaningConfig(without_users=("tester",)))
    assert "tester" not in data.interactions.frame["user_id"]
    assert [f.rule for f in report.findings] == ["without_users"]
    with pytest.raises(BadInput, match="without_users is a list, got 'tester'"):
        CleaningConfig(without_users="tester")  # type: ignore[arg-type]


@pytest.mark.parametrize("given_as", ["frames", "pandas", "folder", "toml"])
def test_rows_that_stand_twice_count_once_however_data_are_given(
    tmp_path: Path, given_as: str
) -> None:
    """What `metarec fit` cleans, `Recommender.fit` cleans too, and says so."""
    twice = pl.concat([events(), events().head(5)])
    folder = write(tmp_path / "data", interactions=twice)
    if given_as == "toml":
        text = "[cleaning]\nk_core = 2\n[[sources]]\ninteractions = 'interactions.csv'\n"
        (folder / "metarec.toml").write_text(text)
    data = {
        "frames": lambda: metarec.Dataset(interactions=twice),
        "pandas": lambda: metarec.Dataset(interactions=twice.to_pandas()),
    }.get(given_as, lambda: metarec.read(folder))()
    by_command, report = read_clean(folder)
    with pytest.warns(DataWarning, match="removed 5 rows: the row equals another"):
        same = cleaned(data)
    assert same.interactions.frame.equals(by_command.interactions.frame)
    assert len(same.interactions) == len(twice) - report.removed
    assert cleaned(same) is same and len(data.interactions) == len(twice)


def test_a_fit_says_what_it_cleans_and_learns_the_rest() -> None:
    twice = pl.concat([events(12, 5, 8), events(12, 5, 8).head(5)])
    with pytest.warns(DataWarning, match="data: duplicates: removed 5 rows"):
        model = metarec.Recommender.fit(
            metarec.Dataset(interactions=twice), preset="tiny", encoder="none"
        )
    assert len(model.training.interactions) == len(twice) - 5


def test_interactions_and_data_cleaned_before_are_taken_as_they_are() -> None:
    twice = pl.concat([events(), events().head(5)])
    by_hand = metarec.Dataset(interactions=metarec.Interactions.of(twice))
    asked, _ = clean(metarec.Dataset(interactions=twice), OFF)
    assert cleaned(by_hand) is by_hand and cleaned(asked) is asked

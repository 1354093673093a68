"""Exports of systems seen blind: what cells, names and rows of theirs say."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import metarec
from data.exports import one_file, told
from metarec.data.cleaning import read_clean
from metarec.data.dataset import Dataset
from metarec.data.errors import BadInput
from metarec.data.ingest import ingest

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")

START = datetime(2024, 1, 3, 9, 5, tzinfo=UTC)


def days(form: str, rows: int = 40) -> list[str]:
    return [(START + timedelta(days=n, hours=n)).strftime(form) for n in range(rows)]


def kinds(data: Dataset) -> dict[str, int]:
    return dict(data.interactions.frame["kind"].value_counts().iter_rows())


def signs(data: Dataset) -> dict[str, int]:
    frame = data.interactions.frame
    signs = data.interactions.acts()["sign"].to_list()
    return dict(zip(frame["kind"], signs, strict=True))


def first(data: Dataset) -> float:
    # Polars types min() as any literal
    return float(data.interactions.frame["timestamp"].min())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("names", "refunded", "bought"),
    [
        ("Bestellnummer;Bestellstatus;Kunde;Artikel", "Rückerstattet", "Abgeschlossen"),
        ("Katılım No;Katılım Durumu;E-posta;Etkinlik Adı", "Katılmıyor", "Katılıyor"),
        ("م;الحالة;العميل;رقم المنتج", "مرفوض", "مكتمل"),
    ],
)
def test_states_in_further_languages_say_no(
    tmp_path: Path, names: str, refunded: str, bought: str
) -> None:
    rows = "".join(f"{n};{bought if n % 4 else refunded};u{n % 5};x{n % 7}\n" for n in range(40))
    data, _ = one_file(tmp_path, f"{names}\n{rows}")
    assert data.interactions.acts()["sign"].to_list().count(-1) == 10
    assert set(data.interactions.frame["user_id"]) == {f"u{n}" for n in range(5)}


def test_acts_of_a_library_in_french(tmp_path: Path) -> None:
    acts = ("Prêt", "Renouvellement", "Retour", "Réservation annulée")
    rows = "".join(f"{acts[n % 4]}\tL{n % 5}\tx{n % 7}\n" for n in range(40))
    data, _ = one_file(tmp_path, f"Type de transaction\tN° lecteur\tCode-barres\n{rows}")
    said = signs(data)
    assert said["Prêt"] == said["Renouvellement"] == 1
    assert said["give_back"] == 0 and said["Réservation annulée"] == -1


def test_a_log_of_a_course_in_polish(tmp_path: Path) -> None:
    rows = "".join(
        f'"{day}",{"-" if n % 8 == 0 else f"Ewa {n % 5}"},Test: Quiz {n % 7},Wyświetlono kurs\n'
        for n, day in enumerate(days("%d/%m/%y, %H:%M:%S"))
    )
    names = "Czas,Pełna nazwa użytkownika,Kontekst zdarzenia,Nazwa zdarzenia"
    data, found = one_file(tmp_path, f"{names}\n{rows}")
    assert set(data.interactions.frame["user_id"]) == {f"Ewa {n}" for n in range(5)}
    assert told(found, "missing_ids") == [5]  # "-" is nobody
    assert data.interactions.kinds.of("Wyświetlono kurs").strength < 1


@pytest.mark.parametrize(
    ("names", "form"),
    [
        ("Соискатель;ID вакансии;Дата и время", "%d {} %Y, %H:%M"),
        ("E-posta;Etkinlik Adı;Sipariş Tarihi", "%d Oca %Y %H:%M"),
        ("العميل;رقم العقار;التاريخ", "%d/%m/%Y %H:%M"),
        ("사번;고객;상품;이용일시", "%Y.%m.%d 오전 %I:%M"),
        ("ユーザー;商品;日時", "%Y/%m/%d 午前 %I:%M"),
    ],
)
def test_times_in_further_languages(tmp_path: Path, names: str, form: str) -> None:
    written = [
        (START + timedelta(days=n % 28)).strftime(form.format(("янв", "января")[n % 2]))
        for n in range(40)
    ]
    zero = 0x660 if "التاريخ" in names else ord("0")
    digits = {ord("0") + n: zero + n for n in range(10)}
    more = "E1;" if names.startswith("사번") else ""
    rows = "".join(
        f"{more}u{n % 5};x{n % 7};{t.translate(digits)}\n" for n, t in enumerate(written)
    )
    data, _ = one_file(tmp_path, f"{names}\n{rows}")
    assert data.interactions.has_time and first(data) == START.timestamp()


def test_what_a_survey_in_japanese_says_of_liking_are_ratings(tmp_path: Path) -> None:
    words = ("とても嫌い", "嫌い", "どちらでもない", "好き", "とても好き")
    said = [(words[n % 5], words[n % 3]) for n in range(30)]
    rows = "".join(f"2024/04/15,e{n}@a.jp,{a},{b}\n" for n, (a, b) in enumerate(said))
    names = "日付,メールアドレス,どう？ [唐揚げ],どう？ [そば]"
    data, _ = one_file(tmp_path, f"{names}\n{rows}")
    values = data.interactions.frame.filter(item_id="唐揚げ").sort("user_id")["value"]
    assert set(values) == {1.0, 2.0, 3.0, 4.0, 5.0} and data.interactions.has_values
    assert "e0@a.jp" in set(data.interactions.frame["user_id"])


def test_a_time_of_day_behind_a_day_is_of_that_day(tmp_path: Path) -> None:
    rows = "".join(
        f"{day},8:45 PM,x{n % 7},u{n % 5},01/02/2024\n" for n, day in enumerate(days("%m/%d/%Y"))
    )
    data, found = one_file(tmp_path, f"Visit Date,Time,Restaurant,Guest,Created Date\n{rows}")
    assert first(data) == datetime(2024, 1, 3, 20, 45, tzinfo=UTC).timestamp()
    assert any("('Visit Date', 'Time') were put together" in f.why for f in found)
    rows = "".join(f"{day},u{n % 5},x{n % 7},8:45 PM\n" for n, day in enumerate(days("%m/%d/%Y")))
    with pytest.raises(BadInput, match="8:45 PM"):  # whose time is it
        one_file(tmp_path, f"Visit Date,Guest,Restaurant,Time\n{rows}")


def test_dates_of_zeros_are_no_times_beside_seconds(tmp_path: Path) -> None:
    rows = "".join(
        f"u{n % 5},x{n % 7},0000-00-00,0000-00-00,{1_700_000_000 + 90 * n}\n" for n in range(40)
    )
    names = "username,anime_id,my_start_date,my_finish_date,my_last_updated"
    data, _ = one_file(tmp_path, f"{names}\n{rows}")
    assert data.interactions.has_time and first(data) == 1_700_000_000


def test_who_wrote_a_review_within_an_object(tmp_path: Path) -> None:
    lines = [
        {
            "appid": 400 + n % 7,
            "author": {"steamid": str(76561198000000000 + n % 5), "num_games_owned": 5},
            "timestamp_created": 1_700_000_000 + 90 * n,
            "voted_up": n % 4 > 0,
        }
        for n in range(40)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    data, _ = one_file(tmp_path, text, "reviews.jsonl")
    assert data.interactions.frame["user_id"].n_unique() == 5
    assert data.interactions.acts()["sign"].to_list().count(-1) == 10


@pytest.mark.parametrize(
    ("names", "zone", "is_told"),
    [
        ("Time (MSK),user,item,color", "red", True),
        ("Дата и время (МСК),Клиент,Товар,цвет", "red", True),
        ("Time (UTC),user,item,color", "red", False),
        ("Time,user,item,Time Zone", "Eastern Time (US & Canada)", True),
        ("Time,user,item,timezone", "UTC", False),
    ],
)
def test_a_zone_that_is_named_beside_times_is_told(
    tmp_path: Path, names: str, zone: str, is_told: bool
) -> None:
    rows = "".join(f"{d},u{n % 5},x{n % 7},{zone}\n" for n, d in enumerate(days("%F %T")))
    data, found = one_file(tmp_path, f"{names}\n{rows}")
    assert first(data) == START.timestamp()
    assert any("names another zone" in f.why for f in found) is is_told
    rows = "".join(f"{d},u{n % 5},x{n % 7},{zone}\n" for n, d in enumerate(days("%FT%T+03:00")))
    data, found = one_file(tmp_path, f"{names}\n{rows}")
    assert not any("names another zone" in f.why for f in found)


@pytest.mark.parametrize("unit", [1, 1000])
def test_a_zone_beside_seconds_since_1970_is_told(tmp_path: Path, unit: int) -> None:
    """Their hours are those of UTC, not of the place; positions have no hours."""
    start = round(START.timestamp()) * unit
    for first_one, zone, is_told in (
        (start, "Asia/Tokyo", True),
        (start, "UTC", False),
        (1, "Asia/Tokyo", False),
    ):
        step = 3600 * unit if first_one == start else 1
        rows = "".join(f"{first_one + step * n},u{n % 5},x{n % 7},{zone}\n" for n in range(60))
        _, found = one_file(tmp_path, f"timestamp,user,item,timezone\n{rows}")
        assert any("names another zone" in f.why for f in found) is is_told


def test_what_is_the_same_everywhere_is_no_column_of_items(tmp_path: Path) -> None:
    rows = "".join(f"me,x{n % 7},{n},ios,{'' if n % 9 else 'a'}\n" for n in range(120))
    data, found = one_file(tmp_path, f"user_id,item_id,timestamp,platform,extra\n{rows}")
    assert "platform" not in data.items.frame.columns
    assert not any("name another 'platform'" in f.why for f in found)


def test_a_user_of_minus_one_is_nobody(tmp_path: Path) -> None:
    rows = "".join(f"{-1 if n % 10 == 0 else 900 + n % 5},x{n % 7},{n}\n" for n in range(40))
    data, found = one_file(tmp_path, f"user_id,item_id,timestamp\n{rows}")
    assert "-1" not in set(data.interactions.frame["user_id"]) and told(found, "missing_ids") == [4]
    assert any("-1, which stands for none" in f.why for f in found)
    rows = "".join(f"{n % 5 - 2},x{n % 7},{n}\n" for n in range(40))  # others are below 0
    data, found = one_file(tmp_path, f"user_id,item_id,timestamp\n{rows}")
    assert "-1" in set(data.interactions.frame["user_id"]) and not told(found, "missing_ids")


def log(extra: Mapping[int, Mapping[str, object]] | None = None, rows: int = 40) -> str:
    lines = [
        {
            "user_id": f"u{n % 5}",
            "item_id": f"x{n % 7}",
            "time": 1_700_000_000 + 90 * n,
            **(extra or {}).get(n, {}),
        }
        for n in range(rows)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def test_what_was_sent_again_counts_once(tmp_path: Path) -> None:
    sent = {n: {"$insert_id": f"s{n % 35}"} for n in range(40)}
    data, found = one_file(tmp_path, log(sent), "events.jsonl")
    assert len(data.interactions) == 35 and told(found, "resent") == [5]
    ingest(tmp_path / "events.jsonl", tmp_path / "kept")
    assert len(metarec.read(tmp_path / "kept").interactions) == 35


def test_objects_without_fields_say_nothing(tmp_path: Path) -> None:
    empty: dict[int, dict[str, object]] = {n: {"meta": {}, "more": {"tags": {}}} for n in range(40)}
    data, _ = one_file(tmp_path, log(empty), "events.jsonl")
    assert len(data.interactions) == 40 and data.interactions.context_columns == []


@pytest.mark.parametrize(
    ("acts", "name"),
    [(("WatchEvent", "ForkEvent", "PushEvent"), "action"), (("view", "download"), "eventName")],
)
def test_the_kind_is_what_every_row_says(tmp_path: Path, acts: tuple[str, ...], name: str) -> None:
    said: dict[int, dict[str, object]] = {
        n: {"type": acts[n % len(acts)], name: "started" if n % 3 == 0 else None} for n in range(40)
    }
    data, found = one_file(tmp_path, log(said), "events.jsonl")
    assert set(kinds(data)) == {*acts}
    assert any(f"'type' of events.jsonl was read as kind: {name!r} says" in f.why for f in found)
    said = {n: {**row, "type": ("red", "blue")[n % 2]} for n, row in said.items()}  # of items
    data, _ = one_file(tmp_path, log(said), "events.jsonl")
    assert set(kinds(data)) == {"started", "event"}
    ingest(tmp_path / "events.jsonl", tmp_path / "kept")
    assert set(kinds(metarec.read(tmp_path / "kept"))) == {"started", "event"}


def test_who_acted_on_which_repository(tmp_path: Path) -> None:
    lines = [
        {
            "id": n,
            "type": "WatchEvent",
            "actor": {"id": 50 + n % 5, "login": f"dev-{n % 5}"},
            "repo": {"id": 70 + n % 7, "name": f"org/repo-{n % 7}"},
            "created_at": "2024-03-09T15:00:00Z",
        }
        for n in range(40)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    data, _ = one_file(tmp_path, text, "events.jsonl")
    frame = data.interactions.frame
    assert frame["user_id"].n_unique() == 5 and frame["item_id"].n_unique() == 7


def test_logs_of_json_that_were_packed_and_put_aside(tmp_path: Path) -> None:
    for name in ("tracking.log-20240215.gz", "tracking.log.1.gz", "tracking.log.gz"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(log().encode()))
        assert len(metarec.read(path).interactions) == 40, name
    (tmp_path / "tracking.log.2").write_text(log(), encoding="utf-8")
    assert len(metarec.read(tmp_path / "tracking.log.2").interactions) == 40


def test_an_object_in_most_cells_of_an_event_is_read(tmp_path: Path) -> None:
    lines = [
        {
            "user_id": f"u{n % 5}",
            "time": 1_700_000_000 + 90 * n,
            "name": "play" if n % 5 else "check",
            "event": json.dumps({"module_id": f"m{n % 7}"}) if n % 5 else "input=1",
            "course_id": "c1",
        }
        for n in range(40)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    data, found = one_file(tmp_path, text, "events.jsonl")
    assert set(data.interactions.frame["item_id"]) == {f"m{n}" for n in range(7)}
    assert any("items are read from 'module_id'" in f.why for f in found)
    assert "event_text" in data.interactions.frame.columns


def test_a_cookie_of_one_file_is_who_was_signed_in_with_it_in_another(tmp_path: Path) -> None:
    names = "anonymous_id,user_id,product_id,original_timestamp"
    views = "".join(f"a{n % 5},,x{n % 7},{d}\n" for n, d in enumerate(days("%F %T")))
    signed = [f"a{n % 4}" for n in range(10)]
    buys = "".join(
        f"{a},{f'u{a[1]}' if n else ''},x{n % 7},2024-05-01\n" for n, a in enumerate(signed)
    )
    (tmp_path / "views.csv").write_text(
        f"{names}\n{views.replace('a4,,', 'a4,u9,')}", encoding="utf-8"
    )
    (tmp_path / "purchases.csv").write_text(f"{names}\n{buys}", encoding="utf-8")
    data, report = read_clean(tmp_path)
    assert set(data.interactions.frame["user_id"]) == {"u0", "u1", "u2", "u3", "u9"}
    assert any("signed in with it elsewhere" in f.why for f in report.findings)


def test_the_one_folder_within_is_read_and_told(tmp_path: Path) -> None:
    within = tmp_path / "export" / "tracks"
    within.mkdir(parents=True)
    rows = "".join(f"u{n % 5},x{n % 7},{n}\n" for n in range(40))
    (within / "log.csv").write_text(f"user_id,item_id,timestamp\n{rows}", encoding="utf-8")
    data, report = read_clean(tmp_path / "export")
    assert len(data.interactions) == 40
    assert any("tracks/log.csv, which was read" in f.why for f in report.findings)


def test_folders_without_events_are_refused_with_a_way_out(tmp_path: Path) -> None:
    for name in ("ratings_anna.csv", "ratings_ben.csv"):
        (tmp_path / name).write_text("Const,Title,Your Rating\nt1,Alien,8\n", encoding="utf-8")
    (tmp_path / "guide.xml").write_text("<tv/>", encoding="utf-8")
    (tmp_path / "tracks").mkdir()
    (tmp_path / "tracks" / "log.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"ratings_anna.csv and ratings_ben.csv name items, but no"):
        metarec.read(tmp_path)
    with pytest.raises(BadInput, match=r"guide.xml is XML, which is not read"):
        metarec.read(tmp_path)
    with pytest.raises(BadInput, match="give tracks alone, if the events are in it"):
        metarec.read(tmp_path)


def test_what_a_wide_table_is_told_to_be(tmp_path: Path) -> None:
    books = "Book Id,Title,Author,ISBN,My Rating,Publisher,Binding,Pages,Year\n1,A,B,2,5,C,D,9,1\n"
    with pytest.raises(BadInput, match="if all rows are of one user"):
        one_file(tmp_path, books)
    courses = (
        "Pers.-Nr.;Name;Abteilung;Erste Hilfe;Brandschutz;Excel;DSGVO;Stapler;SAP\n1;A;B;x;;;a;;\n"
    )
    with pytest.raises(BadInput, match="if each column is an item"):
        one_file(tmp_path, courses)

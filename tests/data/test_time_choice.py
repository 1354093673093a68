"""The time of events among several columns of dates."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from data.exports import one_file
from metarec.data.dataset import Dataset
from metarec.data.findings import Finding

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = {"de": "%d.%m.%Y", "iso": "%Y-%m-%d", "fr": "%d/%m/%Y", "nl": "%d-%m-%Y"}


def loans(header: str, roles: str, form: str, **gaps: float) -> str:
    """A table of 90 events. A role is a letter for each column: `u` user, `i` item, `t` title, `A`
    the act, `L` later, `B` of the user, `n` a number. `gaps` are shares of empty cells by role.
    """
    rng = random.Random(4)
    separator = ";" if ";" in header else ","
    rows = [header]
    for n in range(90):
        at = START + timedelta(days=rng.randrange(300), seconds=rng.randrange(86_400))
        user, item = rng.randrange(12), min(rng.randrange(20), rng.randrange(20))
        times = {"A": at, "L": at + timedelta(days=3 + n % 20), "B": START - timedelta(days=user)}
        cells = {"u": str(1000 + user), "i": str(5000 + item), "t": f"Das Haus {item}", "n": n % 3}
        for role, time in times.items():
            text = str(int(time.timestamp())) if form == "epoch" else time.strftime(form)
            cells[role] = "" if rng.random() < gaps.get(role, 0.0) else text
        rows.append(separator.join(str(cells[role]) for role in roles))
    return "\n".join(rows) + "\n"


def times_of(text: str, column: str, form: str) -> set[float]:
    header, *rows = text.splitlines()
    separator = ";" if ";" in header else ","
    at = header.split(separator).index(column)
    cells = {row.split(separator)[at] for row in rows} - {""}
    if form == "epoch":
        return {float(cell) for cell in cells}
    return {datetime.strptime(c, form).replace(tzinfo=UTC).timestamp() for c in cells}


def read(folder: Path, text: str) -> tuple[Dataset, list[Finding]]:
    return one_file(folder, text)


def stated(data: Dataset) -> set[float]:
    """The times of events; those without one lie before all others."""
    return {t for t in data.interactions.frame["timestamp"] if t >= START.timestamp()}


S = "%Y-%m-%d %H:%M:%S"
FULL, GAPS, SELDOM = {"L": 0.0}, {"A": 0.04, "L": 0.0}, {"A": 0.04, "L": 0.8}
NAMES = "Ausleihdatum;Lesernummer;Mediennummer;Titel;Rückgabe am;Mahnstufe"
TABLES = [
    (NAMES, "AuitLn", "de", {"L": 0.8}),
    (NAMES, "AuitLn", "de", FULL),
    ("Rückgabe am;Lesernummer;Mediennummer;Titel;Ausleihdatum", "LuitA", "de", SELDOM),
    ("Lesernummer;Mediennummer;Titel;Rückgabedatum;Ausleihdatum", "uitLA", "de", GAPS),
    ("Kundennummer;Artikelnummer;Bestellt am;Geliefert am", "uiAL", "de", GAPS),
    ("Kundennr;Artikel;Versandt am;Auftrag vom", "uiLA", "de", FULL),
    ("user_id,item_id,returned_at,borrowed_at", "uiLA", S, GAPS),
    ("user_id,item_id,returned_at,ordered", "uiLA", S, {"L": 0.8}),
    ("member_id,book_id,Return Date,Checkout Date", "uiLA", "iso", SELDOM),
    ("member_id,book_id,Returned,Borrowed", "uiLA", "iso", GAPS),
    ("patron,barcode,title,date out,date in", "uitAL", "iso", GAPS),
    ("customer_id,product_id,delivered_at,ordered_at", "uiLA", "epoch", GAPS),
    ("customer_id,product_id,date_updated,date_created", "uiLA", S, GAPS),
    ("customer_id,product_id,received_date,order_day", "uiLA", "iso", FULL),
    ("user_id,item_id,end_time,start_time", "uiLA", S, GAPS),
    ("user_id,item_id,signup_date,purchase_date", "uiBA", "iso", {}),
    ("user_id,item_id,date,ordered_at", "uiLA", S, {"L": 0.8}),
    ("Kunde;Artikel;Datum;Bestellt am", "uiLA", "de", {"L": 0.8}),
    ("lecteur;document;date de retour;date d'emprunt", "uiLA", "fr", GAPS),
    ("client;produit;Livré le;Commandé le", "uiLA", "fr", GAPS),
    ("usuario;libro;fecha de devolución;fecha de préstamo", "uiLA", "fr", GAPS),
    ("cliente;producto;Entregado el;Comprado el", "uiLA", "fr", SELDOM),
    ("utente;libro;data restituzione;data prestito", "uiLA", "fr", GAPS),
    ("cliente;prodotto;Consegnato il;Ordinato il", "uiLA", "fr", GAPS),
    ("leitor;livro;data de devolução;data de empréstimo", "uiLA", "fr", GAPS),
    ("lezer;boek;inleverdatum;uitleendatum", "uiLA", "nl", GAPS),
    ("klant;artikel;Geleverd op;Besteld op", "uiLA", "nl", SELDOM),
    ("读者证号,图书编号,书名,归还日期,借阅日期", "uitLA", "iso", GAPS),
    ("用户ID,商品ID,退款时间,付款时间", "uiLA", S, GAPS),
    ("讀者編號,圖書編號,書名,歸還日期,借閱日期", "uitLA", "iso", GAPS),
    ("會員編號,商品編號,出貨時間,訂單時間", "uiLA", S, GAPS),
    ("会員番号,商品番号,返却日,貸出日", "uiLA", "iso", GAPS),
]


@pytest.mark.parametrize(("header", "roles", "form", "gaps"), TABLES)
def test_the_time_is_when_the_act_happened(
    tmp_path: Path, header: str, roles: str, form: str, gaps: dict[str, float]
) -> None:
    form = DAYS.get(form, form)
    text = loans(header, roles, form, **gaps)
    data, _ = read(tmp_path, text)
    names = header.split(";" if ";" in header else ",")
    assert stated(data) == times_of(text, names[roles.index("A")], form)
    items = data.interactions.frame["item_id"]
    assert items.str.contains(r"^50\d\d$").all()


def test_a_few_dates_in_the_wrong_order_leave_the_choice(tmp_path: Path) -> None:
    text = loans("user_id,item_id,seen_first_date,seen_last_date", "uiAL", S)
    header, first, *rows = text.splitlines()
    user, item, act, later = first.split(",")
    data, findings = read(tmp_path, "\n".join([header, f"{user},{item},{later},{act}", *rows]))
    assert times_of("\n".join([header, *rows]), "seen_first_date", S) <= stated(data)
    assert any("earliest in nearly all rows" in f.why for f in findings)


def test_seldom_dates_of_what_came_later_are_no_times(tmp_path: Path) -> None:
    for name in ("returned_at", "Rückgabe am", "归还时间"):
        text = loans(f"user_id,item_id,{name}", "uiL", "%Y-%m-%d", L=0.8)
        data, findings = read(tmp_path, text)
        assert not stated(data)
        assert any(name in f.why and "timestamp" in f.why for f in findings)


def test_the_only_dates_are_read_and_told(tmp_path: Path) -> None:
    text = loans("user_id,item_id,delivery_date", "uiL", "%Y-%m-%d")
    data, findings = read(tmp_path, text)
    assert stated(data) == times_of(text, "delivery_date", "%Y-%m-%d")
    assert any("'delivery_date'" in f.why and "came after" in f.why for f in findings)


def test_two_dates_that_may_be_the_time_are_told(tmp_path: Path) -> None:
    rows = ["user_id,item_id,watched_at,noted"]
    for n in range(60):
        days = sorted([n * 7 % 28 + 1, n * 11 % 28 + 1], reverse=bool(n % 2))
        rows.append(f"u{n % 7},i{n % 11},2024-03-{days[0]:02d},2024-03-{days[1]:02d}")
    data, findings = read(tmp_path, "\n".join(rows))
    assert stated(data) == times_of("\n".join(rows), "watched_at", "%Y-%m-%d")
    assert any("'watched_at'" in f.why and "timestamp = 'noted'" in f.why for f in findings)


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("user_id,item_id,returned_at,ordered_at", -1),
        ("Kunde;Artikel;Zurückgegeben am;Bestelldatum", -1),
        ("client;produit;Annulé le;Commandé le", -1),
        ("用户ID,商品ID,退货时间,下单时间", -1),
        ("user_id,item_id,returned_at,borrowed_at", 1),
        ("lecteur;document;date de retour;date d'emprunt", 1),
        ("ID klienta;ID produktu;Data zwrotu;Data zamówienia", -1),
        ("driver_id,car_id,returned_at,pickup_date", 1),
        ("读者,图书,归还时间,借阅时间", 1),
    ],
)
def test_what_was_bought_and_came_back_says_no(tmp_path: Path, header: str, kind: int) -> None:
    text = loans(header, "uiLA", "%Y-%m-%d", L=0.8)
    data, _ = read(tmp_path, text)
    returned = sum(row.split(";" if ";" in header else ",")[2] != "" for row in text.splitlines())
    signs = data.interactions.acts()["sign"].to_list()
    assert 0 < returned - 1 < 60
    assert signs.count(-1) == (returned - 1 if kind < 0 else 0)


@pytest.mark.parametrize(("name", "date"), [("time", "created_at"), ("time", "answered_on")])
def test_how_long_an_answer_took_is_no_time_beside_a_date(
    tmp_path: Path, name: str, date: str
) -> None:
    text = loans(f"user_id,item_id,{date}", "uiA", S)
    header, *rows = text.splitlines()
    lines = [f"{header},{name}", *(f"{row},{n * 37 % 300 + 3}" for n, row in enumerate(rows))]
    data, findings = read(tmp_path, "\n".join(lines))
    assert stated(data) == times_of(text, date, S)
    assert any(f"column {name!r}" in f.why and "no times" in f.why for f in findings)


def test_positions_and_months_as_numbers_stay_times(tmp_path: Path) -> None:
    for cells, first in ((range(90), 0.0), ([202401 + n % 12 for n in range(90)], 1704067200.0)):
        rows = [
            f"u{n % 7},i{n % 11},{cell},1980-01-{n % 28 + 1:02d}" for n, cell in enumerate(cells)
        ]
        data, _ = read(tmp_path, "\n".join(["user_id,item_id,ts,birth_date", *rows]))
        assert data.interactions.frame["timestamp"].min() == first


def test_of_two_days_with_clocks_the_later_gives_way(tmp_path: Path) -> None:
    rows = [
        f"k{n % 7};a{n % 11};{n % 28 + 1:02d}.02.2024;1{n % 10}:30;0{n % 9 + 1}.03.2024;08:15"
        for n in range(60)
    ]
    header = "Kundennummer;Artikel;Bestelldatum;Bestellzeit;Lieferdatum;Lieferzeit"
    data, _ = read(tmp_path, "\n".join([header, *rows]))
    first = datetime(2024, 2, 1, 10, 30, tzinfo=UTC).timestamp()
    assert data.interactions.frame["timestamp"].min() == first

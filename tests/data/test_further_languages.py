"""Tables in further languages: names of columns, acts, ways to write times."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.exports import one_file, titles, told
from metarec.data.cleaning import read_clean
from metarec.data.errors import BadInput

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


@pytest.mark.parametrize(
    "names",
    [
        "Kunde;Artikel;Bewertung;Datum;Artikelname;Aktion",
        "Kundennummer;Produkt-ID;Sterne;Bestelldatum;Bezeichnung;Ereignis",
        "client;produit;note;date;nom du produit;événement",
        "Code client;Référence article;Évaluation;Date de commande;Désignation;type d'action",
        "Cliente;Producto;Valoración;Fecha;Nombre;Acción",
        "id_usuario;código de producto;calificacion;fecha_pedido;nombre_producto;tipo de evento",
        "Cliente;Produto;Nota;Data;Nome do produto;Ação",
        "Codice cliente;Articolo;Voto;Data ordine;Nome articolo;Azione",
        "Müşteri No;Ürün Kodu;Puan;Tarih;Ürün Adı;İşlem",
        "ユーザー;商品;評価;日時;商品名;行動",
        "会員番号;商品コード;評点;購入日時;タイトル;イベント種別",
        "顧客コード;商品番号;評価;注文日;商品名;行動",
        "회원번호;상품코드;평점;구매일;상품명;행동",
        "Клиент;Артикул;Оценка;Дата заказа;Наименование товара;Действие",
        "ID пользователя;Код товара;рейтинг;дата;название;тип события",
    ],
)
def test_names_of_columns_in_further_languages(tmp_path: Path, names: str) -> None:
    rows = "".join(
        f"u{n % 5};x{n % 7};{n % 4 + 1};2024-01-{n % 27 + 1:02d};Title {n % 7};rating\n"
        for n in range(35)
    )
    data, _ = one_file(tmp_path, f"{names}\n{rows}")
    events = data.interactions
    assert (events.has_values, events.has_time, events.context_columns) == (True, True, [])
    assert set(events.frame["user_id"]) == {f"u{n}" for n in range(5)}
    assert set(events.frame["item_id"]) == {f"x{n}" for n in range(7)}
    assert titles(data)["x3"] == "Title 3" and set(events.frame["kind"]) == {"rating"}


@pytest.mark.parametrize(
    ("purchase", "refund"),
    [
        ("Kauf", "Retoure"),
        ("achat", "retourné"),
        ("compra", "devolución"),
        ("compra", "devolução"),
        ("acquisto", "reso"),
        ("satın alma", "iade"),
        ("購入", "返品"),
        ("구매", "반품"),
        ("покупка", "возврат"),
    ],
)
def test_acts_in_further_languages(tmp_path: Path, purchase: str, refund: str) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{refund if n % 7 else purchase}\n" for n in range(35))
    data, found = one_file(tmp_path, f"user,item,kind\n{rows}")
    acts = data.interactions.acts()
    assert acts["sign"].sum() == 5 - 30 and acts["is_target"].sum() == 5
    assert not [f for f in found if "unknown" in f.rule]


def test_words_of_several_languages_are_read_by_their_cells_and_by_their_neighbors(
    tmp_path: Path,
) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{n % 4 + 1},word {n}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"client,produit,quantité,note\n{rows}")  # a comment
    assert not data.interactions.has_values and "note" in data.interactions.context_columns
    data, found = one_file(tmp_path, f"Schüler,Kurs,Note,Bemerkung\n{rows}")  # 1 is best
    assert not data.interactions.has_values and any("Note" in f.why for f in found)
    for names in ("user,item,data,nota", "participant,item,note,cant"):  # no other is Italian
        data, _ = one_file(tmp_path, f"{names}\n{rows}")
        assert not data.interactions.has_time and not data.interactions.has_values
    rows = "".join(f"u{n % 5},x{n % 7},{1 - 3 * (n % 9 == 0)}\n" for n in range(35))
    data, found = one_file(tmp_path, f"Kunde,Artikel,Menge\n{rows}")
    assert (data.interactions.acts()["sign"] < 0).sum() == 4 and told(found, "amounts") == [4]


def test_files_of_a_folder_are_known_by_their_columns_in_further_languages(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5};x{n % 7};2024-01-{n % 27 + 1:02d}\n" for n in range(35))
    (tmp_path / "Bestellungen.csv").write_text(f"Kunde;Artikel;Datum\n{rows}")
    items = "".join(f"x{n};Titel {n};9,90\n" for n in range(7))
    (tmp_path / "Artikel.csv").write_text(f"Artikelnummer;Bezeichnung;Preis\n{items}")
    data, _ = read_clean(tmp_path)
    assert titles(data)["x3"] == "Titel 3" and data.interactions.has_time


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2024/03/12 上午 01:08:31|2024/03/12 下午 03:08:31", 14 * 3600),
        ("2024年3月12日 上午12:30|2024年3月12日 下午12:30", 12 * 3600),
        ("2024-03-12 下午 15:00:00|2024-03-12 下午 4:00:00", 3600),
        ("2024年3月12日 午前1時8分31秒|2024年3月13日 午前1時8分31秒", 86_400),
        ("2024년 3월 12일 오후 3:05|2024년 3월 13일 오후 3:05", 86_400),
        ("3/12/24 01:08|3/28/24 01:08", 16 * 86_400),
        ("12/3/24|28/3/24", 16 * 86_400),
        ("12.03.24|28.03.24", 16 * 86_400),
        ("24/03/12|24/03/28", 16 * 86_400),
        ("3/12/24 1:08 PM|3/28/24 1:08 PM", 16 * 86_400),
        ("12/Mar/2024:01:08:31 +0000|12/Mar/2024:01:08:31 -0100", 3600),
        ("2024-03-12 01:08:31 CET|2024-07-12 01:08:31 CEST", 122 * 86_400 - 3600),
    ],
)
def test_further_ways_to_write_times(tmp_path: Path, written: str, seconds: int) -> None:
    early, late = written.split("|")
    rows = "".join(f"u{n % 5}\tx{n % 7}\t{late if n % 2 else early}\n" for n in range(10))
    data, _ = one_file(tmp_path, f"user\titem\ttime\n{rows}", "r.tsv")
    times = data.interactions.frame["timestamp"]
    assert round(times[-1] - times[0]) == seconds and 1_710_000_000 < times[0] < 1_712_000_000


def test_years_of_two_digits_are_asked_about_where_days_may_be_months(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{n % 5 + 1}/{n % 7 + 1}/24\n" for n in range(35))
    with pytest.raises(BadInput, match="%d/%m/%y or %m/%d/%y"):
        one_file(tmp_path, f"user,item,time\n{rows}")


@pytest.mark.parametrize(
    ("names", "acts"),
    [
        ("N° lecteur,N° document,Opération", "Emprunt|Prolongation|Réservation annulée|Retour"),
        ("Leser-Nr.,Buch-Nr.,Vorgang", "Ausleihe|Verlängerung|Storno|Rückgabe"),
        ("usuario,libro,acción", "préstamo|renovación|cancelado|devolución"),
    ],
)
def test_what_libraries_lend_and_take_back(tmp_path: Path, names: str, acts: str) -> None:
    said = acts.split("|")
    rows = "".join(f"u{n % 5},x{n % 7},{said[(n // 5) % 4]}\n" for n in range(60))
    data, _ = one_file(tmp_path, f"{names}\n{rows}")
    assert dict(data.interactions.acts()["sign"].value_counts().rows()) == {1: 30, -1: 15, 0: 15}


@pytest.mark.parametrize(
    "names",
    [
        "Spender,Projekt,Betrag,Spendendatum",
        "Depotnummer,ISIN,Stück,Handelstag",
        "usuario,episodio,minutos,fecha",
    ],
)
def test_who_gives_holds_and_listens(tmp_path: Path, names: str) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{n % 4 + 1},0{n % 9 + 1}.03.2024\n" for n in range(35))
    data, _ = one_file(tmp_path, f"{names}\n{rows}")
    assert data.interactions.frame["user_id"].n_unique() == 5 and data.interactions.has_time
    assert data.interactions.frame["item_id"].n_unique() == 7

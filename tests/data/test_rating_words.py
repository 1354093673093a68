"""Ratings in words, in several languages and under any name."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from data.exports import one_file
from metarec.data.findings import Finding
from metarec.data.sources.values.rating_words import points_of_words

NOT_SO = "そう思わない"
pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")

SCALES = [
    ("Sehr unzufrieden|eher unzufrieden|teils/teils|eher zufrieden|sehr zufrieden", "12345"),
    ("trifft gar nicht zu|trifft eher nicht zu|trifft eher zu|trifft voll zu", "1245"),
    ("Pas du tout d’accord|Plutôt pas d'accord|Plutôt d'accord|Tout à fait d'accord", "1245"),
    ("Muy insatisfecho|Insatisfecho|Neutral|Satisfecho|Muy satisfecho", "12345"),
    (f"全く{NOT_SO}|{NOT_SO}|どちらとも言えない|そう思う|とてもそう思う", "12345"),
    (f"{NOT_SO}|あまり{NOT_SO}|どちらともいえない|ややそう思う|そう思う", "12345"),
    ("매우 불만족|불만족|보통|만족|매우 만족", "12345"),
    ("Very unlikely|Unlikely|Neither likely nor unlikely|Likely|Very likely", "12345"),
    ("Never|Rarely|Sometimes|Often|Always", "12345"),
    ("Nie|Selten|Manchmal|Oft|Immer", "12345"),
    ("Nunca|Rara vez|A veces|A menudo|Siempre", "12345"),
    ("Jamais|Rarement|Parfois|Souvent|Toujours", "12345"),
    ("很差|较差|还行|推荐|力荐", "12345"),
    ("Strongly disagree|Somewhat disagree|Somewhat agree|Strongly agree", "1245"),
]


@pytest.mark.parametrize(("words", "points"), SCALES)
def test_words_of_a_scale_are_points(words: str, points: str) -> None:
    found = points_of_words(pl.Series(words.split("|")))
    assert found is not None and found.to_list() == [float(p) for p in points]


def test_a_weaker_yes_lies_between_both_where_there_are_three() -> None:
    words = ["Strongly agree", "Agree", "Somewhat agree", "Disagree", "Strongly disagree"]
    found = points_of_words(pl.Series(words))
    assert found is not None and found.to_list() == [5, 4, 3.5, 2, 1]


def rated(folder: Path, names: str, words: str) -> tuple[list[float | None], list[Finding]]:
    said = words.split("|")
    rows = "".join(f"u{n % 5},x{n % 7},{said[(n // 5 + n // 3) % len(said)]}\n" for n in range(35))
    data, found = one_file(folder, f"{names}\n{rows}")
    return data.interactions.acts()["rating"].to_list(), found


@pytest.mark.parametrize(
    ("names", "scale"),
    [
        ("respondent_id,feature,answer", 7),
        ("respondent_id,feature,how_often", 8),
        ("Teilnehmer,Produkt,Zufriedenheit", 0),
        ("Répondant,Produit,Réponse", 2),
        ("回答者ID,商品ID,回答", 4),
        ("user,item,my_score", 12),
    ],
)
def test_a_column_of_such_words_is_the_rating(tmp_path: Path, names: str, scale: int) -> None:
    ratings, _ = rated(tmp_path, names, SCALES[scale][0])
    assert None not in ratings and len({*ratings}) >= 3


def test_words_that_may_say_something_else_need_a_name(tmp_path: Path) -> None:
    ratings, _ = rated(tmp_path, "user,item,light", "bad|medium|good|very good")
    assert {*ratings} == {None}


def test_words_of_a_rating_that_are_not_known_are_told(tmp_path: Path) -> None:
    ratings, found = rated(tmp_path, "user,item,satisfaction", "splendid|meh|passable")
    assert {*ratings} == {None}
    assert any("'satisfaction' of interactions.csv is called like a rating" in f.why for f in found)
    _, found = rated(tmp_path, "user,item,remark", "splendid|meh|passable")
    assert not any("like a rating" in f.why for f in found)


def test_stars_are_counted_in_any_language(tmp_path: Path) -> None:
    for name, star in (("Sterne", "Sterne"), ("note", "étoiles"), ("estrellas", "estrellas")):
        names = f"{'Kunde' if star == 'Sterne' else 'client' if name == 'note' else 'usuario'}"
        words = "|".join(f"{n} {star}" for n in range(1, 6))
        item = {"Sterne": "Rezept", "note": "produit", "estrellas": "receta"}[name]
        ratings, _ = rated(tmp_path, f"{names},{item},{name}", words)
        assert None not in ratings and {*ratings} <= {1.0, 2.0, 3.0, 4.0, 5.0}


def marks(folder: Path, names: str) -> tuple[list[float | None], list[Finding]]:
    """Ratings where three columns say n % 5 + 1, n % 3 + 2 and n % 4 + 1."""
    rows = "".join(f"u{n % 7},x{n // 5},{n % 5 + 1},{n % 3 + 2},{n % 4 + 1}\n" for n in range(60))
    data, found = one_file(folder, f"{names}\n{rows}")
    return sorted(data.interactions.acts()["rating"], key=lambda mark: mark or 0), found


@pytest.mark.parametrize("aspects", ["quality,value,price", "描述相符,物流服务,服务态度"])
def test_the_mean_of_aspects_is_the_rating_where_none_says_the_whole(
    tmp_path: Path, aspects: str
) -> None:
    ratings, found = marks(tmp_path, f"user_id,sku,{aspects}")
    means = sorted((n % 5 + 1 + n % 3 + 2 + n % 4 + 1) / 3 for n in range(60))
    assert ratings == pytest.approx(means)
    assert any("rate aspects, and none says the whole" in f.why for f in found)


def test_the_rating_as_a_whole_goes_before_an_aspect_called_value(tmp_path: Path) -> None:
    ratings, found = marks(tmp_path, "guest_id,hotel_id,cleanliness,value,overall")
    assert ratings == sorted(n % 4 + 1 for n in range(60))
    assert any("'overall' of interactions.csv is the rating" in f.why for f in found)


def test_what_items_are_like_and_one_value_beside_others_is_no_aspect(tmp_path: Path) -> None:
    ratings, found = marks(tmp_path, "user_id,sku,value,temperature,page")
    assert ratings == sorted(n % 5 + 1 for n in range(60))
    assert not any("aspects" in f.why for f in found)
    rows = "".join(f"u{n % 5},x{n % 7},{n % 7},{n % 7 + 1},{n % 7 + 2}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user_id,sku,quality,service,food\n{rows}")
    assert not data.interactions.acts()["rating"].drop_nulls().len()

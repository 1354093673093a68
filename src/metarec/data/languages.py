"""What columns and acts are called in further languages; English and Chinese are at home in
`columns` and `kinds`.

The names of one language are understood where another column of the table is surely in it: `data`
is a date in Italian and nothing in English.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache


def bare(name: str) -> str:
    """A name without case, spaces and punctuation."""
    return re.sub(r"[\W_]+", "", name.lower())


@dataclass(frozen=True, kw_only=True)
class Language:
    """Words of one language; `_` stands between the words of a name."""

    users: str
    """What users are called, alone or with a word for id."""
    items: str
    """What items are called."""
    ids: str
    """Words for id, before or behind the noun."""
    titles: str
    """Words for name, before or behind the noun of an item."""
    of: str = ""
    """What stands between such a word and a noun."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Whole names by canonical name."""
    ratings: str
    """Names of ratings, where the cells are numbers."""
    quantities: str
    sums: str


LANGUAGES: dict[str, Language] = {
    "German": Language(
        users="kunde kunden käufer nutzer benutzer mitglied mitglieder teilnehmer schüler student "
        "leser besteller auftraggeber patient fahrer gast spieler besucher abonnent",
        items="artikel wertpapier aktie produkt produkte ware waren kurs buch film lied titel "
        "spiel rezept hotel veranstaltung angebot beitrag video stelle fracht",
        ids="id nummer nr code kennung schlüssel",
        titles="name bezeichnung titel",
        names={
            "timestamp": "zeitstempel zeitpunkt datum zeit bestelldatum kaufdatum rechnungsdatum "
            "buchungsdatum auftragsdatum datum_uhrzeit bestellzeitpunkt",
            "kind": "aktion ereignis vorgang aktivität ereignistyp ereignisart vorgangsart",
            "title": "bezeichnung titel",
            "text": "beschreibung artikelbeschreibung produktbeschreibung",
            "categories": "kategorie kategorien warengruppe produktgruppe artikelgruppe rubrik",
            "year": "jahr erscheinungsjahr",
            "query": "suchbegriff suchanfrage suchwort",
        },
        ratings="bewertung kundenbewertung sterne bewertung_sterne punktzahl note noten",
        quantities="menge anzahl stückzahl stück bestellmenge",
        sums="betrag summe gesamtbetrag gesamtpreis umsatz",
    ),
    "French": Language(
        users="client cliente acheteur utilisateur membre adhérent lecteur étudiant élève abonné "
        "participant usager patient joueur visiteur",
        items="produit article livre film cours morceau chanson jeu recette hôtel offre annonce",
        ids="id identifiant code numéro num no réf référence",
        titles="nom titre libellé désignation",
        of="du de d de_l",
        names={
            "timestamp": "horodatage date_heure date date_de_commande date_commande date_d_achat "
            "date_achat date_de_la_commande",
            "kind": "événement évènement type_d_événement type_d_évènement type_d_action",
            "title": "nom titre libellé désignation intitulé",
            "text": "descriptif résumé",
            "categories": "catégorie catégories rayon famille",
            "year": "année",
            "query": "recherche requête",
        },
        ratings="note notes évaluation étoiles appréciation",
        quantities="quantité qté nombre",
        sums="montant montant_total total prix_total",
    ),
    "Spanish": Language(
        users="cliente usuario comprador miembro socio lector estudiante alumno suscriptor "
        "paciente jugador visitante",
        items="producto artículo articulo libro película pelicula curso canción cancion juego "
        "receta hotel oferta",
        ids="id código codigo número numero núm identificador ref referencia",
        titles="nombre título titulo denominación",
        of="de del de_la",
        names={
            "timestamp": "fecha fecha_hora fecha_y_hora fecha_de_compra fecha_compra fecha_pedido "
            "fecha_de_pedido marca_de_tiempo",
            "kind": "acción accion evento tipo_de_evento tipo_evento actividad",
            "title": "nombre título titulo denominación",
            "text": "descripción descripcion resumen",
            "categories": "categoría categoria categorías género genero familia",
            "year": "año",
            "query": "búsqueda busqueda consulta",
        },
        ratings="valoración valoracion puntuación puntuacion calificación calificacion nota "
        "estrellas",
        quantities="cantidad unidades cant",
        sums="importe importe_total monto total",
    ),
    "Portuguese": Language(
        users="cliente usuário usuario utilizador comprador membro leitor estudante aluno "
        "assinante paciente jogador visitante",
        items="produto artigo livro filme curso música musica jogo receita hotel oferta",
        ids="id código codigo número numero identificador ref referência",
        titles="nome título titulo designação",
        of="do da de",
        names={
            "timestamp": "data data_hora data_e_hora data_da_compra data_compra data_do_pedido "
            "data_pedido",
            "kind": "ação acao evento tipo_de_evento atividade",
            "title": "nome título titulo designação",
            "text": "descrição descricao resumo",
            "categories": "categoria categorias gênero genero família",
            "year": "ano",
            "query": "busca pesquisa",
        },
        ratings="avaliação avaliacao pontuação pontuacao classificação nota estrelas",
        quantities="quantidade qtd qtde unidades",
        sums="valor_total montante total",
    ),
    "Italian": Language(
        users="cliente utente acquirente membro socio lettore studente abbonato paziente "
        "giocatore visitatore",
        items="prodotto articolo libro film corso brano canzone gioco ricetta hotel offerta",
        ids="id codice numero cod rif riferimento",
        titles="nome titolo denominazione",
        of="del di dell della",
        names={
            "timestamp": "data data_ora data_e_ora data_acquisto data_di_acquisto data_ordine "
            "data_dell_ordine",
            "kind": "azione evento tipo_evento tipo_di_evento attività",
            "title": "nome titolo denominazione",
            "text": "descrizione riassunto",
            "categories": "categoria categorie genere",
            "year": "anno",
            "query": "ricerca",
        },
        ratings="valutazione punteggio voto nota stelle giudizio",
        quantities="quantità quantita qtà qta",
        sums="importo importo_totale totale",
    ),
    "Turkish": Language(
        users="müşteri kullanıcı üye alıcı okuyucu öğrenci abone hasta oyuncu ziyaretçi",
        items="ürün kitap film kurs ders şarkı oyun tarif otel ilan makale",
        ids="id no kodu numarası kimliği",
        titles="adı ismi başlığı",
        names={
            "timestamp": "tarih zaman tarih_saat sipariş_tarihi satın_alma_tarihi işlem_tarihi "
            "alış_tarihi zaman_damgası",
            "kind": "işlem eylem olay işlem_türü olay_türü işlem_tipi",
            "title": "başlık ad isim",
            "text": "açıklama özet",
            "categories": "kategori kategoriler tür",
            "year": "yıl",
            "query": "arama arama_terimi",
        },
        ratings="puan değerlendirme yıldız oy derecelendirme",
        quantities="adet miktar",
        sums="tutar toplam toplam_tutar",
    ),
    "Japanese": Language(
        users="ユーザー ユーザ 会員 顧客 お客様 利用者 購入者 受講者 読者 学生 患者",
        items="商品 製品 アイテム 作品 映画 書籍 本 曲 楽曲 講座 コース 記事 動画 店舗 ゲーム",
        ids="id 番号 コード no",
        titles="名 名称 タイトル",
        names={
            "timestamp": "日時 日付 時刻 購入日時 購入日 注文日時 注文日 "
            "利用日時 閲覧日時 予約日時 登録日時 タイムスタンプ",
            "kind": "行動 アクション イベント 行動種別 イベント種別 操作 イベント名",
            "title": "タイトル 題名 品名",
            "text": "説明 商品説明 概要",
            "categories": "カテゴリ カテゴリー ジャンル 分類 商品カテゴリ",
            "year": "発売年 公開年",
            "query": "検索語 検索キーワード 検索ワード",
        },
        ratings="評価 評点 スコア レーティング 星 点数 評価点",
        quantities="数量 個数 購入数",
        sums="金額 合計金額 購入金額",
    ),
    "Korean": Language(
        users="사용자 회원 고객 유저 구매자 이용자 독자 학생 환자",
        items="상품 제품 아이템 영화 도서 책 곡 노래 강의 강좌 기사 게임 매장",
        ids="id 번호 코드 아이디",
        titles="명 이름 제목",
        names={
            "timestamp": "날짜 일시 시간 구매일 구매일시 주문일 주문일시 등록일 일자 타임스탬프",
            "kind": "행동 이벤트 활동 행동유형 이벤트유형",
            "title": "제목",
            "text": "설명 상품설명 내용",
            "categories": "카테고리 분류 장르",
            "year": "연도 출시연도 개봉연도",
            "query": "검색어",
        },
        ratings="평점 별점 평가 점수",
        quantities="수량 구매수량 주문수량",
        sums="금액 총액 결제금액",
    ),
    "Russian": Language(
        users="пользователь клиент покупатель заказчик участник читатель студент ученик "
        "подписчик пациент игрок пользователя клиента покупателя участника студента",
        items="товар продукт артикул книга фильм курс песня трек игра рецепт статья товара "
        "продукта книги фильма курса",
        ids="id ид код номер",
        titles="название наименование",
        names={
            "timestamp": "дата время дата_и_время дата_время дата_заказа дата_покупки",
            "kind": "действие событие тип_события тип_действия",
            "title": "название наименование",
            "text": "описание",
            "categories": "категория категории жанр",
            "year": "год",
            "query": "запрос поисковый_запрос",
        },
        ratings="оценка рейтинг звезды звёзды балл баллы",
        quantities="количество кол_во",
        sums="сумма стоимость итого",
    ),
}
NO_EVIDENCE = frozenset(
    "cliente cant ad data nota note notes nombre nome ano total n no num titel stelle oy cours "
    "offre gast code id unidades prix rayon famille kategori kategorie kategorien".split()
)
"""Names that are of several languages, or words of English too: they tell none."""
BEST_IS_LOWEST = frozenset(("note", "noten"))
"""Marks in German, which are the better the lower they are."""

ACTS = {
    "view": "ansicht angesehen angeschaut aufruf seitenaufruf vue consultation consulté vista "
    "visto visualización visualização visualizado visualizzazione visualizzato görüntüleme "
    "görüntülendi 閲覧 表示 조회 열람 просмотр просмотрено",
    "click": "klick geklickt clic cliqué clique clicou cliccato tıklama tıklandı "
    "クリック 클릭 клик",
    "cart": "warenkorb in_den_warenkorb panier ajout_au_panier carrito carrinho carrello sepet "
    "sepete_ekleme カート カート追加 장바구니 корзина в_корзину",
    "purchase": "kauf gekauft bestellung bestellt achat acheté commande commandé compra comprado "
    "pedido acquisto acquistato ordine satın_alma satın_alındı sipariş 購入 注文 구매 구입 주문 "
    "покупка заказ куплено",
    "favorite": "favorit merkzettel gemerkt favori coup_de_cœur favorito preferito お気に入り "
    "즐겨찾기 찜 избранное",
    "like": "gefällt gefällt_mir j'aime aime me_gusta curtida curtir curtiu mi_piace beğeni "
    "beğenildi いいね 좋아요 лайк нравится",
    "dislike": "gefällt_nicht gefällt_mir_nicht je_n'aime_pas no_me_gusta não_curtiu non_mi_piace "
    "beğenmedi よくないね 싫어요 дизлайк не_нравится",
    "rating": "bewertung bewertet évaluation évalué valoración valorado avaliação avaliado "
    "valutazione valutato değerlendirme 評価 평가 оценка",
    "share": "teilen geteilt partage partagé compartido compartir compartilhou condivisione "
    "condiviso paylaşım 共有 シェア 공유 поделиться",
    "return": "rückgabe retoure retourniert zurückgegeben rücksendung retour retourné devolución "
    "devuelto devolução devolvido reso restituito iade 返品 반품 возврат",
    "refund": "erstattung erstattet remboursement remboursé reembolso reembolsado rimborso "
    "rimborsato geri_ödeme 返金 환불",
    "cancel": "stornierung storniert storno annulation annulé cancelación cancelado cancelamento "
    "annullamento annullato iptal キャンセル 취소 отмена отменено отменён",
    "book": "buchung gebucht réservation réservé reserva reservado prenotazione prenotato "
    "rezervasyon 予約 예약 бронирование забронировано",
    "search": "suche gesucht recherche búsqueda busca pesquisa ricerca arama 検索 검색 поиск",
}
"""What acts are called, by the kind that they are."""


ACT_OF = {bare(word): kind for kind, words in ACTS.items() for word in words.split()}
"""Kinds by what they are called, as `bare` has it."""


@cache
def _names(language: str) -> dict[str, tuple[str, ...]]:
    """Names of columns by canonical name, the likeliest first."""
    said = LANGUAGES[language]
    titles = {"title": (*_with(said.items, said.titles, said.of), *said.names["title"].split())}
    ids = {
        "user_id": (*_with(said.users, said.ids, said.of), *said.users.split()),
        "item_id": (*_with(said.items, said.ids, said.of), *said.items.split()),
    }
    return {**{n: tuple(words.split()) for n, words in said.names.items()}, **titles, **ids}


def _with(nouns: str, words: str, of: str) -> list[str]:
    """A noun and a word, in either order."""
    pairs = [(noun, word) for word in words.split() for noun in nouns.split()]
    between = ["", *of.split()]
    return [
        name
        for noun, word in pairs
        for name in (noun + word, *(word + link + noun for link in between))
    ]


@cache
def _told_by(language: str) -> frozenset[str]:
    said = LANGUAGES[language]
    words = f"{said.ratings} {said.quantities} {said.sums}".split()
    names = {bare(n) for names in _names(language).values() for n in names} | set(map(bare, words))
    return frozenset(names - NO_EVIDENCE)


def language_of(columns: Collection[str]) -> str | None:
    """The language that most names of columns are in; None where none is surely in one."""
    given = {bare(column) for column in columns}
    found = {name: len(given & _told_by(name)) for name in LANGUAGES}
    best = max(found, key=lambda name: found[name])
    return best if found[best] else None


def names_in(language: str | None) -> Mapping[str, Sequence[str]]:
    """Names of columns by canonical name."""
    return _names(language) if language is not None else {}


def ratings_in(language: str | None) -> frozenset[str]:
    """Names of ratings, as `bare` has them."""
    return frozenset(map(bare, LANGUAGES[language].ratings.split())) if language else frozenset()


QUANTITIES = tuple(bare(w) for said in LANGUAGES.values() for w in said.quantities.split())
TOTALS = tuple(bare(w) for said in LANGUAGES.values() for w in said.sums.split())
NOUNS = {
    "users": frozenset(bare(w) for said in LANGUAGES.values() for w in said.users.split()),
    "items": frozenset(bare(w) for said in LANGUAGES.values() for w in said.items.split()),
}
"""What files of users and items may be called."""

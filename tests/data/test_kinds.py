"""The table of kinds: names however they are written, entries over entries, and what events say."""

from __future__ import annotations

import json

import polars as pl
import pytest

from metarec.data.cleaning import clean
from metarec.data.dataset import Dataset
from metarec.data.domains import domain, domains, pack_kinds
from metarec.data.kinds import Kind, Kinds
from metarec.data.names.kind_names import plain_kind
from metarec.data.schema import BadInput, Interactions, Vocabulary
from metarec.features.events import EventReader
from metarec.features.histories import Histories


@pytest.mark.parametrize(
    "names",
    [
        ("add_to_cart", "Add To Cart", "addToCart", "ADD-TO-CART", " add  to cart "),
        ("page_view", "pageview", "Page View", "page.view"),
        ("thumbs_up", "ThumbsUp"),
        ("❤", "❤️"),
        ("👍", "👍🏽"),
    ],
)
def test_spellings_of_one_kind_are_one(names: tuple[str, ...]) -> None:
    assert len({plain_kind(n) for n in names}) == 1
    assert all(Kinds.default().known(n) for n in names)


def test_different_kinds_stay_different() -> None:
    assert len({plain_kind(n) for n in ("-1", "1", "+1", "👍", "👎", "_", "浏览")}) == 7


@pytest.mark.parametrize(
    ("name", "sign", "target"),
    [
        ("View", "positive", False),
        ("purchase", "positive", True),
        ("购买", "positive", True),
        ("加购", "positive", False),
        ("浏览", "positive", False),
        ("不感兴趣", "negative", False),
        ("退货", "negative", False),
        ("remove_from_cart", "negative", False),
        ("hide", "negative", False),
        ("曝光", "neutral", False),
        ("impression", "neutral", False),
        ("❤️", "positive", True),
        ("😡", "negative", False),
        ("😢", "neutral", False),
        ("unlike", "undo", False),
        ("取消点赞", "undo", False),
        ("搜索", "search", False),
        ("search", "search", False),
    ],
)
def test_defaults(name: str, sign: str, target: bool) -> None:
    kind = Kinds.default().of(name)
    assert (kind.sign, kind.target) == (sign, target)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("disliked", "dislike"),
        ("Returns", "return"),
        ("bought", "buy"),
        ("skipped", "skip"),
        ("refusal", "refuse"),
        ("item_returned", "returned"),
        ("orderCancelled", "cancelled"),
        ("dropped out", "dropout"),
        ("added to cart", "addtocart"),
        ("Skipped Song", "skip"),
        ("unliked", "unlike"),
        ("已购买", "购买"),
        ("申请退款", "退款"),
        ("商品浏览", "浏览"),
    ],
)
def test_a_kind_is_what_its_name_is_formed_from(name: str, key: str) -> None:
    kinds = Kinds.default()
    assert kinds.key(name) == key
    assert kinds.of(name) == kinds.entries[key]
    assert kinds.over({name: -0.5}).of(name) == Kind(sign="negative", strength=0.5)


@pytest.mark.parametrize(
    ("american", "british"),
    [
        ("favorite", "favourite"),
        ("unfavorited", "unfavourited"),
        ("enroll", "enrol"),
        ("unenroll", "unenrol"),
        ("order_canceled", "order_cancelled"),
        ("inquiry", "enquiry"),
    ],
)
def test_a_kind_is_known_in_both_spellings(american: str, british: str) -> None:
    kinds = Kinds.default()
    assert kinds.of(american) == kinds.of(british) and not kinds.unknown([american, british])


@pytest.mark.parametrize("name", ["no_return", "not_liked", "return_visit", "购买退货", "passed"])
def test_a_name_that_may_say_something_else_is_asked_about(name: str) -> None:
    assert Kinds.default().unknown([name]) == [name]


def test_what_a_formed_name_says_holds_for_events_and_is_told() -> None:
    events = _events(["bought", "item_returned", "purchase"])
    assert events.target_kinds == {"buy", "purchase"}
    assert events.acts()["sign"].to_list() == [1, -1, 1]
    assert events.acts()["is_target"].to_list() == [True, False, True]
    _, report = clean(Dataset(interactions=events.frame))
    told = report.facts["kind_use"]
    assert {k["kind"]: k["read_as"] for k in told} == {
        "bought": "buy",
        "item_returned": "returned",
        "purchase": None,
    }


def test_an_unknown_kind_is_positive_and_has_a_nearest_name() -> None:
    kinds = Kinds.default()
    assert kinds.of("puchase") == Kind(sign="positive", strength=1.0)
    assert kinds.nearest("puchase") == "purchase" and kinds.nearest("qqqqq") is None
    assert kinds.unknown(["view", "puchase", "zap", "zap"]) == ["puchase", "zap"]


def test_entries_over_entries() -> None:
    kinds = Kinds.default().over(
        {
            "View": 0.3,
            "hide": 0.5,
            "click": -1,
            "zap": {"sign": "negative", "strength": 0.5},
            "enquire": {"target": True, "strength": 0.7},
            "purchase": {"sign": "negative"},
        }
    )
    assert kinds.of("view") == Kind(sign="positive", strength=0.3)
    assert kinds.of("hide") == Kind(sign="negative", strength=0.5)
    assert kinds.of("click") == Kind(sign="negative", strength=1.0)
    assert kinds.of("ZAP") == Kind(sign="negative", strength=0.5)
    assert kinds.of("enquire") == Kind(sign="positive", strength=0.7, target=True)
    assert kinds.of("purchase") == Kind(sign="negative", strength=1.0)
    assert Kinds.from_dict(json.loads(json.dumps(kinds.to_dict()))) == kinds


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"view": 0}, "neutral"),
        ({"view": True}, "True"),
        ({"view": float("nan")}, "nan"),
        ({"view": "much"}, "much"),
        ({"view": {"sing": "negative"}}, "sing"),
        ({"view": {"sign": "bad"}}, "positive, negative, neutral, undo, search"),
        ({"view": {"strength": -0.5}}, "above 0"),
        ({"view": {"target": 1}}, "true or false"),
        ({"hide": {"target": True}}, "must be positive"),
        ({"add to cart": 1, "addToCart": 2}, "twice"),
    ],
)
def test_wrong_entries_are_refused_with_the_way_out(entry: dict[str, object], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        Kinds.default().over(entry)


@pytest.mark.parametrize("name", domains())
def test_packs_have_targets_and_mark_what_says_no(name: str) -> None:
    kinds, pack = pack_kinds(domain(name)), domain(name)
    assert any(kinds.of(k).target for k in pack.kinds)
    refusing = {"return", "hide", "skip", "decline", "sell", "drop", "cancel", "remove_from_cart"}
    assert all(kinds.of(k).sign == "negative" for k in refusing & set(pack.kinds))


def _events(kinds: list[str], values: list[float | None] | None = None) -> Interactions:
    n = len(kinds)
    table = {
        "user_id": ["u"] * n,
        "item_id": [f"i{k}" for k in range(n)],
        "timestamp": list(range(1, n + 1)),
        "kind": kinds,
    }
    return Interactions.of({**table, "value": values} if values else table)


def test_acts_say_sign_strength_and_target() -> None:
    acts = _events(["view", "purchase", "hide", "impression", "unlike", "search", "zap"]).acts()
    assert acts["sign"].to_list() == [1, 1, -1, 0, 0, 0, 1]
    assert acts["strength"].to_list() == pytest.approx([0.2, 1.0, 1.0, 0.05, 1.0, 0.1, 1.0])
    assert acts["is_target"].to_list() == [False, True, False, False, False, False, False]
    assert acts["is_undo"].to_list() == [False] * 4 + [True] + [False] * 2
    assert acts["rating"].null_count() == len(acts)
    assert acts.schema == {
        "sign": pl.Int8,
        "strength": pl.Float32,
        "rating": pl.Float32,
        "is_target": pl.Boolean,
        "is_undo": pl.Boolean,
    }


def test_without_a_target_every_positive_kind_is_one_and_parts_keep_to_it() -> None:
    assert _events(["view", "click", "hide"]).acts()["is_target"].to_list() == [True, True, False]
    shop = _events(["view", "purchase"])
    part = shop.keep(shop.frame.filter(pl.col("kind") == "view"))
    assert part.acts()["is_target"].to_list() == [False]


def test_a_negative_amount_says_no_on_implicit_data() -> None:
    acts = _events(["purchase", "purchase", "view"], [2.0, -3.0, None]).acts()
    assert acts["sign"].to_list() == [1, -1, 1]
    assert acts["is_target"].to_list() == [True, False, False]


def test_views_in_a_column_of_sums_paid_say_no_amount() -> None:
    events = _events(["view", "view", "purchase"], [0.0, 0.0, 12.5])
    assert events.acts()["sign"].to_list() == [1, 1, 1]
    assert events.frame["value"].to_list() == [None, None, 12.5]


def test_ratings_stand_beside_acts_and_none_is_invented() -> None:
    events = _events(["rating", "rating", "click", "event"], [5.0, 1.0, None, None])
    acts = events.acts()
    assert events.has_values and events.value_range == (1.0, 5.0) and events.relevant_from == 4.0
    assert acts["rating"].to_list() == [5.0, 1.0, None, None]
    assert acts["sign"].to_list() == [1, 1, 1, 1]
    assert acts["is_target"].to_list() == [True, True, False, False]
    assert events.frame["value"].to_list() == [5.0, 1.0, None, None]


def test_kinds_of_ones_own_reach_the_events() -> None:
    frame = {"user_id": ["a", "b"], "item_id": ["x", "y"], "kind": ["zap", "view"]}
    data = Dataset(interactions=frame, kinds=Kinds.default().over({"zap": -1}))
    acts = data.interactions.frame.hstack(data.interactions.acts())
    assert dict(acts.select("kind", "sign").iter_rows()) == {"zap": -1, "view": 1}
    kept = data.with_interactions(data.interactions.frame)
    assert kept.interactions.kinds == data.interactions.kinds


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("offre refusée", "negative"),
        ("Anzeige gemeldet", "negative"),
        ("Artikel gekauft", "positive"),
        ("compra cancelada", "negative"),
        ("retiré du panier", "negative"),
        ("producto visto", "positive"),
        ("denunciada", "negative"),
        ("af_add_to_cart", "positive"),
        ("like_sent", "positive"),
        ("保存取消", "undo"),
        ("取消赞", "undo"),
        ("view_item_list", "neutral"),
        ("to-read", "positive"),
        ("removeu do carrinho", "negative"),
        ("comprou", "positive"),
        ("mute_feed", "negative"),
        ("mark_unread", "undo"),
        ("undo_upvote", "undo"),
        ("unmute", "undo"),
        ("rating_deleted", "undo"),
        ("removed from favorites", "undo"),
        ("desfavoritou", "undo"),
        ("gefällt mir nicht mehr", "undo"),
        ("watchlist_remove", "negative"),
        ("unwishlisted", "negative"),
        ("uncart", "negative"),
        ("un_cart", "negative"),
        ("UnCart", "negative"),
        ("un-basket", "negative"),
        ("取消加购", "negative"),
        ("取消预约", "negative"),
        ("un_purchase", "undo"),
        ("un-return", "undo"),
        ("un_like", "undo"),
        ("取消拉黑", "undo"),
        ("achat_un_produit", "positive"),
        ("续借", "positive"),
        ("还书", "neutral"),
        ("watchlist_add", "positive"),
        ("order.placed", "positive"),
        ("block_author", "negative"),
        ("bid_retracted", "negative"),
        ("withdrawn by applicant", "negative"),
        ("imp", "neutral"),
        ("Dividende", "neutral"),
        ("ApplicationWithdrawn", "negative"),
        ("did-not-finish", "negative"),
        ("SELL_SHORT", "negative"),
        ("angry", "negative"),
        ("Umgetauscht", "neutral"),
        ("partial refund", "neutral"),
    ],
)
def test_acts_in_several_words_and_both_genders(name: str, sign: str) -> None:
    assert Kinds.default().known(name) and Kinds.default().of(name).sign == sign


def test_a_negation_in_another_language_is_no_known_kind() -> None:
    for name in ("nicht gekauft", "no comprado", "añadido a favoritos"):
        assert not Kinds.default().known(name)
    assert Kinds.default().of("to-read").strength > Kinds.default().of("read").strength


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("purchase", "cancel"),
        ("book", "no_show"),
        ("预订", "取消预订"),
        ("subscribe", "unsubscribe"),
    ],
)
@pytest.mark.parametrize("pack", [None, *sorted(domains())])
def test_what_ends_an_act_is_as_strong_as_the_act(
    before: str, after: str, pack: str | None
) -> None:
    kinds = Kinds.default() if pack is None else pack_kinds(domain(pack))
    assert kinds.of(after).sign == "negative"
    assert kinds.of(after).strength >= kinds.of(before).strength


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("refund_requested", "negative"),
        ("returnRequest", "negative"),
        ("return_approved", "negative"),
        ("refund_denied", "negative"),
        ("cancellation_pending", "negative"),
        ("退货申请", "negative"),
        ("payment_failed", "neutral"),
        ("payment_declined", "neutral"),
        ("order_completed", "positive"),
    ],
)
def test_a_step_of_a_return_or_payment_says_what_its_end_says(name: str, sign: str) -> None:
    kinds = Kinds.default()
    assert kinds.known(name) and kinds.of(name).sign == sign


@pytest.mark.parametrize(
    "name", ["cancel_return", "returnCancelled", "order refund cancelled", "取消退货", "取消退貨"]
)
def test_a_return_that_was_canceled_leaves_the_purchase(name: str) -> None:
    """An undo would take the purchase back, too, and the item would be recommended again."""
    kinds = Kinds.default()
    assert kinds.known(name) and not kinds.of(name).target
    accepted, refused = _histories(["purchase", "return", name])
    assert len(accepted.items) == 1 and not len(refused.items)
    assert accepted.is_target.all()
    accepted, refused = _histories(["purchase", "return"])
    assert not len(accepted.items) and len(refused.items) == 1


def _histories(names: list[str]) -> tuple[Histories, Histories]:
    """What one user accepted and refused by events of these kinds on one item, in this order."""
    count = len(names)
    frame = pl.DataFrame({"user_id": ["u"] * count, "item_id": ["i"] * count, "kind": names})
    frame = frame.with_columns(timestamp=pl.int_range(count) + 1.6e9)
    events = Dataset(interactions=frame).interactions
    reader = EventReader.of(events)
    return reader.of_interactions(events, Vocabulary(["i"]))[0].joined()


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("購買", "购买"),
        ("瀏覽", "浏览"),
        ("點讚", "点赞"),
        ("不感興趣", "不感兴趣"),
        ("已購買", "购买"),
    ],
)
def test_traditional_characters_name_the_same_kinds(name: str, of: str) -> None:
    kinds = Kinds.default()
    assert kinds.known(name) and kinds.of(name) == kinds.of(of)

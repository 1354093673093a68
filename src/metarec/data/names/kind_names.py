"""Normalize names of kinds: `disliked`, `returns` and `item_returned` are forms of `dislike` and
`return`, `已购买` of `购买`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from metarec.data.names.languages import names_in_languages
from metarec.data.names.traditional import with_traditional

_IRREGULAR = {
    "bought": "buy",
    "hid": "hide",
    "ate": "eat",
    "withdrew": "withdraw",
    "withdrawn": "withdraw",
    "withdrawal": "withdraw",
    "refusal": "refuse",
    "rejection": "reject",
    "redemption": "redeem",
    "subscription": "subscribe",
    "registration": "register",
    "acceptance": "accept",
    "dismissal": "dismiss",
    "removal": "remove",
    "deletion": "delete",
    "renewal": "renew",
    "addition": "add",
    "enrollment": "enroll",
    "enrolment": "enrol",
    "unenrollment": "unenroll",
    "unenrolment": "unenrol",
    "unsubscription": "unsubscribe",
    "deactivation": "deactivate",
}
_ENDINGS = (
    ("ies", "y"),
    ("ied", "y"),
    ("es", ""),
    ("s", ""),
    ("d", ""),
    ("ed", ""),
    ("ing", ""),
    ("ing", "e"),
)
_LOOKS = re.compile("[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]")
"""Variation selectors and skin tones of emoji, which do not change the kind."""
_DOUBLED = re.compile(r"([bdgklmnprt])\1(?:ed|ing)$")
MIN_STEM = 3
"""Minimum number of letters of a stem."""
_OBJECTS = frozenset(
    "item product order purchase cart basket wishlist course class lesson song track video movie "
    "film post article page content ad listing job load fund offer recommendation suggestion "
    "candidate game app recipe deal story photo image place restaurant hotel shop store user "
    "customer client member anonymous user event action act type the a an this my by from in on of "
    "you i we your cash shares received hold booking reservation appointment "
    "subscription enrolment enrollment registration "
    "quiz attempt assignment assessment exam module chapter unit exercise problem submission "
    "form has have been was were is "
    "feed channel source tag topic thread partial full new first web mobile goods abuse patient "
    "author creator seller publisher application bid placed applicant candidate guest customer "
    "recruiter employer работодателя carrier shipper driver clinic hospital "
    "sent to af fb ecommerce ao do da dos das "
    "gesendet verschickt envoyé enviado enviada inviato kauf bestellung buchung warenkorb "
    "achat commande panier réservation compra pedido carrito carrinho acquisto ordine carrello "
    "der die das den dem zum zur in im auf aus le la les un une du de des au aux el los las una al "
    "del il lo o os em من العميل الطلب المنتج "
    "realizada realizado efectuada efectuado durchgeführt getätigt gelegt effectué effectuée "
    "карточки карточка товара "
    "страницы заказ заказа".split()
)
"""Words for the object or the actor of an event, not for its kind."""
_UNDONE = re.compile(r"un(?!rat|scor|review|collect|recommend)\w{4}")
"""Pattern of words for reverted events (`unmuted`), not for events that never were (`unrated`)."""
_UN = "un"
"""First word of names such as `un_cart`; elsewhere it is an article in French and Spanish."""
_BEGINNING = frozenset("add added create created set submit submitted".split())
"""Words beside a kind that state that it was done: `watchlist_add`, `comment_created`."""
_TAKING_BACK = frozenset(
    "undo unset undone remove removed delete deleted clear cleared revoke revoked retract "
    "retracted cancel canceled cancelled".split()
)
"""Words beside a kind that state that it was reverted."""
_ENDING_A_PURCHASE = frozenset(
    "return refund chargeback cancel cancellation unsubscribe withdraw".split()
)
"""Words for the end of a purchase, whose request, progress and revocation have names, too."""
_STEPS = frozenset(
    "request initiate approve complete process confirm receive accept submit open start create "
    "place issue pending schedule ship deliver pay reject refuse deny decline fail".split()
)
"""Words for steps of a return or refund. Its refusal is one: the user still gave the item up."""
_REVOKING = _TAKING_BACK | {"withdrawn", "rescind", "rescinded", "void", "voided"}
_PAID = frozenset("payment pay charge checkout purchase transaction".split())
_FAILING = frozenset("fail failed failure error declined".split())
_BEFORE = with_traditional("已 用户 商品 主动 申请 发起 立即 确认".split())
_BEFORE += with_traditional("马上 一键 订单".split())
_BEFORE += tuple("注文 商品 予約 購入 주문 상품 구매 예약 결제".split())
_AFTER = with_traditional("了 过 商品 行为 操作 成功 申请".split())
_AFTER += with_traditional("商家 作者 店铺 用户 订单".split())
_AFTER += tuple("済み 済 した する 投稿 ボタン に入れる に追加".split())
_AFTER += tuple("함 하기 됨 담기 담음".split())
"""Affixes that may precede (`_BEFORE`) and follow (`_AFTER`) a verb in Chinese, Japanese, Korean.
"""


@lru_cache(maxsize=4096)
def plain_kind(name: str) -> str:
    """A kind's name without case and separators between words: `Add To Cart`, `add_to_cart` and
    `addToCart` are one; `-1` and `1` are not.
    """
    text = _LOOKS.sub("", unicodedata.normalize("NFKC", str(name))).casefold().strip()
    return re.sub(r"(?<=\w)[\s_\-./]+(?=\w)", "", text.strip("_ ")) or text


def forms(name: str) -> Iterator[str]:
    """`plain_kind` names that a name may be formed from, the likeliest first, itself left out."""
    yield from _stems(plain_kind(name))
    if "://" in str(name):  # `http://adlnet.gov/expapi/verbs/completed`
        last = re.split(r"[/#]", str(name).strip().rstrip("/#"))[-1]
        yield from (plain_kind(last), *_stems(plain_kind(last)))
        return
    words = words_of(name)
    if words[:1] == [_UN]:  # `un_purchase` is no purchase
        return
    if len(words) > 1:
        yield "".join(next(_stems(word), word) for word in words)
        for word in words:
            yield from ("".join(stem if w == word else w for w in words) for stem in _stems(word))
        verbs = [word for word in words if not is_object(word)]
        about = [word for word in words if is_object(word)]
        if len(verbs) == 1 or not verbs:
            for word in verbs or about:
                yield word
                yield from _stems(word)
        if 1 < len(verbs) < len(words):
            yield "".join(verbs)
        begun = [word for word in verbs if word not in _BEGINNING]
        if len(verbs) == 2 and len(begun) == 1:
            yield from (begun[0], *_stems(begun[0]))
    yield from _unwrapped(plain_kind(name))
    if "." in str(name):  # `edx.course.enrollment.activated`
        last = str(name).rpartition(".")[2]
        yield plain_kind(last)
        yield from _stems(plain_kind(last))


def taken_back(name: str) -> Iterator[str]:
    """Names of what may have been taken back, where a name says so: `upvote` of `undo_upvote` and
    `upvote_removed`, `mute` of `unmute`.
    """
    words = words_of(name)
    kept = [word for word in words if word not in _TAKING_BACK]
    if 0 < len(kept) < len(words):
        yield "_".join(kept)
    undone = [word for word in kept if _UNDONE.match(word)]
    if len(undone) == 1 and len(kept) == len(words):
        yield "_".join(word.removeprefix("un") if word in undone else word for word in words)


def stepped(name: str) -> str | None:
    """Return the end of a purchase that a name states a step of (`refund` of `refund_requested`);
    None for other names.
    """
    words = _about_an_end(name)
    endings = [word for word in words if word in _ENDING_A_PURCHASE]
    is_step = all(word in (*endings, *_STEPS) for word in words)
    return endings[0] if len(endings) == 1 and len(words) > 1 and is_step else None


def kept(name: str) -> bool:
    """Whether a name states that a return, refund or cancellation was revoked: `cancel_return`."""
    words = [word for word in words_of(name) if word not in ("request", "requested")]
    while len(words) > 2 and is_object(words[0]):
        words = words[1:]
    ends = [_first_known(word, _ENDING_A_PURCHASE) or word for word in words]
    if len(words) != 2 or words[0] == words[1]:
        return False
    is_after = ends[0] in _ENDING_A_PURCHASE - {"cancel"} and words[1] in _REVOKING
    return is_after or (ends[1] in _ENDING_A_PURCHASE - {"cancel"} and words[0] in _REVOKING)


def failed(name: str) -> bool:
    """Whether a name states that a payment came to nothing: `payment_failed`."""
    words = words_of(name)
    return bool(_FAILING & {*words}) and bool(_PAID & {*words}) and {*words} <= _PAID | _FAILING


def _about_an_end(name: str) -> list[str]:
    """Return the words of a name without those for objects, ends and steps in their base form."""
    words = [word for word in words_of(name) if not is_object(word)]
    known = _ENDING_A_PURCHASE | _STEPS
    return [_first_known(word, known) or word for word in words]


def _first_known(word: str, known: frozenset[str]) -> str | None:
    return next((w for w in (word, *_stems(word)) if w in known), None)


def undone_word(name: str) -> str | None:
    """Return what a name with a first word `un` says to be undone (`cart` of `un_cart`)."""
    words = words_of(name)
    return "_".join(words[1:]) if words[:1] == [_UN] and len(words) > 1 else None


def words_of(name: str) -> list[str]:
    """Return the words of a name in lower case."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", unicodedata.normalize("NFKC", str(name)))
    return re.findall(r"[^\W_]+", apart.casefold())


def is_object(word: str) -> bool:
    """Whether a word is one for the object or the actor of an event."""
    bare = word.removesuffix("s")
    return (
        word in _OBJECTS
        or bare in _OBJECTS
        or not {word, bare}.isdisjoint(names_in_languages("items"))
    )


def _stems(word: str) -> Iterator[str]:
    """Yield the English words that a word may be an inflection of."""
    if word in _IRREGULAR:
        yield _IRREGULAR[word]
    if not word.isascii():
        return
    if _DOUBLED.search(word):
        yield _DOUBLED.sub(r"\1", word)
    for ending, instead in _ENDINGS:
        stem = word.removesuffix(ending) + instead
        if word.endswith(ending) and len(stem) >= MIN_STEM:
            yield stem


def _unwrapped(text: str) -> Iterator[str]:
    bare = [text.removeprefix(start) for start in _BEFORE if text.startswith(start)] or [text]
    for one in bare:
        yield one
        yield from (one.removesuffix(end) for end in _AFTER if one.endswith(end))

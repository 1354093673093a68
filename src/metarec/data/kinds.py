"""Kinds of events: sign and strength of the preference that a kind states, and whether the kind is
a target of recommendation.

One table serves reading, training, evaluation, the service and explanations. Defaults cover common
English and Chinese names and names in the languages of `names.languages`; a domain pack overrides
the defaults, and the user's `[kinds]` overrides both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from functools import cache
from math import isfinite
from typing import Any, Literal, cast, get_args

from metarec.data.errors import BadInput
from metarec.data.names.kind_names import (
    failed,
    forms,
    kept,
    plain_kind,
    stepped,
    taken_back,
    undone_word,
)
from metarec.data.names.languages import acts, genders
from metarec.data.names.no_words import refusal_in
from metarec.data.names.payment_words import payment_failed, unpaid
from metarec.data.names.traditional import with_traditional

Sign = Literal["positive", "negative", "neutral", "undo", "search"]
SIGNS: tuple[Sign, ...] = get_args(Sign)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What events of one kind state about preference."""

    sign: Sign
    """Positive, negative, neutral (seen, no preference), undo (reverts an event), or search."""
    strength: float
    """Weight, above 0."""
    target: bool = False
    """Whether recommendations aim at this kind, such as a purchase in a shop."""

    def __post_init__(self) -> None:
        if self.sign not in SIGNS:
            raise BadInput(f"a sign must be one of {', '.join(SIGNS)}, got {self.sign!r}")
        if not _is_number(self.strength) or not 0 < self.strength < float("inf"):
            raise BadInput(f"a strength must be a number above 0, got {self.strength!r}")
        if not isinstance(self.target, bool):
            raise BadInput(f"target must be true or false, got {self.target!r}")
        if self.target and self.sign != "positive":
            raise BadInput(f"a target must be positive, and this kind is {self.sign}")


IMPRESSION = "impression"
"""Kind of items that were shown, without another event."""
KEPT = "returncancelled"
"""Key of the kind of a purchase that was not given back after all."""
UNPAID = "begin_checkout"
"""Kind of an order that nobody has paid."""
UNKNOWN = Kind(sign="positive", strength=1.0)
"""How an unknown kind counts, until `[kinds]` says otherwise."""

_DEFAULTS: dict[Sign, dict[float, tuple[str, str]]] = {
    # sign: {strength: (signals, targets)}
    "positive": {
        0.1: ("hover peek", ""),
        0.2: (
            "view pageview page_view item_view product_view detail_view view_item open preview "
            "browse visit_page pv view_content view_cart app_open app_launch quiz_attempt_reviewed "
            "attempt_reviewed 浏览 查看 打开 预览 访问",
            "",
        ),
        0.3: (
            "click tap play start initialize initialized read click_item select_item "
            "select_content select_promotion "
            "点击 播放 阅读",
            "",
        ),
        0.4: ("listen stream scrobble 收听 听", ""),
        0.5: (
            "watch watchlist waitlist wishlist add_to_wishlist wish save bookmark collect download "
            "to_read want_to_read to_watch want_to_watch plan_to_watch plan_to_read want_to_play "
            "experienced 想读 想看 想听 想玩 "
            "收藏 收藏夹 加入收藏 加入收藏夹 心愿单 加入心愿单 想要 下载 观看 看",
            "",
        ),
        0.6: (
            "cart add add_to_cart add_cart basket add_to_basket bid "
            "submit problem_check hold 加购 加入购物车 加购物车 "
            "出价 投标 提交 持有 持仓",
            "",
        ),
        0.8: (
            "favorite favourite fav star follow subscribe enrol "
            "enroll register renew activate apply log begin_checkout signup contact inquiry "
            "enquiry message add_payment_info add_shipping_info 试用 咨询 续借 续订 "
            "checkout_started initiate_checkout 关注 订阅 报名 注册 申请",
            "like recommend upvote thumbs_up thumb_up swipe_right 点赞 赞 喜欢 按赞 "
            "赞同 感谢 有帮助 有用 "
            "haha wow "
            "👍 🙂 😊 😀 😃 😄 😂 🤣 👏 🙌 🎉 🤩 😮",
        ),
        0.9: (
            "",
            "love superlike match comment reply accept interview check_in checkin "
            "❤ ♥ 😍 🥰 😘 💖 💕 💯 🔥 ⭐ 🌟 "
            "评论 回复 接受 接单 签到",
        ),
        1.0: (
            # As strong as a return, so that the later of a return and its revocation counts.
            "event return_cancelled cancel_return 事件 取消退货 取消退款 撤销退货 撤销退款 "
            "取消退货申请 取消退款申请",
            "purchase buy order transaction checkout paid pay payment sale reorder rebuy rent "
            "borrow loan share reshare repost retweet reblog boost announce complete completion "
            "finish certificate certify deliver delivered delivery play_complete watch_complete "
            "hire prescribe administer dispense attend participate join charge 参加 参与 做 烹饪 "
            "book booking reserve reservation visit visited use cook eat rating rate rated score "
            "review reviewed donate install convert conversion 购买 买 "
            "下单 支付 付款 成交 订单 交易 复购 买入 申购 认购 定投 "
            "分享 转发 完成 完课 完播 学完 送达 签收 好评 "
            "预订 预定 到访 到店 评分 打分 评价 安装 租 租借 借 借书 借阅 预约 骑行",
        ),
    },
    "negative": {
        0.3: ("skip ignore fast_forward 跳过 忽略", ""),
        0.6: (
            "remove_from_cart removed_from_cart cart_remove delete_from_cart remove_from_wishlist "
            "remove delete trash 取消加购 取消加入购物车 移出购物车 移除 删除 删除购物车",
            "",
        ),
        0.8: (
            "sell sold sell_short short_sell drop dropped dropout unfollow did_not_finish dnf "
            "unsubscribe deactivate unenrol unenroll redeem churn quit opt_out "
            "卖出 融券卖出 赎回 退课 退学 退出 流失 "
            "取消关注 取关 退订",
            "",
        ),
        1.0: (
            "dislike thumbs_down downvote hide hidden return returned refund refunded chargeback "
            "decline declined reject rejected refuse block mute report spam not_interested "
            "uninterested dont_recommend no_longer_interested add_to_blocklist add_to_blacklist "
            "blocklist blacklist rate_down rated_down vote_down voted_down dismiss complain "
            "complaint ban uninstall thumb_down swipe_left unmatch negative_feedback nope "
            "see_less show_less less_like_this hate angry spamreport "
            # As strong as an order, so that the later of an order and its cancellation counts.
            "cancel cancelled canceled cancellation cancel_order no_show withdraw "
            "retract void voided reversal reversed "
            "取消 取消订单 取消预订 取消预约 "
            "取消报名 取消申请 取消借阅 爽约 缺席 "
            "退票 退保 "
            "👎 😠 😡 🤬 🤮 🤢 💩 💔 🙁 😞 "
            "踩 不喜欢 讨厌 负反馈 反对 没有帮助 没帮助 没用 "
            "discontinue discontinued side_effect adverse_event allergy allergy_intolerance 过敏 "
            "减少推荐 减少此类推荐 减少类似推荐 不再推荐 "
            "不要推荐 不看此类 屏蔽商家 "
            "不感兴趣 没兴趣 不想看 不想要 不想买 点踩 停药 副作用 弃课 "
            "隐藏 屏蔽 拉黑 举报 退货 退款 拒绝 拒收 拒签 拒单 投诉 差评 卸载",
            "",
        ),
    },
    "neutral": {
        0.05: (
            "impression impressions imp imps seen exposure exposed shown show displayed served "
            "abandon fail give_back dividend buy_to_cover sad viewable_impression "
            "exchanged partial_refund "
            "partially_refunded 换货 部分退款 分红 红利再投 红利再投资 "
            # Of a session, a video or an account, not of what an item is worth to the user.
            "session_start session_started session_end session_ended user_engagement first_visit "
            "first_open heartbeat keep_alive login log_in sign_in logout log_out sign_out "
            "pause pause_video stop_video seek_video load_video terminated stock_split "
            "登录 登出 退出登录 心跳 会话开始 会话结束 暂停 "
            "😢 😭 😐 🤔 "
            "view_item_list view_list view_promotion list_view 曝光 展示 展现 "
            "归还 还书 还车 弃购 放弃 中评",
            "",
        )
    },
    "undo": {
        1.0: (
            "undo unlike undislike unbookmark unfavorite unfavourite unsave unhide unblock "
            "un_upvote undo_like undo_dislike undo_hide undo_save undo_follow remove_like "
            "remove_dislike unstar unpin mark_unread 撤销 取消点赞 取消赞 取消喜欢 取消收藏 "
            "取消踩 取消点踩 取消屏蔽 取消拉黑 解除拉黑 解除屏蔽 取消不感兴趣 取消评分 删除评分",
            "",
        )
    },
    "search": {0.1: ("search query searched find 搜索 查询 检索", "")},
}
RATING_NAMES = "event rating ratings rate rated score review reviewed 事件 评分 打分 评价"
"""Names of kinds whose value, where stated, is a rating on a scale."""


_LISTS = frozenset(
    map(
        plain_kind,
        "wishlist watchlist wish to_read to_watch cart basket add_to_cart add_cart "
        "add_to_basket".split(),
    )
)
"""Kinds that put an item on a list or into a cart; taking it off counts as a removal, not as an
undo.
"""
_CAN_BE_TAKEN_BACK = _LISTS | frozenset(
    map(
        plain_kind,
        "like dislike love superlike upvote downvote thumbs_up thumbs_down thumb_up thumb_down "
        "favorite favourite fav star save bookmark collect pin follow subscribe rate rating rated "
        "score review recommend share repost retweet hide block mute not_interested haha wow angry "
        "sad".split(),
    )
)
"""Kinds that users can take back."""


RATING_KINDS = frozenset(map(plain_kind, with_traditional(RATING_NAMES.split())))


@dataclass(frozen=True)
class Kinds:
    """The table of kinds of one data set and of the model trained on it."""

    entries: Mapping[str, Kind] = field(default_factory=dict)
    """Kinds by `plain_kind` name."""

    @staticmethod
    def default() -> Kinds:
        """Common English and Chinese names, and names in the languages of `names.languages`."""
        return _default()

    def key(self, name: str) -> str:
        """Return the key of a kind's entry: its `plain_kind` name, else the name it is derived from
        (`disliked`, `item_returned`, `已购买`), else the undo or removal that it states; the
        plain name where the table has none of these.
        """
        plain = plain_kind(name)
        return self._stated(name) or refusal_in(name, self._key_of_word) or plain

    def _stated(self, name: str) -> str | None:
        """Return the key of a name that states a kind as a whole; None for other names."""
        names = (plain_kind(name), *forms(name))
        entry = next((form for form in names if form in self.entries), None)
        return entry or self._of_a_process(name) or self._taken_back(name)

    def by_a_word(self, name: str) -> str | None:
        """Return the key that a name of several words has by the only word that says no, where the
        table does not know it otherwise; None for other names.
        """
        return None if self._stated(name) else refusal_in(name, self._key_of_word)

    def _key_of_word(self, word: str) -> str | None:
        return next((w for w in (plain_kind(word), *forms(word)) if w in self.entries), None)

    def _of_a_process(self, name: str) -> str | None:
        """Return the key of a name that states a step of a purchase's end: `refund` for
        `refund_requested`, `KEPT` for `cancelled_refund` (an undo would take the purchase back,
        too), `fail` for `payment_failed` and `UNPAID` for `awaiting_payment`; None for other names.
        """
        key = KEPT if kept(name) else stepped(name)
        if key is None and (failed(name) or payment_failed(name)):
            key = "fail"
        elif key is None and unpaid(name):
            key = plain_kind(UNPAID)
        return key if key in self.entries else None

    def _taken_back(self, name: str) -> str | None:
        """Return the key of a name that states that an event was reverted: `undo` for
        `undo_upvote`, `unmute`, `un_purchase` and `rating_deleted`, `remove` for an item taken off
        a list or out of a cart; None for other names.
        """
        undone = undone_word(name)
        if undone is not None:
            key = self.key(undone)
            back = key if key in self.entries else None
        else:
            back = next((w for words in taken_back(name) if (w := self._base_kind(words))), None)
        kind = None if back is None else "remove" if back in _LISTS else "undo"
        return kind if kind in self.entries else None

    def _base_kind(self, name: str) -> str | None:
        """Return the key of the revertible kind that a name is derived from; None without one."""
        keys = (plain_kind(name), *forms(name))
        return next((k for k in keys if k in self.entries and k in _CAN_BE_TAKEN_BACK), None)

    def known(self, name: str) -> bool:
        """Whether the table has an entry for the kind, in any form of its name."""
        return self.key(name) in self.entries

    def of(self, name: str) -> Kind:
        """Return the entry of a kind; an unknown kind is positive with strength 1."""
        return self.entries.get(self.key(name), UNKNOWN)

    def is_rating(self, name: str) -> bool:
        """Whether the value of an event of this kind is a rating on a scale."""
        return self.key(name) in RATING_KINDS and self.of(name).sign == "positive"

    def nearest(self, name: str) -> str | None:
        """Return the known name most similar to an unknown one; None if none is similar."""
        near = get_close_matches(plain_kind(name), self.entries, n=1, cutoff=0.7)
        return near[0] if near else None

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Return those of the given names that the table has no entry for, sorted."""
        return sorted(name for name in set(names) if not self.known(name))

    def over(self, other: Mapping[str, Any], place: str = "[kinds]") -> Kinds:
        """Return this table with entries changed or added: `{name: strength}`, a negative number
        for a negative kind, or `{name: {"sign": ..., "strength": ..., "target": ...}}`.

        Raises:
            BadInput: if an entry is neither, or two spellings of one kind contradict each other.
        """
        changed: dict[str, Kind] = {}
        for name, entry in other.items():
            key = plain_kind(name)
            kind = _entry(name, entry, self.of(name), place)
            if changed.setdefault(key, kind) != kind:
                raise BadInput(f"{place}: {name!r} is there twice, with different entries")
        return Kinds({**self.entries, **changed})

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """As plain JSON values."""
        return {name: asdict(kind) for name, kind in self.entries.items()}

    @staticmethod
    def from_dict(entries: Mapping[str, Mapping[str, Any]]) -> Kinds:
        """From plain JSON values."""
        return Kinds({name: Kind(**entry) for name, entry in entries.items()})


@cache
def _default() -> Kinds:
    at_home = _at_home()
    further = {
        plain_kind(form): at_home[kind]
        for kind, names in acts().items()
        for name in names
        for form in genders(name)
    }
    return Kinds({**further, **at_home})


def _at_home() -> dict[str, Kind]:
    return {
        plain_kind(name): Kind(sign=sign, strength=strength, target=target)
        for sign, strengths in _DEFAULTS.items()
        for strength, names in strengths.items()
        for target, listed in zip((False, True), names, strict=True)
        for name in with_traditional(listed.split())
    }


def _entry(name: str, given: Any, before: Kind, place: str) -> Kind:
    try:
        if isinstance(given, Kind):
            return given
        return _of_table(given, before) if isinstance(given, Mapping) else _of_number(given, before)
    except BadInput as error:
        raise BadInput(f"{place}: kind {name!r}: {error}") from error


def _of_number(given: Any, before: Kind) -> Kind:
    """A strength; the sign stays, unless the number is negative."""
    if not _is_number(given) or given == 0:
        raise BadInput(
            f"an entry is a strength above 0, a negative number for a negative kind, or a table "
            f'such as {{ sign = "neutral" }}; got {given!r}'
        )
    if given < 0:
        return Kind(sign="negative", strength=-float(given))
    return Kind(sign=before.sign, strength=float(given), target=before.target)


def _of_table(table: Mapping[str, Any], before: Kind) -> Kind:
    odd = sorted(set(table) - {"sign", "strength", "target"})
    if odd:
        raise BadInput(f"nothing is known of {odd[0]!r}; there are sign, strength, target")
    sign = cast("Sign", table.get("sign", before.sign))
    target = table.get("target", before.target and sign == "positive")
    return Kind(sign=sign, strength=table.get("strength", before.strength), target=target)

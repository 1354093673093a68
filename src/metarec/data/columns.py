"""Which column is which: the canonical names, the names others use for them, and weights of
event kinds.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from metarec.data.errors import BadInput
from metarec.data.findings import Finding
from metarec.data.languages import QUANTITIES, TOTALS, bare, language_of, names_in

SYNONYMS: dict[str, tuple[str, ...]] = {
    "user_id": (
        "user",
        "userid",
        "uid",
        "customer_id",
        "customer",
        "visitor_id",
        "member_id",
        "household_id",
        "reviewer_id",
        "account_id",
        *"用户 用户id 用户编号 用户名 客户 客户id 客户号 客户编号".split(),
        *"会员 会员id 会员号 会员编号".split(),
        *"学员 学员编号 学号 读者 读者编号 患者编号".split(),
        *"买家 买家id 顾客 顾客编号".split(),
    ),
    "item_id": (
        "item",
        "itemid",
        "iid",
        "movie_id",
        "product_id",
        "product",
        "article_id",
        "book_id",
        "course_id",
        "track_id",
        "song_id",
        "business_id",
        "asin",
        "parent_asin",
        "isbn",
        "sku",
        "stock_code",
        "content_id",
        "place_id",
        *"商品 商品id 商品编号 商品编码 物品 物品id 物品编号".split(),
        *"产品 产品id 产品编号 产品代码".split(),
        *"课程 课程id 课程编号 内容id 内容编号 文章id 视频id".split(),
        *"帖子id 电影id 歌曲id 图书id 货源编号".split(),
    ),
    "timestamp": (
        "time",
        "datetime",
        "date",
        "ts",
        "event_time",
        "unix_time",
        "unix_review_time",
        "created_at",
        "occurred_at",
        "event_timestamp",
        "invoice_date",
        "transaction_timestamp",
        *"时间 时间戳 日期 发生时间 行为时间 操作时间".split(),
        *"创建时间 下单时间 交易时间".split(),
    ),
    "value": ("rating", "ratings", "score", "stars", "overall", "评分", "打分", "星级"),
    "kind": (
        "event",
        "txn_type",
        "transaction_type",
        "interaction_type",
        "activity_type",
        "event_type",
        "action",
        "behavior",
        "behaviour",
        "behavior_type",
        "event_name",
        "behavior_name",
        "behaviour_name",
        "action_type",
        "action_name",
        "interaction",
        "activity",
        *"行为 行为类型 行为名称 操作 操作类型 动作".split(),
        *"事件 事件类型 交易类型".split(),
    ),
    "title": (
        "name",
        "movie_title",
        "product_name",
        "product_title",
        "item_name",
        "description_short",
        *"标题 名称 商品名称 商品名 产品名称".split(),
        *"课程名称 电影名称 书名".split(),
    ),
    "text": (
        "description",
        "summary",
        "content",
        "overview",
        "plot",
        *"描述 简介 正文 详情 介绍".split(),
    ),
    "categories": (
        "genres",
        "category",
        "genre",
        "class",
        *"类别 类目 分类 标签 话题 品类 种类 题材 菜系 类型".split(),
    ),
    "year": ("release_year", "release_yr", "pub_year", "年份", "上映年份", "出版年份"),
    "latitude": ("lat", "geo_lat", "y_lat", "纬度"),
    "longitude": ("lon", "lng", "long", "geo_lon", "geo_lng", "经度"),
    "friend_id": (
        "friend",
        "friendid",
        "user_id_2",
        "user2",
        "to_user",
        "to_user_id",
        "target_user_id",
        "followee_id",
        "contact_id",
        *"好友 好友id 好友编号 好友用户id 朋友 朋友id 朋友编号".split(),
        *"被关注者 被关注者id 被关注用户 关注对象 关注对象id".split(),
    ),
    "weight": ("strength", "closeness", "tie_strength", "亲密度", "权重"),
    "query": (
        "search_query",
        "search_term",
        "search_text",
        "search",
        "q",
        "term",
        "terms",
        "keywords",
        "keyword",
        *"搜索词 搜索关键词 搜索内容 关键词 检索词 查询词 查询".split(),
    ),
}
"""Names understood without a mapping, whatever their case, spaces and underscores."""

USER_NOUNS = tuple(
    "user customer client member student learner pupil trainee patient reader viewer listener "
    "subscriber passenger traveler traveller guest driver courier carrier buyer shopper employee "
    "worker applicant candidate player gamer donor tenant resident citizen investor trader "
    "borrower cardholder visitor participant person account profile cust".split()
)
"""What users are called."""
ITEM_NOUNS = tuple(
    "item product prod sku article movie film book song track course lesson video show game app "
    "news post recipe dish meal restaurant hotel property listing apartment venue poi place "
    "destination attraction treatment medication medicine drug therapy exercise load shipment "
    "freight parcel job vacancy offer fund stock security instrument artist album podcast episode "
    "content document material module program programme tour flight train room vehicle car part "
    "service creative campaign ad banner".split()
)
"""What items are called."""
CHINESE_USER_NOUNS = tuple(
    "用户 客户 顾客 会员 学员 学生 读者 患者 病人 买家 司机 骑手 "
    "乘客 旅客 游客 观众 听众 玩家 员工 求职者 候选人 居民 业主 "
    "投资者 投资人 持卡人 粉丝 访客 账户 账号".split()
)
"""What users are called in Chinese."""
CHINESE_ITEM_NOUNS = tuple(
    "商品 物品 产品 货品 课程 文章 视频 短视频 帖子 笔记 电影 影片 "
    "剧集 歌曲 音乐 专辑 歌手 播客 图书 书籍 商户 商家 店铺 门店 店 "
    "餐厅 饭店 酒店 民宿 房源 景点 景区 地点 场所 场馆 药品 药物 "
    "菜品 菜谱 食谱 菜 书 职位 岗位 基金 股票 理财产品 游戏 应用 "
    "新闻 资讯 节目 货源 货物 运单 航班 车型 套餐 优惠券 广告 项目".split()
)
"""What items are called in Chinese."""
_COUNTED_WITHIN = ("track", "episode", "lesson", "module", "place", "content", "post", "stock")
"""Items whose `number` is a place in a row, or how many there are."""
_NO_NAME_ALONE = (
    *"stock service content program programme offer account campaign train part room".split(),
)
"""Nouns that alone name something else as often."""


def _keys(nouns: Sequence[str]) -> tuple[str, ...]:
    """Names of ids made of these nouns: with a word for id first, then alone."""
    ids = [f"{noun}_{end}" for end in ("id", "code", "key", "uuid", "ref") for noun in nouns]
    numbers = [
        f"{noun}_{end}"
        for end in ("number", "no", "nr")
        for noun in nouns
        if noun not in _COUNTED_WITHIN
    ]
    ids = [name for name in ids if name != "post_code"]  # which is where somebody lives
    return (*ids, *numbers, *(noun for noun in nouns if noun not in _NO_NAME_ALONE))


def _chinese(nouns: Sequence[str], endings: str) -> tuple[str, ...]:
    """Names made of these nouns and an ending, the endings in their order."""
    return tuple(f"{noun}{end}" for end in endings.split() for noun in nouns)


_CHINESE_IDS = "id 编号 编码 代码 号 号码 序号"


STAND_INS = {
    "session": ("session_id session_key session_uuid session_code 会话 会话id 会话编号".split()),
    "device": "device_id device_key device_uuid device_code device_no 设备id 设备号".split(),
    "cookie": "cookie_id cookie_key cookie_uuid cookie".split(),
    "visit": "visit_id visit_key visit_uuid".split(),
}
"""What stands in for users where nothing names them, by the names of its columns."""
LESS_LIKELY: dict[str, tuple[str, ...]] = {
    "user_id": (
        *_keys(USER_NOUNS),
        "account",
        *_chinese(CHINESE_USER_NOUNS, _CHINESE_IDS),
        *CHINESE_USER_NOUNS,
        *"username user_name login user_pseudo_id email email_address e_mail 邮箱".split(),
        *itertools.chain(*STAND_INS.values()),
    ),
    "item_id": (
        "lineitem_sku",
        "isin",
        *_keys(ITEM_NOUNS),
        "symbol",
        "ticker",
        *_chinese(CHINESE_ITEM_NOUNS, _CHINESE_IDS),
        *CHINESE_ITEM_NOUNS,
    ),
    "title": (
        "lineitem_name",
        *(f"{noun}_{end}" for noun in ITEM_NOUNS for end in ("name", "title")),
        *_chinese((*CHINESE_ITEM_NOUNS, "片", "歌"), "名称 名字 名 标题"),
    ),
    "timestamp": ("at",),
    "text": _chinese((*CHINESE_ITEM_NOUNS, "内容", "剧情"), "描述 简介 介绍 详情"),
    "categories": (
        *(f"{noun}_{end}" for noun in ITEM_NOUNS for end in ("category", "genre", "genres")),
        *_chinese(CHINESE_ITEM_NOUNS, "类别 类目 分类 类型 品类 标签"),
    ),
}
"""Further names, where no better one is there."""
AS_GIVEN = "_as_given"
"""Ending of a column of a canonical name that a mapping takes from elsewhere."""
AMOUNTS = ("quantity", "qty", "lineitemquantity", "数量", *QUANTITIES)
"""Names of columns that say how much was bought; below 0, what came back."""
SUMS = (
    *("amount", "total", "totalprice", "revenue", "sales", "lineamount"),
    *("金额", "总价", "销售额"),
    *TOTALS,
)
"""Names of columns that say how much was paid, as `plain` has them."""
MATRIX = 8
"""Columns from which on a table without ids of items may have one for each item."""
NEEDED = {
    "interactions": ("user_id", "item_id"),
    "items": ("item_id",),
    "users": ("user_id",),
    "friends": ("user_id", "friend_id"),
    "searches": ("user_id", "query"),
}
MAPPED = {
    "interactions": "columns",
    "items": "item_columns",
    "users": "user_columns",
}
"""What maps the columns of a table in a TOML file."""
CANONICAL = {
    "interactions": ("user_id", "item_id", "timestamp", "value", "kind"),
    "items": (
        "item_id",
        "title",
        "text",
        "categories",
        "year",
        "author",
        "latitude",
        "longitude",
    ),
    "users": ("user_id", "latitude", "longitude"),
    "friends": ("user_id", "friend_id", "weight"),
    "searches": ("user_id", "query", "timestamp"),
}


_NAMES_A_MOMENT = re.compile(
    r"([_\W](?i:at|time|date|datetime|timestamp|ts)|[a-z](At|Time|Date|Timestamp)|时间|日期)$",
)
"""Names such as `played_at` and `pickup_time`: the time of an event, where a table has but one."""


def names_a_moment(name: str) -> bool:
    """Whether a column is called as if it said when an event was."""
    known = {plain(n) for n in ("timestamp", *SYNONYMS["timestamp"], "day")}
    return plain(name) in known or _NAMES_A_MOMENT.search(name) is not None


_OTHER_DATES = re.compile(
    r"birth|born|dob\b|expir|until|due|valid|deadline|releas|publish|since|"
    r"出生|生日|到期|有效|截止|发布|出版",
    re.IGNORECASE,
)
"""Names of dates that are none of events."""


def names_another_date(name: str) -> bool:
    """Whether a column is called as if it said when something else was: a birth, a release."""
    return _OTHER_DATES.search(name) is not None


def plain(name: str) -> str:
    """A column name without case, spaces and punctuation: `Customer ID`, `customer_id` and
    `customerId` are one.
    """
    return bare(name)


_AT_HOME = {
    plain(name)
    for names in itertools.chain(SYNONYMS.values(), LESS_LIKELY.values())
    for name in names
}
"""English and Chinese names, which tell no further language."""


def spoken(columns: Sequence[str]) -> str | None:
    """The further language that names of columns are in; None where they are in none."""
    return language_of([c for c in columns if plain(c) not in _AT_HOME])


STAND_IN_COLUMNS = {plain(name) for name in itertools.chain(*STAND_INS.values())}
"""Their columns, as `plain` has them."""


def rename(
    columns: Sequence[str],
    table: str,
    place: str,
    mapping: Mapping[str, str] | None = None,
    synonyms: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, str]:
    """Decide which columns to rename to their canonical names: `{column in the file: canonical
    name}`.

    A mapping `{canonical: column}` goes first, then the column of that very name, then synonyms in
    their order.

    Args:
        table: `interactions`, `items`, `users`, `friends` or `searches`.
        place: file or table, for the error.
        synonyms: further names by canonical name, from a domain pack.

    Raises:
        BadInput: if a mapped column is not there, or an id column cannot be found.
    """
    mapping = dict(mapping or {})
    for name, column in mapping.items():
        if column not in columns:
            raise BadInput(
                f"{place}: the mapping says {name} = {column!r}, but the columns are "
                f"{_listed(columns)}"
            )
    names = {column: name for name, column in mapping.items()}
    by_plain, further_names = {plain(c): c for c in reversed(columns)}, names_in(spoken(columns))
    for name in CANONICAL[table]:
        if name in mapping or name in columns:
            continue
        is_own = {"items": "item_id", "users": "user_id"}.get(table) == name
        own_id = ("id", "编号") if is_own else ()
        further = (*own_id, *LESS_LIKELY.get(name, ()))
        for synonym in (
            *(synonyms or {}).get(name, ()),
            *SYNONYMS.get(name, ()),
            *further,
            *further_names.get(name, ()),
            name,
        ):
            found = by_plain.get(plain(synonym))
            if found is not None and found not in names and found not in CANONICAL[table]:
                names[found] = name
                break
    if "timestamp" in CANONICAL[table] and "timestamp" not in {names.get(c, c) for c in columns}:
        moments = [c for c in columns if c not in names and _NAMES_A_MOMENT.search(c)]
        moments = [c for c in moments if not names_another_date(c)]
        if len(moments) == 1:
            names[moments[0]] = "timestamp"
    present = {names.get(c, c) for c in columns}
    for name in NEEDED[table]:
        if name not in present and table not in MAPPED:
            listed = _listed(columns)
            raise BadInput(f"{place}: no column {name!r} among {listed}; rename the one that is")
        if name not in present:
            raise BadInput(
                f"{place}: no column {name!r} among {_listed(columns)}; rename one, or map it in "
                f'a TOML file, under [[sources]]: {MAPPED[table]} = {{ {name} = "..." }}'
                + _no_names(columns, table)
                + _shape(columns, table)
            )
    # A canonical name that is mapped from elsewhere must not appear twice.
    names.update(
        {
            c: f"{c}{AS_GIVEN}"
            for c in columns
            if c in mapping and mapping[c] != c and c not in names
        }
    )
    return {c: n for c, n in names.items() if c != n}


def key_of(
    columns: Sequence[str], key: str, synonyms: Mapping[str, Sequence[str]] | None = None
) -> str | None:
    """The column of ids of users (`user_id`) or items (`item_id`) by its name; None where none is
    called so. A table's own `id` is none.
    """
    named = [c for c in columns if plain(c) != "id"]
    table = "users" if key == "user_id" else "items"
    if key in named:
        return key
    try:
        names = rename(named, table, "", None, synonyms)
    except BadInput:
        return None
    return next((column for column, name in names.items() if name == key), None)


SUFFIXES = {
    "value": ("rating", "ratings", "stars"),
    "title": ("title",),
    "author": ("author",),
    "user_id": ("userid",),
}
"""Endings of names that say what a column is where no name does: `Book-Rating`, `Song Title`."""
NO_RATING = ("avg", "average", "mean", "num", "number", "count", "total", "max", "min", "age")
"""Beginnings of names of ratings that no user gave."""


def renamed(
    columns: Sequence[str],
    table: str,
    place: str,
    mapping: Mapping[str, str] | None = None,
    synonyms: Mapping[str, Sequence[str]] | None = None,
) -> tuple[dict[str, str], list[Finding]]:
    """As `rename`, and also by how a name ends, which is said."""
    guesses = _guesses(columns, table, {**(mapping or {})}, synonyms or {})
    names = rename(
        columns,
        table,
        place,
        mapping,
        {**(synonyms or {}), **{n: (c,) for n, c in guesses.items()}},
    )
    findings = [
        Finding(
            rule="columns",
            rows=0,
            action="noted",
            why=f"column {column!r} of {place} was read as {name}",
            table=table,
        )
        for name, column in guesses.items()
        if names.get(column) == name
    ]
    return names, findings + _stand_ins(names, table, place, mapping or {})


def _stand_ins(
    names: Mapping[str, str], table: str, place: str, mapping: Mapping[str, str]
) -> list[Finding]:
    """What to say where something that stands for a user is read as one."""
    column = next((c for c, name in names.items() if name == "user_id"), None)
    if table != "interactions" or column is None or "user_id" in mapping:
        return []
    names_of = {n: {plain(name) for name in known} for n, known in STAND_INS.items()}
    noun = next((n for n, known in names_of.items() if plain(column) in known), None)
    if noun is None:
        return []
    why = (
        f"each {noun} is read as a user: no other column of {place} than {column!r} says who "
        f"acted, so a user of several is several users with few events each; if another does, "
        f'say so in a TOML file (columns = {{ user_id = "..." }})'
    )
    return [Finding(rule="columns", rows=0, action="noted", why=why)]


_DEGREES = {
    "latitude": re.compile(r"[_\W]lat(itude)?$|[a-z]Lat(itude)?$"),
    "longitude": re.compile(r"[_\W](lon|lng|long|longitude)$|[a-z](Lon|Lng|Long|Longitude)$"),
}
"""Endings of names of degrees: `home_lat`, `pickupLng`."""


def _degrees(columns: Sequence[str], table: str, mapping: Mapping[str, str]) -> dict[str, str]:
    """The one pair of columns that are called like degrees of a place, where none is called so
    alone.
    """
    taken = {plain(n) for name in _DEGREES for n in (name, *SYNONYMS[name])}
    if "latitude" not in CANONICAL[table] or taken & {plain(c) for c in columns}:
        return {}
    found = {name: [c for c in columns if form.search(c)] for name, form in _DEGREES.items()}
    if set(mapping) & set(found) or any(len(one) != 1 for one in found.values()):
        return {}
    return {name: one[0] for name, one in found.items()}


def _guesses(
    columns: Sequence[str],
    table: str,
    mapping: Mapping[str, str],
    synonyms: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    found = _degrees(columns, table, mapping)
    for name, endings in SUFFIXES.items():
        known = {plain(s) for s in (name, *SYNONYMS.get(name, ()), *synonyms.get(name, ()))}
        if name not in CANONICAL[table] or name in mapping or known & {plain(c) for c in columns}:
            continue
        ending = [c for c in columns if plain(c).endswith(endings)]
        ending = [c for c in ending if name != "value" or not plain(c).startswith(NO_RATING)]
        if len(ending) == 1 and ending[0] not in mapping.values():
            found[name] = ending[0]
    return found | _known_by_title(columns, table, mapping, synonyms)


def _known_by_title(
    columns: Sequence[str],
    table: str,
    mapping: Mapping[str, str],
    synonyms: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    """The one column of titles of events whose items have no ids."""
    further = names_in(spoken(columns))
    ids = ("item_id", *SYNONYMS["item_id"], *LESS_LIKELY["item_id"], *further.get("item_id", ()))
    ids = (*ids, *synonyms.get("item_id", ()))
    present = {plain(c) for c in columns}
    if table != "interactions" or "item_id" in mapping or present & {plain(n) for n in ids}:
        return {}
    titles = {plain(n) for n in ("title", *LESS_LIKELY["title"], *further.get("title", ()))}
    found = [c for c in columns if plain(c) in titles and c not in mapping.values()]
    return {"item_id": found[0]} if len(found) == 1 else {}


_OF_ANOTHER = re.compile(
    r"(order|invoice|basket|cart|ticket|receipt|booking|transaction|session|visit|cheque|bill)"
    r"(id|no|nr|number|code|key|ref|uuid)?$"
    r"|(订单|单据|发票|小票|票据|会话|交易)(id|编号|编码|号|号码)$"
)
"""Keys of another table, such as of orders, as `plain` has them."""


def _no_names(columns: Sequence[str], table: str) -> str:
    """What to do where the first line looks like a row rather than names."""
    number = r"[\d.,:/ TZ+-]*\d[\d.,:/ TZ+-]*(_\d+)?"  # or a moment
    if not any(re.fullmatch(number, c.strip()) for c in columns):
        return ""
    setting = {"items": "item_names", "users": "user_names"}.get(table, "names")
    return (
        "; the first line looks like a row, not like names: add a line of names, or say them in a "
        f'TOML file ({setting} = ["user_id", "item_id", ...])'
    )


def _shape(columns: Sequence[str], table: str) -> str:
    """What to do where a table has another shape than a row each."""
    if table == "interactions" and any(_OF_ANOTHER.match(plain(c)) for c in columns):
        return (
            "; if another table says who acted, or on what (orders and their lines), put both into "
            "one folder: they are joined by the key that both have"
        )
    if len(columns) == 1:
        return "; cells are parted by commas, tabs, semicolons or bars"
    known = {plain(s) for s in ("user_id", *SYNONYMS["user_id"], "item_id", *SYNONYMS["item_id"])}
    counted = [re.sub(r"\d+$", "#", c) for c in columns[1:]]
    is_counted = len(counted) > 2 and len(set(counted)) == 1 and counted[0].endswith("#")
    if table == "interactions" and (len(columns) > MATRIX or is_counted):
        if not columns[0] or plain(columns[0]) in known:
            return (
                "; if each column is an item and each cell what a user said of it, make a row of "
                "each cell first (melt in pandas, unpivot in polars)"
            )
    return ""


def _listed(columns: Sequence[Any], most: int = 12) -> str:
    shown = ", ".join(repr(str(c)) for c in columns[:most])
    return f"{shown}, ... ({len(columns)} columns)" if len(columns) > most else shown or "(none)"

"""Canonical names of columns and their synonyms."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from metarec.data.names.traditional import with_traditional

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
        "subject_id",
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
        *"utc_time utc_timestamp utc_datetime".split(),
        "invoice_date",
        "transaction_timestamp",
        *"时间 时间戳 日期 发生时间 行为时间 操作时间".split(),
        *"创建时间 下单时间 交易时间".split(),
    ),
    "value": ("rating", "ratings", "score", "stars", "overall", "评分", "打分", "星级"),
    "kind": (
        *"event evt".split(),
        "txn_type",
        "transaction_type",
        "interaction_type",
        "activity_type",
        "event_type",
        "action",
        "behavior",
        "behaviour",
        "behavior_type",
        "behaviour_type",
        "event_name",
        "behavior_name",
        "behaviour_name",
        "action_type",
        "action_name",
        "interaction",
        "activity",
        *"verb_id verb_display".split(),
        *"行为 行为类型 行为名称 操作 操作类型 动作 互动类型 互动行为 业务类型".split(),
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
        *"user_b user_b_id friend_user_id following_id followed_id followee".split(),
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
"""Synonyms understood without a mapping, in any case and with any spaces or underscores."""

USER_NOUNS = tuple(
    "user customer client member student learner pupil trainee patient reader viewer listener "
    "subscriber passenger traveler traveller guest driver courier carrier buyer shopper employee "
    "worker applicant candidate player gamer donor tenant resident citizen investor trader "
    "borrower cardholder visitor participant person account cust household collector "
    "rider reviewer patron athlete respondent backer bidder swiper rater voter profile "
    "observer policyholder critic analyst eater booker".split()
)
"""English nouns for users."""
ITEM_NOUNS = tuple(
    "item product prod sku article movie film book song track course lesson video show game app "
    "news post recipe dish restaurant hotel property listing apartment venue poi place "
    "destination attraction treatment medication medicine drug therapy exercise load "
    "shipment freight parcel job vacancy offer fund stock security instrument artist album "
    "podcast episode content document material module program programme tour flight train room "
    "vehicle car part service creative ad banner campaign anime manga beer wine "
    "workshop webinar clinic lane meal feature concept question swipee ratee vaccine "
    "procedure style species repo repository quiz asset".split()
)
"""English nouns for items."""
CHINESE_USER_NOUNS = with_traditional(
    "用户 客户 顾客 会员 学员 学生 读者 患者 病人 买家 司机 骑手 "
    "乘客 旅客 游客 观众 听众 玩家 员工 求职者 候选人 居民 业主 "
    "投资者 投资人 持卡人 粉丝 访客 账户 账号 "
    "回答者 评论者 评价者 评价人 下单人 购买人 购买者 使用者 消费者 参与者 受访者 "
    "填写人 答题人 参观者 求职人 投递人 捐赠人 住客".split()
)
"""Chinese nouns for users."""
CHINESE_ITEM_NOUNS = with_traditional(
    "商品 物品 产品 货品 宝贝 课程 文章 视频 短视频 作品 帖子 笔记 电影 影片 "
    "剧集 歌曲 音乐 专辑 歌手 播客 图书 书籍 商户 商家 店铺 门店 店 "
    "餐厅 饭店 酒店 民宿 房源 景点 景区 地点 场所 场馆 药品 药物 "
    "菜品 菜谱 食谱 菜 书 职位 岗位 基金 股票 理财产品 游戏 应用 "
    "展品 展览 客房 充电桩 "
    "新闻 资讯 节目 货源 货物 运单 航班 车型 套餐 优惠券 广告 项目 微博 动态 直播间".split()
)
"""Chinese nouns for items."""
_COUNTED_WITHIN = ("track", "episode", "lesson", "module", "place", "content", "post", "stock")
"""Nouns whose `number` is a position or a count rather than an id."""
_NO_NAME_ALONE = (
    *"stock service style content program programme offer account campaign train part room".split(),
)
"""Nouns that are too ambiguous to name an id column without an ending."""


def _keys(nouns: Sequence[str]) -> tuple[str, ...]:
    """Return names of id columns made of nouns: with a word for id first, then the noun alone."""
    ids = [
        f"{noun}_{end}"
        for end in ("id", "code", "key", "uid", "uuid", "ref", "reference", "uri", "barcode")
        for noun in nouns
    ]
    ids += [f"id_{noun}" for noun in nouns]
    numbers = [
        f"{noun}_{end}"
        for end in ("number", "no", "nr")
        for noun in nouns
        if noun not in _COUNTED_WITHIN
    ]
    ids = [name for name in ids if name != "post_code"]  # an address
    return (*ids, *numbers, *(noun for noun in nouns if noun not in _NO_NAME_ALONE))


def _chinese(nouns: Sequence[str], endings: str) -> tuple[str, ...]:
    """Return names made of a noun and an ending, in the order of the endings."""
    return tuple(f"{noun}{end}" for end in with_traditional(endings.split()) for noun in nouns)


_CHINESE_IDS = "id 编号 编码 代码 号 号码 序号 账号"


NAME_ENDINGS = ("name", "full_name", "display_name", "username", "nickname")
CHINESE_NAME_ENDINGS = "昵称 姓名 名称 名字"
"""Endings of columns of user names, which several users may share."""
_NAMED = (
    *"user customer client member student learner patient reader viewer listener".split(),
    *"subscriber guest buyer shopper player rider profile reviewer athlete respondent".split(),
)
"""Nouns for users who may be identified by their names alone."""


STAND_INS = {
    "session": ("session_id session_key session_uuid session_code 会话 会话id 会话编号".split()),
    "device": "device_id device_key device_uuid device_code device_no 设备id 设备号".split(),
    "cookie": "cookie_id cookie_key cookie_uuid cookie".split(),
    "visit": "visit_id visit_key visit_uuid".split(),
}
"""Noun -> names of columns that stand in for users where no column identifies users."""
CARRIERS = ("carrier", "courier")
"""Names of columns of who brings what somebody else bought, or, alone, of who takes loads."""
LESS_LIKELY: dict[str, tuple[str, ...]] = {
    "user_id": (
        *(name for name in _keys(USER_NOUNS) if name not in CARRIERS),
        "account",
        *_chinese(CHINESE_USER_NOUNS, f"{_CHINESE_IDS} 证号 卡号"),
        *with_traditional(("借书证号", "借阅证号", "图书证号")),
        *CHINESE_USER_NOUNS,
    ),
    "item_id": (
        "lineitem_sku",
        *"product_sku item_sku article_sku ean gtin upc ndc".split(),
        "isin",
        *_keys(ITEM_NOUNS),
        "symbol",
        "ticker",
        *_chinese(CHINESE_ITEM_NOUNS, _CHINESE_IDS),
        *CHINESE_ITEM_NOUNS,
        *"class_id class_code bookmark_id segment_id route_id site_id matnr mms_id".split(),
        *"station_id medication_codeable_concept_code codigo_nacional código_nacional".split(),
    ),
    "title": (
        *"lineitem_name title_name content_title work_title".split(),
        *(f"{noun}_{end}" for noun in ITEM_NOUNS for end in ("name", "title")),
        *_chinese((*CHINESE_ITEM_NOUNS, "片", "歌"), "名称 名字 名 标题"),
    ),
    "timestamp": ("at", *"erdat audat fkdat budat bldat".split()),  # the latter in SAP
    "text": _chinese((*CHINESE_ITEM_NOUNS, "内容", "剧情"), "描述 简介 介绍 详情"),
    "categories": (
        *(f"{noun}_{end}" for noun in ITEM_NOUNS for end in ("category", "genre", "genres")),
        *_chinese(CHINESE_ITEM_NOUNS, "类别 类目 分类 类型 品类 标签"),
    ),
}
"""Synonyms of second choice, used where none of `SYNONYMS` is there."""
AT_LAST = {
    "user_id": (
        *"username user_name user_full_name login user_pseudo_id distinct_id".split(),
        *"email email_address e_mail 邮箱 eposta e_posta e_posta_adresi courriel".split(),
        *"correo correo_electrónico email_adresse メールアドレス".split(),
        *"이메일 электронная_почта".split(),
        *(f"{noun}_email" for noun in USER_NOUNS),
        *(f"{noun}_{end}" for end in NAME_ENDINGS for noun in _NAMED),
        *_chinese(CHINESE_USER_NOUNS, CHINESE_NAME_ENDINGS),
        *"买家会员名 会员名 买家名 顾客名 客户名".split(),
        *"prolific_pid participant_pid loyalty_card card_number".split(),
        *"external_id external_user_id".split(),
        *"nhs_number mrn medical_record_number anon_id anonymous_id actor_did".split(),
        *"openid open_id unionid union_id user_profile_id kunnr".split(),
        *"primary_identifier user_primary_identifier actor_mbox actor_account_name".split(),
        *"subject_reference patient_reference".split(),
        *"recipient_id steamid steam_id actor_id actor_login".split(),
        *"from_email_address billing_email msisdn card_no loyalty_no loyalty_number".split(),
        "requester",
        *CARRIERS,
        *itertools.chain(*STAND_INS.values()),
    ),
    "item_id": tuple("object_id barcode swiped job_requisition requisition_id".split()),
}
"""Synonyms of last choice, used where no other name matches in any language."""
FIRST_FRIEND = (
    *"from_user from_user_id source_user_id user1 user_id_1 user1_id user_a user_a_id".split(),
    *"follower_id follower requester_id 关注者 关注者id 粉丝id".split(),
)
"""Names of the first user of a pair, in a table of friends only."""
HAPPENINGS = ("eventid", "eventcode", "eventref", "eventno", "eventnumber", "eventkey")
"""Names of ids of attended events or of log records, as `plain` returns them."""
MATRIX = 8
"""Number of columns above which a table without item ids may have one column per item."""
NEEDED = {
    "interactions": ("user_id", "item_id"),
    "items": ("item_id",),
    "users": ("user_id",),
    "friends": ("user_id", "friend_id"),
    "searches": ("user_id", "query"),
}
MAPPED = {"interactions": "columns", "items": "item_columns", "users": "user_columns"}
"""Table -> setting of a TOML file that maps its columns."""
CANONICAL = {
    "interactions": ("user_id", "item_id", "timestamp", "value", "kind"),
    "items": tuple("item_id title text categories year author latitude longitude".split()),
    "users": ("user_id", "latitude", "longitude"),
    "friends": ("user_id", "friend_id", "weight"),
    "searches": ("user_id", "query", "timestamp"),
}


def plain(name: str) -> str:
    """Normalize a column name: lower case, without spaces, punctuation and text in brackets at its
    end. `Customer ID`, `customer_id` and `customerId` become equal, as do `Rating (1-5)` and
    `rating`.
    """
    bare = _IN_BRACKETS.sub("", name)
    return re.sub(r"[\W_]+", "", (bare if bare.strip() else name).lower())


_IN_BRACKETS = re.compile(r"\s*[(（][^()（）]*[)）]\s*$")


SYNONYMS |= {name: with_traditional(names) for name, names in SYNONYMS.items()}
AT_HOME = {
    plain(name)
    for names in itertools.chain(SYNONYMS.values(), LESS_LIKELY.values(), AT_LAST.values())
    for name in names
}
"""English and Chinese names, which are no evidence for another language."""


STAND_IN_COLUMNS = {plain(name) for name in itertools.chain(*STAND_INS.values())}
"""Names of the columns in `STAND_INS`, as `plain` returns them."""
RATED_BY_OTHERS = (
    *("interviewer", "recruiter", "supervisor", "examiner", "grader", "critic", "expert"),
    "editor",
)
"""Beginnings of names of ratings by professionals, which are not a user's."""

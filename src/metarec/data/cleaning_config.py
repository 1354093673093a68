"""Settings of the cleaning rules: which rules run and how strict they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, cast

from metarec.data.arguments import ids_of
from metarec.data.errors import BadInput

CANCELLING = {
    "remove_from_cart": "cart",
    "removefromcart": "addtocart",
    "unlike": "like",
    "unbookmark": "bookmark",
    "unfollow": "follow",
    "unfavorite": "favorite",
    "unenrol": "enrol",
    "unenroll": "enroll",
    "return": "purchase",
    "refund": "purchase",
    "cancel": "order",
    "取消收藏": "收藏",
    "取消点赞": "点赞",
    "取消关注": "关注",
    "移出购物车": "加购",
    "退货": "购买",
    "退款": "购买",
    "取消订单": "下单",
}


@dataclass(frozen=True, kw_only=True)
class CleaningConfig:
    """Settings of cleaning. The defaults remove only events that no human can have meant."""

    without_users: tuple[str, ...] = ()
    """Ids of users to leave out, such as bots and test accounts."""
    most_unreadable: float = 0.2
    """Above this share of rows that cannot be read as events, in [0, 1], the file is refused rather
    than cleaned.
    """
    impossible_values: bool = True
    """Remove events whose value is NaN or infinite."""
    stray_values: bool = True
    """Remove ratings far from a scale that at least 99.5% of all ratings keep to (a 99 among 1 to
    5).
    """
    value_scale: tuple[float, float] | None = None
    """Smallest and largest rating allowed; None finds the scale in the data."""
    not_rated: tuple[float, ...] = ()
    """Values that stand for "not rated" (99 in Jester); such rows are no events and are removed."""
    implicit_values: tuple[float, ...] = ()
    """Values that stand for an event without a rating (0 in Book-Crossing)."""
    time_units: bool = True
    """Convert times to seconds since 1970: milli-, micro- and nanoseconds, and counts of other
    clocks (days of spreadsheets, ticks of .NET).
    """
    impossible_times: bool = True
    """Remove events without a time, at or before 1970, or from the future, each where at most 5% of
    events are such; and events whose time stands for "never" (9999-12-31), up to half of all.
    """
    now: float | None = None
    """Seconds since 1970 after which a time lies in the future; None: a day after the moment of
    cleaning.
    """
    duplicates: bool = True
    """Remove rows equal in every column (without times, or with times in whole minutes or coarser
    units: ratings only, since a purchase may be repeated).
    """
    repeats: Literal["auto", "keep", "first", "last"] = "auto"
    """Which event of the same user, item and kind stays; auto: the last rating, and all implicit
    events.
    """
    cancelled: bool = True
    """Remove pairs of an event and the event that reverts it (like and unlike). Where no other
    event of the two kinds is left of a user and an item, a reverting event that is negative (a
    return) stays.
    """
    cancelling: Mapping[str, str] = field(default_factory=lambda: dict(CANCELLING))
    """Reverting kind -> reverted kind."""
    fleeting_kinds: tuple[str, ...] = (
        "view",
        "click",
        "impression",
        "play",
        "search",
        "page_view",
        "pageview",
    )
    """Kinds that cost a user no effort; the rules on double clicks and bursts apply to these only.
    """
    double_click_seconds: float = 1.0
    """Fleeting events of one user, item and kind at most this many seconds apart count once; 0
    switches the rule off.
    """
    burst_events: int = 20
    """Fleeting events of a user in a second with more than this many are removed, all of them; 0
    switches the rule off.
    """
    bot_events_per_hour: int = 3600
    """A user with more events than this in any one hour (one a second, for an hour) is a bot; 0
    switches the rule off.
    """
    clockwork_events: int = 100
    """A user with at least this many gaps between events (above 0 s) whose standard deviation is
    below 10% of their mean is a bot; 0 switches the rule off.
    """
    sleepless_hours: int = 72
    """A user with events in each of this many consecutive hours (72 are three days) is a bot, or an
    account of many humans; 0 switches the rule off.
    """
    unknown_items: Literal["auto", "add", "drop", "keep"] = "auto"
    """Events on items that the item table does not list: "add" the items without content, "drop"
    the events, or "keep" events and table as they are; "auto" drops up to a tenth of all events and
    adds the items above that share, since the table is then plainly incomplete.
    """
    k_core: int = 0
    """Keep only users and items with at least this many events each, repeatedly; 0 switches the
    rule off.
    """
    cold_below: int = 5
    """Users and items with fewer events are cold; the report counts them, cleaning keeps them."""

    def __post_init__(self) -> None:
        if not 0 <= self.most_unreadable <= 1:
            raise BadInput(
                f"most_unreadable is a share and must lie in [0, 1], got {self.most_unreadable}"
            )
        for name in (
            "double_click_seconds",
            "burst_events",
            "bot_events_per_hour",
            "clockwork_events",
            "sleepless_hours",
            "k_core",
            "cold_below",
        ):
            if getattr(self, name) < 0:
                raise BadInput(f"{name} must be 0 or more, got {getattr(self, name)}")
        for name, allowed in (
            ("repeats", ("auto", "keep", "first", "last")),
            ("unknown_items", ("auto", "add", "drop", "keep")),
        ):
            if getattr(self, name) not in allowed:
                raise BadInput(
                    f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}"
                )
        for name in ("not_rated", "implicit_values"):
            if not all(isinstance(v, int | float) for v in getattr(self, name)):
                raise BadInput(f"{name} lists numbers, got {getattr(self, name)}")
        object.__setattr__(
            self, "without_users", tuple(ids_of("without_users", self.without_users))
        )
        if self.value_scale is not None and not self.value_scale[0] < self.value_scale[1]:
            raise BadInput(f"value_scale must be (smallest, largest), got {self.value_scale}")

    @classmethod
    def of(cls, settings: Mapping[str, Any], place: str) -> CleaningConfig:
        """From a table of settings in a TOML file.

        Raises:
            BadInput: if a setting is unknown, or has the wrong type or size.
        """
        names = {f.name for f in fields(cls)}
        for name in settings:
            if name not in names:
                raise BadInput(
                    f"{place}: no cleaning setting {name!r}; there are {', '.join(sorted(names))}"
                )
        values = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in settings.items()
        }
        for name in {"not_rated", "implicit_values"} & set(values):
            values[name] = values[name] if isinstance(values[name], tuple) else (values[name],)
        try:
            return cls(**cast("dict[str, Any]", values))
        except TypeError as error:
            raise BadInput(f"{place}: a cleaning setting has the wrong type: {error}") from error


OFF = CleaningConfig(
    impossible_values=False,
    stray_values=False,
    time_units=False,
    impossible_times=False,
    duplicates=False,
    repeats="keep",
    cancelled=False,
    double_click_seconds=0,
    burst_events=0,
    bot_events_per_hour=0,
    clockwork_events=0,
    sleepless_hours=0,
    unknown_items="keep",
)
"""Settings that switch off every rule that can be switched off."""

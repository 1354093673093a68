"""The current tables of the store; `migrations.py` has the steps that create them."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _number(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=False)


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=True)


events = sa.Table(
    "events",
    metadata,
    sa.Column(
        "sequence",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        sa.Identity(),
        primary_key=True,
    ),
    _text("event_id"),
    _text("user_id"),
    _text("item_id"),
    _number("timestamp"),
    _text("kind"),
    sa.Column("value", sa.Double),
    sa.Column("slate_id", sa.Text),
    sa.Column("context", sa.Text),
    sa.Column("query", sa.Text),  # of a search; its item_id is empty
    sa.Column("copy_key", sa.Text),  # null if the time was not stated; see `Event.copy_key`
    sa.UniqueConstraint("user_id", "event_id"),
    sa.UniqueConstraint("user_id", "copy_key"),
)

slates = sa.Table(
    "slates",
    metadata,
    _key("slate_id"),
    _text("user_id"),
    _number("timestamp"),
    _text("model_version"),
    sa.Column("n_support", sa.Integer, nullable=False),
    _text(
        "shown"
    ),  # JSON: {"item_ids": [], "scores": [], "propensity": []}; one row a slate keeps writes few
    sa.Column("experiment", sa.Text),  # null with `arm` for slates outside experiments
    sa.Column("arm", sa.Text),
)

items = sa.Table(
    "items",
    metadata,
    _key("item_id"),
    _text("attributes"),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("is_deleted", sa.Integer, nullable=False),
)

users = sa.Table(
    "users",
    metadata,
    _key("user_id"),
    _text("profile"),
)

friends = sa.Table(
    "friends",
    metadata,
    _key("user_id"),
    _key("friend_id"),
    _number("weight"),
)

facts = sa.Table(
    "facts",
    metadata,
    _key("name"),
    _text("value"),
)

forgotten = sa.Table(
    "forgotten",
    metadata,
    _key("receipt_id"),
    _text("digest"),
    _number("timestamp"),
    sa.Column("rows_deleted", sa.Integer, nullable=False),
    sa.Column("left_model_at", sa.Double),
    sa.Column("erased_at", sa.Double),
)

merges = sa.Table(
    "merges",
    metadata,
    _key("digest"),  # of the merged id
    _text("user_id"),
    _number("timestamp"),
)

experiments = sa.Table(
    "experiments",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("status", sa.Text, nullable=False),  # `running` of at most one
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("ended_at", sa.Double),
    sa.Column("plan", sa.Text, nullable=False),  # JSON: everything; see `Experiment`
)

exposures = sa.Table(  # a user's arm and outcomes until the window closes
    "exposures",
    metadata,
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("experiment", sa.Text, primary_key=True),
    sa.Column("arm", sa.Text, nullable=False),
    sa.Column("is_new", sa.Integer, nullable=False),
    sa.Column("closes_at", sa.Double, nullable=False),
    sa.Column("is_closed", sa.Integer, nullable=False, server_default="0"),
    sa.Column("is_crossed", sa.Integer, nullable=False, server_default="0"),  # saw two arms
    sa.Column("to_count", sa.Integer, nullable=False, server_default="1"),
    sa.Column("slates", sa.Integer, nullable=False, server_default="0"),
    sa.Column("clicks", sa.Integer, nullable=False, server_default="0"),
    sa.Column("conversions", sa.Integer, nullable=False, server_default="0"),
    sa.Column("reward", sa.Double, nullable=False, server_default="0"),
    sa.Column("refusals", sa.Integer, nullable=False, server_default="0"),
)

arm_answers = sa.Table(  # slates made, by latency bucket; see `arm_health.py`
    "arm_answers",
    metadata,
    sa.Column("experiment", sa.Text, primary_key=True),
    sa.Column("arm", sa.Text, primary_key=True),
    sa.Column("bucket", sa.Integer, primary_key=True),
    sa.Column("answers", sa.BigInteger, nullable=False),
)

"""The store's tables as they are now; `migrations.py` says how they came to be."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

events = sa.Table(
    "events",
    metadata,
    sa.Column(
        "sequence",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        sa.Identity(),
        primary_key=True,
    ),
    sa.Column("event_id", sa.Text, nullable=False),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("item_id", sa.Text, nullable=False),
    sa.Column("timestamp", sa.Double, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("slate_id", sa.Text),
    sa.Column("context", sa.Text),
    sa.Column("query", sa.Text),  # of a search, whose item_id is empty
    sa.Column("copy_key", sa.Text),  # null where the time was made up; see `Event.copy_key`
    sa.UniqueConstraint("user_id", "event_id"),
    sa.UniqueConstraint("user_id", "copy_key"),
)

slates = sa.Table(
    "slates",
    metadata,
    sa.Column("slate_id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("timestamp", sa.Double, nullable=False),
    sa.Column("model_version", sa.Text, nullable=False),
    sa.Column("shots", sa.Integer, nullable=False),
    sa.Column(
        "shown", sa.Text, nullable=False
    ),  # JSON: {"item_ids": [], "scores": [], "propensity": []}; one row a slate keeps writes few
    sa.Column("experiment", sa.Text),  # null with `arm` for slates outside experiments
    sa.Column("arm", sa.Text),
)

items = sa.Table(
    "items",
    metadata,
    sa.Column("item_id", sa.Text, primary_key=True),
    sa.Column("attributes", sa.Text, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("is_deleted", sa.Integer, nullable=False),
)

users = sa.Table(
    "users",
    metadata,
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("profile", sa.Text, nullable=False),
)

friends = sa.Table(
    "friends",
    metadata,
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("friend_id", sa.Text, primary_key=True),
    sa.Column("weight", sa.Double, nullable=False),
)

facts = sa.Table(
    "facts",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

forgotten = sa.Table(
    "forgotten",
    metadata,
    sa.Column("receipt_id", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("timestamp", sa.Double, nullable=False),
    sa.Column("rows_deleted", sa.Integer, nullable=False),
    sa.Column("left_model_at", sa.Double),
    sa.Column("erased_at", sa.Double),
)

merges = sa.Table(
    "merges",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),  # of the id that was given up
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("timestamp", sa.Double, nullable=False),
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

exposures = sa.Table(  # a user in an experiment, and what they did until they are closed
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

arm_answers = sa.Table(  # slates answered, by how long they took; see `arm_health.py`
    "arm_answers",
    metadata,
    sa.Column("experiment", sa.Text, primary_key=True),
    sa.Column("arm", sa.Text, primary_key=True),
    sa.Column("bucket", sa.Integer, primary_key=True),
    sa.Column("answers", sa.BigInteger, nullable=False),
)

"""From data to inputs of the models: a policy, item and profile columns, text embeddings,
behavior.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from numbers import Real
from typing import Any, cast

import numpy as np
import polars as pl

from metarec.data.arguments import check_type, shown
from metarec.data.cold_users import Horizon, choose_horizon
from metarec.data.dataset import Dataset
from metarec.data.domains import DEFAULT_POLICY, Policy, policy_of
from metarec.data.frames import id_order
from metarec.data.schema import BadInput, Catalog
from metarec.features.behavior import Behavior
from metarec.features.encoders.item_reader import item_reader
from metarec.features.items import ItemInputs
from metarec.features.profiles import ProfileInputs
from metarec.features.text import item_text
from metarec.features.users_in_words import UsersInWords
from metarec.models.registry import REPEAT, context_models
from metarec.models.repeat.model import RepeatConfig, are_wanted
from metarec.recommendation.configs import config_in
from metarec.recommendation.fitted import users_in_words
from metarec.recommendation.fitting.past import Past
from metarec.recommendation.policy.columns import stock_columns
from metarec.recommendation.settings import Settings
from metarec.runtime.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Everything that a fit learns from."""

    data: Dataset
    """The cleaned data, with the policy under which they are recommended."""
    settings: Settings
    catalog: Catalog
    item_inputs: ItemInputs
    profile_inputs: ProfileInputs
    words: UsersInWords
    """How users are written as text."""
    content: np.ndarray
    """[N, C] content columns."""
    text: np.ndarray
    """[N, E] text embeddings."""
    behavior: Behavior
    """Histories, content and profiles, as the scorers are fitted on them."""
    names: tuple[str, ...]
    """Models that take part: those of the settings, and those that these data can teach."""
    version: str
    """Digest of the data, their policy, the settings and the user weights."""

    @classmethod
    def of(
        cls,
        data: Dataset,
        settings: Settings,
        *,
        policy: Policy | str | None,
        horizon: Horizon | None,
        user_weights: Mapping[str, float] | None,
        progress: Progress,
    ) -> Reading:
        """Read cleaned data; arguments as for `Recommender.fit`."""
        named = policy_of(policy) or data.policy
        data = replace(data, policy=named or DEFAULT_POLICY)
        past = Past.of(data, _whole_catalog(data))
        item_inputs, content, text = _read_items(past, settings, progress)
        profile_inputs = ProfileInputs.fit(data.users, past.user_ids)
        words = users_in_words(past.catalog, item_inputs, data.interactions.relevant_from, settings)
        behavior = past.behavior(
            horizon or choose_horizon(past.whole.lengths),
            content,
            profile_inputs,
            words,
            item_template=settings.item_template,
            text=text,
            weights=_weights_of(past.user_ids, user_weights),
        )
        reading = cls(
            data=data,
            settings=settings,
            catalog=past.catalog,
            item_inputs=item_inputs,
            profile_inputs=profile_inputs,
            words=words,
            content=content,
            text=text,
            behavior=behavior,
            names=settings.scorers,
            version=_digest(data, settings, behavior.weights),
        )
        return reading._joined(has_policy=named is not None)

    def _joined(self, *, has_policy: bool) -> Reading:
        """Add the models that these data can teach. Without a named policy, the data determine
        whether items may be recommended again.
        """
        repeats = are_wanted(self.behavior, config_in(self.settings.models, RepeatConfig))
        joining = (*((REPEAT,) if repeats else ()), *context_models(self.behavior))
        reading = replace(self, names=(*self.names, *joining))
        if has_policy:
            return reading
        policy = replace(DEFAULT_POLICY, repeats_allowed=repeats)
        return replace(reading, data=replace(self.data, policy=policy))


def _read_items(
    past: Past, settings: Settings, progress: Progress
) -> tuple[ItemInputs, np.ndarray, np.ndarray]:
    """Return the inputs of items (encoder and columns), and their content columns and text
    embeddings for the catalog.
    """
    seen = np.unique(past.events.items)
    liked = past.whole.where(past.whole.values >= past.data.interactions.relevant_from)
    reader = item_reader(
        item_text(past.catalog, settings.item_template),
        settings.encoder,
        liked.matrix(len(past.catalog)),
        rows=seen,
        seed=settings.seed,
        progress=progress,
    )
    frame = past.catalog.frame
    stock = stock_columns(past.data.policy or DEFAULT_POLICY, frame.columns)
    return ItemInputs.fit(
        Catalog(frame=frame.drop(stock)),  # availability today says nothing about taste
        reader=reader,
        template=settings.item_template,
        fit_on=seen,
        seed=settings.seed,
        progress=progress,
    )


def _whole_catalog(data: Dataset) -> Catalog:
    """Return the catalog with every item that events name, in a fixed order: listed items first as
    given, then the others by id.
    """
    unlisted = (
        data.interactions.frame.select("item_id")
        .unique()
        .join(data.items.frame, on="item_id", how="anti")
        .sort(id_order("item_id"))
    )
    return Catalog(frame=pl.concat([data.items.frame, unlisted], how="diagonal"))


def _weights_of(user_ids: Sequence[str], weights: Mapping[str, float] | None) -> np.ndarray | None:
    """[U] float64 user weights with mean 1; unnamed users get the mean of the given weights."""
    if weights is None:
        return None
    check_type("user_weights", weights, Mapping, "weights by user id, such as {'u1': 2.0}")
    wrong = next(
        (
            (user, weight)
            for user, weight in weights.items()
            if not isinstance(cast("Any", weight), Real) or not 0.0 < weight < np.inf
        ),
        None,
    )
    if wrong is not None:
        raise BadInput(
            f"the weight of a user must be above 0 and finite, got {shown(wrong[1])} for "
            f"{wrong[0]!r}; to leave a user out, take them out of the data"
        )
    weights_of_users = np.array([weights.get(user, np.nan) for user in user_ids], np.float64)
    if np.isnan(weights_of_users).all():
        raise BadInput("user_weights names no user of the data; its keys are user ids")
    weights_of_users = np.where(
        np.isnan(weights_of_users), np.nanmean(weights_of_users), weights_of_users
    )
    return np.asarray(weights_of_users / weights_of_users.mean())


def _hash(table: pl.DataFrame) -> int:
    """Hash of the rows, independent of their order."""
    return int(table.hash_rows(seed=0).sum() or 0) if table.width else 0


def _digest(data: Dataset, settings: Settings, weights: np.ndarray | None) -> str:
    """Twelve hexadecimal digits that change with the data, their policy, the settings or the user
    weights.
    """
    relations = (data.relations.friends, data.relations.searches)
    tables = (data.interactions.frame, data.items.frame, data.users.frame, *relations)
    rows = [[*table.columns, _hash(table)] for table in tables]
    more = [] if weights is None else [hashlib.sha256(weights.tobytes()).hexdigest()]
    if data.policy not in (None, DEFAULT_POLICY):
        more.append(repr(data.policy))
    facts = json.dumps(
        [
            asdict(settings),
            data.interactions.kinds.to_dict(),
            len(data.interactions),
            len(data.items),
            rows,
            *more,
        ],
        sort_keys=True,
    )
    return hashlib.sha256(facts.encode()).hexdigest()[:12]

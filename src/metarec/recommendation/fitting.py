"""Fit: from data to everything a recommendation reads."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl

from metarec.data.arguments import check_call, check_type, check_whole, shown
from metarec.data.cleaning import cleaned
from metarec.data.cold_users import Horizon, check_horizon, choose_horizon
from metarec.data.dataset import Dataset, check_data
from metarec.data.domains import DEFAULT_POLICY, Policy, policy_of
from metarec.data.errors import DataWarning
from metarec.data.places import LATITUDE, LONGITUDE
from metarec.data.schema import BadInput, Catalog, id_order
from metarec.features.behaviour import Behaviour
from metarec.features.encoders.item_reader import item_reader
from metarec.features.items import ItemInputs
from metarec.features.profiles import ProfileInputs
from metarec.features.text import item_text
from metarec.models.als import Als
from metarec.models.base import LARGE
from metarec.models.cold_items.config import ColdItemsConfig
from metarec.models.cold_items.reorder import NewItemPlaces
from metarec.models.rating import RatingHead
from metarec.models.rating_kernel import RatingConfig
from metarec.models.registry import PLACE, REPEAT, context_models
from metarec.models.repeat import RepeatConfig, are_wanted
from metarec.recommendation.annotate import LEVEL
from metarec.recommendation.configs import (
    BESIDE,
    COLD_ITEMS,
    RATING,
    REFUSALS,
    config_in,
    configs_of,
)
from metarec.recommendation.conformal import Conformal, cold_users_needed
from metarec.recommendation.ensemble_fit import fit_ensemble
from metarec.recommendation.fitted import FittedModel, users_in_words
from metarec.recommendation.lessons import has_refusals
from metarec.recommendation.past import Past
from metarec.recommendation.policy_columns import stock_columns
from metarec.recommendation.prior import TRANSFERRED, Prior, reads_alike
from metarec.recommendation.retrieve import fit_retrieval
from metarec.recommendation.settings import LEARNS_COLD_ITEMS, Settings
from metarec.recommendation.steps import Steps
from metarec.runtime.jobs import BACKENDS
from metarec.runtime.progress import Progress, silent
from metarec.runtime.rng import derive

MAX_WORKERS = 4096
"""Processes of a fit: more is a slip of the hand."""


def fit(
    data: Dataset,
    settings: Settings,
    *,
    policy: Policy | str | None = None,
    horizon: Horizon | None = None,
    user_weights: Mapping[str, float] | None = None,
    checkpoint: str | Path | None = None,
    workers: int = 1,
    backend: str = "here",
    prior: Prior | None = None,
    progress: Progress = silent,
) -> FittedModel:
    """Learn from everyone's past; arguments as for `Recommender.fit`."""
    _check_arguments(data, horizon, checkpoint, workers, backend, progress)
    settings = replace(settings, models={**configs_of(data.models), **settings.models})
    data = cleaned(data)
    named = policy_of(policy) or data.policy
    data = replace(data, policy=named or DEFAULT_POLICY)
    past = Past.of(data, _whole_catalog(data))
    item_inputs, content, text = _read_items(past, settings, progress)
    profile_inputs = ProfileInputs.fit(data.users, past.user_ids)
    words = users_in_words(past.catalog, item_inputs, data.interactions.relevant_from, settings)
    behaviour = past.behaviour(
        horizon or choose_horizon(past.whole.lengths),
        content,
        profile_inputs,
        words,
        item_template=settings.item_template,
        text=text,
        weights=_weights_of(past.user_ids, user_weights),
    )
    catalog = past.catalog
    del past  # the models need its memory
    version = _digest(data, settings, behaviour.weights)
    repeats = (REPEAT,) if are_wanted(behaviour, config_in(settings.models, RepeatConfig)) else ()
    if named is None:  # then the data say whether what was taken may come again
        data = replace(data, policy=replace(DEFAULT_POLICY, repeats_allowed=bool(repeats)))
    names = (*settings.parts, *repeats, *context_models(behaviour))
    transfer: tuple[str, ...] = ()
    if prior is not None:
        prior.check_shares(names)
        version = hashlib.sha256(f"{version} after {prior.version}".encode()).hexdigest()[:12]
        behaviour, names, transfer = _taught_by(prior, behaviour, names, item_inputs, text)
    steps = Steps.of(checkpoint, version, workers, backend)
    has_cold = learns_cold_items(settings, item_inputs, names)
    is_taught = {
        RATING: data.interactions.has_values,
        COLD_ITEMS: has_cold,
        REFUSALS: has_refusals(behaviour),
    }
    _tell_untaught(settings, (*names, *(name for name in BESIDE if is_taught.get(name, True))))
    ensemble = fit_ensemble(
        behaviour, names, settings.seed, progress, steps, settings.models, prior
    ).with_words(words)
    if prior is not None and ensemble.trial is not None:
        transfer = (ensemble.trial.sentence(prior.source), *transfer)
        prior = prior if ensemble.trial.helps else None
    text = text.astype(np.float16)
    ratings, intervals = (
        _rating_head(behaviour, settings) if data.interactions.has_values else (None, None)
    )
    model = FittedModel(
        settings=settings,
        catalog=catalog,
        training=data,
        horizon=behaviour.horizon,
        policy=data.policy or DEFAULT_POLICY,
        item_inputs=item_inputs,
        profile_inputs=profile_inputs,
        content=content,
        text=text,
        ensemble=ensemble,
        new_items=_new_items(behaviour, text, settings, progress) if has_cold else None,
        ratings=ratings,
        version=version,
        intervals=intervals,
        prior=prior,
        transfer=transfer,
    )
    if len(catalog) < LARGE:
        return model
    retrieval = fit_retrieval(model, behaviour, derive(settings.seed, "retrieval"))
    return replace(model, retrieval=retrieval)


def _check_arguments(
    data: Dataset,
    horizon: Horizon | None,
    checkpoint: str | Path | None,
    workers: int,
    backend: str,
    progress: Progress,
) -> None:
    """Refuse what cannot be fitted, or not so.

    Raises:
        BadInput: naming the argument.
    """
    check_whole("workers", workers, 1, at_most=MAX_WORKERS)
    if not isinstance(backend, str) or backend not in BACKENDS:
        raise BadInput(f"backend must be one of {', '.join(BACKENDS)}, got {shown(backend)}")
    check_data(data)
    check_horizon(horizon)
    check_type("checkpoint", checkpoint, str | PathLike | None, "a folder")
    check_call("progress", progress, "a function of (stage, done, note)")
    _check_size(data)


def _taught_by(
    prior: Prior,
    behaviour: Behaviour,
    names: tuple[str, ...],
    inputs: ItemInputs,
    text: np.ndarray,
) -> tuple[Behaviour, tuple[str, ...], tuple[str, ...]]:
    """What is learned from and by which models, with the taste of a prior where its texts are read
    alike; else with a sentence on why not.
    """
    taught = prior.taste_of(inputs.encoder, text)
    if isinstance(taught, str):
        return behaviour, names, (taught,)
    return replace(behaviour, taste=taught), (TRANSFERRED, *names), ()


def learns_cold_items(settings: Settings, inputs: ItemInputs, names: Sequence[str]) -> bool:
    """Whether a dedicated model orders cold items among themselves: not where all that is known of
    them is where they stand, of which the models of places know more.
    """
    is_placed_only = PLACE in names and set(inputs.columns) <= {LATITUDE, LONGITUDE}
    return settings.preset in LEARNS_COLD_ITEMS and not is_placed_only


def fit_like(
    model: FittedModel,
    data: Dataset,
    seed: int | None,
    horizon: Horizon | None,
    user_weights: Mapping[str, float] | None,
    progress: Progress,
) -> FittedModel:
    """A model's settings and prior, and its policy where `data` have none, fitted on other data."""
    check_data(data)
    return fit(
        data,
        model.settings if seed is None else replace(model.settings, seed=seed),
        policy=data.policy or model.policy,
        horizon=horizon,
        user_weights=user_weights,
        prior=model.prior,
        progress=progress,
    )


def behaviour_of(model: FittedModel) -> Behaviour:
    """What a model's scorers learned from, every user counting the same."""
    return Past.of(model.training, model.catalog).behaviour(
        model.horizon,
        model.content,
        model.profile_inputs,
        users_in_words(model.catalog, model.item_inputs, model.relevant_from, model.settings),
        item_template=model.settings.item_template,
        text=model.text.astype(np.float32),
    )


def prior_of(model: FittedModel) -> Prior:
    """What of a model holds on other data too."""
    check_type("prior", model, FittedModel, "a Recommender (Recommender.load reads one)")
    seen = np.zeros(len(model.catalog), bool)
    seen[model.vocabulary.indexes(model.trained_on["item_id"].unique())] = True
    encoder = model.item_inputs.encoder
    text = model.text if reads_alike(encoder) else model.text[:, :0]
    als = next((m for m in model.ensemble.scorers.values() if isinstance(m, Als)), None)
    if als is None and text.any():  # the preset has none, and taste needs it
        als = Als.fit(behaviour_of(model), derive(model.settings.seed, "taste"))
    return Prior.of(
        source=model.training.name,
        version=model.version,
        als=als,
        gate=model.ensemble.gate,
        encoder=encoder.name,
        text=text,
        seen=seen,
    )


def _read_items(
    past: Past, settings: Settings, progress: Progress
) -> tuple[ItemInputs, np.ndarray, np.ndarray]:
    """What reads items, and its content columns and text embeddings of the catalog."""
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
        Catalog(frame=frame.drop(stock)),  # what can be had today says nothing of taste
        reader=reader,
        template=settings.item_template,
        fit_on=seen,
        seed=settings.seed,
        progress=progress,
    )


def _new_items(
    behaviour: Behaviour, text: np.ndarray, settings: Settings, progress: Progress
) -> NewItemPlaces | None:
    config = cast("ColdItemsConfig | None", settings.models.get(COLD_ITEMS))
    rng = derive(settings.seed, "new items")
    return NewItemPlaces.fit(behaviour, text, rng, progress, config)


def _rating_head(behaviour: Behaviour, settings: Settings) -> tuple[RatingHead, Conformal | None]:
    """The head, and how far its spreads must be stretched; None where too few users could be held
    out to say.
    """
    config = cast("RatingConfig | None", settings.models.get(RATING))
    rng = derive(settings.seed, "ratings")
    head, errors = RatingHead.fit_checked(behaviour, rng, config)
    return head, Conformal.of_errors(errors, LEVEL) if errors.users >= cold_users_needed(
        LEVEL
    ) else None


def _tell_untaught(settings: Settings, names: Sequence[str]) -> None:
    """Note which models are set but have nothing to learn from."""
    for name in settings.models:
        if name not in names:
            told = f"models.{name} is set, but these data cannot teach {name}: it takes no part"
            warnings.warn(told, DataWarning, stacklevel=4)


def _check_size(data: Dataset) -> None:
    frame = data.interactions.frame
    for column, what in (("user_id", "users"), ("item_id", "items")):
        if frame[column].n_unique() < 2:
            raise BadInput(
                f"{frame[column].n_unique()} {what} with events are too few to learn from (2 at "
                f"least); give more events"
            )


def _whole_catalog(data: Dataset) -> Catalog:
    """The catalog with every item that events name, in a fixed order: items of the catalog first as
    given, then the others.
    """
    unlisted = (
        data.interactions.frame.select("item_id")
        .unique()
        .join(data.items.frame, on="item_id", how="anti")
        .sort(id_order("item_id"))
    )
    return Catalog(frame=pl.concat([data.items.frame, unlisted], how="diagonal"))


def _weights_of(user_ids: Sequence[str], weights: Mapping[str, float] | None) -> np.ndarray | None:
    """[U] float64 of mean 1."""
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
    given = np.array([weights.get(user, np.nan) for user in user_ids], np.float64)
    if np.isnan(given).all():
        raise BadInput("user_weights names no user of the data; its keys are user ids")
    given = np.where(np.isnan(given), np.nanmean(given), given)
    return np.asarray(given / given.mean())


def _digest(data: Dataset, settings: Settings, weights: np.ndarray | None) -> str:
    """Twelve hexadecimal digits that change with the data, their policy, the settings or the
    user weights.
    """
    rows = (
        data.interactions.frame.select("user_id", "item_id", "timestamp", "value")
        .hash_rows(seed=0)
        .sum()
    )
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

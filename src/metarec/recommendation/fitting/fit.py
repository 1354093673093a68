"""Fit: from data to a `FittedModel`, which holds all that the stages of a recommendation read."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from metarec.data.arguments import check_type
from metarec.data.cleaning import cleaned
from metarec.data.cold_users import Horizon, check_horizon
from metarec.data.dataset import Dataset, check_data
from metarec.data.domains import DEFAULT_POLICY, Policy
from metarec.data.errors import DataWarning
from metarec.data.places import LATITUDE, LONGITUDE
from metarec.data.schema import BadInput
from metarec.features.behavior import Behavior
from metarec.features.items import ItemInputs
from metarec.models.als import Als
from metarec.models.base import LARGE
from metarec.models.cold_items.config import ColdItemsConfig
from metarec.models.cold_items.reorder import COLD_ITEMS, NewItemPlaces
from metarec.models.rating.head import RatingHead
from metarec.models.rating.kernel import RatingConfig
from metarec.models.registry import LOCATION
from metarec.recommendation.configs import (
    BESIDE,
    RATING,
    REFUSALS,
)
from metarec.recommendation.conformal import Conformal, cold_users_needed
from metarec.recommendation.ensemble.blend import Ensemble
from metarec.recommendation.ensemble.prior import (
    TRANSFERRED,
    Prior,
    PriorComparison,
    is_catalog_independent,
)
from metarec.recommendation.fitted import FittedModel, users_in_words
from metarec.recommendation.fitting.cross_fitting import has_refusals
from metarec.recommendation.fitting.ensemble_fit import fit_ensemble
from metarec.recommendation.fitting.past import Past
from metarec.recommendation.fitting.reading import Reading
from metarec.recommendation.fitting.steps import Run
from metarec.recommendation.settings import LEARNS_COLD_ITEMS, Settings
from metarec.recommendation.stages.annotate import LEVEL
from metarec.recommendation.stages.retrieve import fit_retrieval
from metarec.runtime.memory import release
from metarec.runtime.progress import Progress
from metarec.runtime.rng import derive


def fit(
    data: Dataset,
    settings: Settings,
    run: Run,
    policy: Policy | str | None = None,
    horizon: Horizon | None = None,
    user_weights: Mapping[str, float] | None = None,
    prior: Prior | None = None,
) -> FittedModel:
    """Fit a model on `data`; arguments as for `Recommender.fit`."""
    check_data(data)
    check_horizon(horizon)
    _check_size(data)
    settings = settings.over(data.models)
    read = Reading.of(
        cleaned(data),
        settings,
        policy=policy,
        horizon=horizon,
        user_weights=user_weights,
        progress=run.progress,
    )
    start = _Start.of(read, prior)
    _tell_untaught(settings, (*start.names, *_taught_beside(read)))
    ensemble = fit_ensemble(
        start.behavior,
        start.names,
        settings.seed,
        run.progress,
        run.steps(start.version),
        settings.models,
        start.prior,
    ).with_words(read.words)
    model = _put_together(read, start.after(ensemble.prior_comparison), ensemble, run.progress)
    if len(model.catalog) < LARGE:
        return model
    retrieval = fit_retrieval(model, start.behavior, derive(settings.seed, "retrieval"))
    return replace(model, retrieval=retrieval)


@dataclass(frozen=True, kw_only=True)
class _Start:
    """Initial state of a fit: what the data give, extended by a prior where there is one."""

    behavior: Behavior
    names: tuple[str, ...]
    """Models to fit."""
    version: str
    """Digest of data and settings, and of the prior where there is one."""
    prior: Prior | None = None
    notes: tuple[str, ...] = ()
    """Sentences on how the prior was used."""

    @classmethod
    def of(cls, read: Reading, prior: Prior | None) -> _Start:
        """Build it, with the item factors that the prior predicts, and the model that reads them,
        where the prior's text encoder fits; else with a sentence that says why not. Without these
        factors that model never takes part.
        """
        names = tuple(name for name in read.names if name != TRANSFERRED)
        plain = cls(behavior=read.behavior, names=names, version=read.version)
        if prior is None:
            return plain
        prior.check_shares(names)
        after = hashlib.sha256(f"{read.version} after {prior.version}".encode()).hexdigest()[:12]
        plain = replace(plain, version=after, prior=prior)
        taste = prior.taste_of(read.item_inputs.encoder, read.text)
        if isinstance(taste, str):
            return replace(plain, notes=(taste,))
        behavior = replace(read.behavior, taste=taste)
        return replace(plain, behavior=behavior, names=(TRANSFERRED, *names))

    def after(self, comparison: PriorComparison | None) -> _Start:
        """Return the state after the test of the prior on held-out users: without the prior if it
        does not help.
        """
        if self.prior is None or comparison is None:
            return self
        notes = (comparison.sentence(self.prior.source), *self.notes)
        return replace(self, prior=self.prior if comparison.helps else None, notes=notes)


def _put_together(
    read: Reading, start: _Start, ensemble: Ensemble, progress: Progress
) -> FittedModel:
    """Build the model: the ensemble, and the parts that are fitted beside it."""
    behavior, settings, text = start.behavior, read.settings, read.text.astype(np.float16)
    ratings, intervals = (
        _rating_head(behavior, settings) if read.data.interactions.has_values else (None, None)
    )
    return FittedModel(
        settings=settings,
        catalog=read.catalog,
        training=read.data,
        horizon=behavior.horizon,
        policy=read.data.policy or DEFAULT_POLICY,
        item_inputs=read.item_inputs,
        profile_inputs=read.profile_inputs,
        content=read.content,
        text=text,
        ensemble=ensemble,
        new_items=_new_items(behavior, text, settings, progress) if _has_cold(read) else None,
        ratings=ratings,
        version=start.version,
        intervals=intervals,
        prior=start.prior,
        transfer=start.notes,
    )


def _has_cold(read: Reading) -> bool:
    return learns_cold_items(read.settings, read.item_inputs, read.names)


def _taught_beside(read: Reading) -> Iterator[str]:
    """Yield the names of parts beside the models that these data can teach."""
    is_taught = {
        RATING: read.data.interactions.has_values,
        COLD_ITEMS: _has_cold(read),
        REFUSALS: has_refusals(read.behavior),
    }
    return (name for name in BESIDE if is_taught.get(name, True))


def learns_cold_items(settings: Settings, inputs: ItemInputs, names: Sequence[str]) -> bool:
    """Whether a dedicated model reranks cold items among themselves: not where coordinates are all
    that is known of items, since the location models use these better.
    """
    is_placed_only = LOCATION in names and set(inputs.columns) <= {LATITUDE, LONGITUDE}
    return settings.preset in LEARNS_COLD_ITEMS and not is_placed_only


def fit_like(
    model: FittedModel,
    data: Dataset,
    seed: int | None,
    horizon: Horizon | None,
    user_weights: Mapping[str, float] | None,
    progress: Progress,
) -> FittedModel:
    """Fit the settings and prior of `model` on other data, under its policy where `data` have
    none.
    """
    check_data(data)
    return fit(
        data,
        model.settings if seed is None else replace(model.settings, seed=seed),
        Run(progress=progress),
        policy=data.policy or model.policy,
        horizon=horizon,
        user_weights=user_weights,
        prior=model.prior,
    )


def behavior_of(model: FittedModel) -> Behavior:
    """Return the behavior that a model's scorers were fitted on, without user weights."""
    return Past.of(model.training, model.catalog).behavior(
        model.horizon,
        model.content,
        model.profile_inputs,
        users_in_words(model.catalog, model.item_inputs, model.relevant_from, model.settings),
        item_template=model.settings.item_template,
        text=model.text.astype(np.float32),
    )


def prior_of(model: FittedModel) -> Prior:
    """Return what a model knows that transfers to other data."""
    check_type("prior", model, FittedModel, "a Recommender (Recommender.load reads one)")
    seen = np.zeros(len(model.catalog), bool)
    seen[model.vocabulary.indexes(model.trained_on["item_id"].unique())] = True
    encoder = model.item_inputs.encoder
    text = model.text if is_catalog_independent(encoder) else model.text[:, :0]
    als = next((m for m in model.ensemble.scorers.values() if isinstance(m, Als)), None)
    if als is None and text.any():  # the preset has no ALS, and the map to taste needs it
        als = Als.fit(behavior_of(model), derive(model.settings.seed, "taste"))
    return Prior.of(
        source=model.training.name,
        version=model.version,
        als=als,
        gate=model.ensemble.gate,
        encoder=encoder.name,
        text=text,
        seen=seen,
    )


def _new_items(
    behavior: Behavior, text: np.ndarray, settings: Settings, progress: Progress
) -> NewItemPlaces | None:
    """Fit the model that reranks cold items; None where too few items can teach it."""
    config = cast("ColdItemsConfig | None", settings.models.get(COLD_ITEMS))
    rng = derive(settings.seed, "new items")
    return NewItemPlaces.fit(behavior, text, rng, progress, config)


def _rating_head(behavior: Behavior, settings: Settings) -> tuple[RatingHead, Conformal | None]:
    """Return the rating head, and the conformal factor that scales its standard deviations; None
    where too few users could be held out to estimate it.
    """
    release()
    config = cast("RatingConfig | None", settings.models.get(RATING))
    rng = derive(settings.seed, "ratings")
    head, errors = RatingHead.fit_checked(behavior, rng, config)
    return head, Conformal.of_errors(errors, LEVEL) if errors.users >= cold_users_needed(
        LEVEL
    ) else None


def _tell_untaught(settings: Settings, names: Sequence[str]) -> None:
    """Warn about models that are set but cannot be learned from these data."""
    for name in filter(None, dict.fromkeys([*settings.models, settings.learner])):
        if name in names:
            continue
        warning = f"models.{name} is set, but these data cannot teach {name}: it takes no part"
        if name == TRANSFERRED:
            warning = (
                f"the model {name} takes no part: it reads a prior that knows taste; name the "
                f"model that it comes from (--prior, prior= in Python)"
            )
        warnings.warn(warning, DataWarning, stacklevel=4)


def _check_size(data: Dataset) -> None:
    """Refuse data with fewer than two users or items."""
    frame = data.interactions.frame
    for column, what in (("user_id", "users"), ("item_id", "items")):
        if frame[column].n_unique() < 2:
            raise BadInput(
                f"{frame[column].n_unique()} {what} with events are too few to learn from (2 at "
                f"least); give more events"
            )

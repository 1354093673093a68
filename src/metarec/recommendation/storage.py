"""A model as plain data and back: which of its parts is saved in which file of a model folder."""

from __future__ import annotations

from dataclasses import asdict, replace
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from metarec.data.arguments import check_type
from metarec.data.cold_users import Horizon
from metarec.data.dataset import Dataset
from metarec.data.domains import Policy
from metarec.data.kinds import Kinds
from metarec.data.relations import Relations
from metarec.data.schema import Catalog, Interactions, Profiles
from metarec.features.encoders.added import state_of
from metarec.features.encoders.base import EncoderState
from metarec.features.encoders.encode import encoder_from_state
from metarec.features.items import ItemInputs
from metarec.features.profiles import ProfileInputs
from metarec.models.cold_items.reorder import NewItemPlaces
from metarec.models.names import RENAMED, current_ids, under_current_ids
from metarec.models.rating.head import RatingHead
from metarec.models.registry import is_model
from metarec.recommendation.candidates.retrieval import Retrieval
from metarec.recommendation.card import model_card
from metarec.recommendation.configs import RATING, configs_of
from metarec.recommendation.conformal import Conformal
from metarec.recommendation.ensemble.blend import Ensemble
from metarec.recommendation.ensemble.prior import Prior
from metarec.recommendation.ensemble.scorers import under
from metarec.recommendation.fitted import FittedModel, users_in_words
from metarec.recommendation.settings import Settings
from metarec.runtime.artifacts import (
    Artifact,
    BrokenArtifact,
    read_artifact,
    reading_whole,
    write_artifact,
)
from metarec.runtime.old_names import SAVED, with_current_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import polars as pl

    from metarec.models.config import ModelConfig
    from metarec.models.rating.kernel import RatingConfig


def to_artifact(model: FittedModel) -> Artifact:
    """Return all parts of a model, as JSON, arrays and tables."""
    training = model.training
    tables = {
        "catalog": model.catalog.frame,
        "interactions": training.interactions.frame,
        "items": training.items.frame,
        "users": training.users.frame,
        "friends": training.relations.friends,
        "searches": training.relations.searches,
    }
    encoder = state_of(model.item_inputs.encoder)  # once, since it reads all weights
    return Artifact(
        config=_facts(model, encoder),
        arrays=_arrays(model, encoder),
        tables=tables,
        card=model_card(model),
    )


def _facts(model: FittedModel, encoder: EncoderState) -> dict[str, Any]:
    """Return the parts that are neither arrays nor tables, for JSON."""
    events, inputs = model.training.interactions, model.item_inputs
    return {
        "version": model.version,
        "settings": asdict(model.settings),
        "horizon": asdict(model.horizon),
        "policy": asdict(model.policy),
        "scorers": list(model.ensemble.scorers),
        "models": {name: asdict(config) for name, config in _configs(model).items()},
        "data": {
            "name": model.training.name,
            "has_values": events.has_values,
            "has_time": events.has_time,
            "kinds": events.kinds.to_dict(),
            "target_kinds": sorted(events.target_kinds),
            "value_range": list(events.value_range),
        },
        "item_inputs": {
            "encoder": encoder.settings,
            "reason": inputs.reason,
            "tags": inputs.tags,
            "numbers": inputs.numbers,
            "template": inputs.template,
        },
        "profile_inputs": asdict(model.profile_inputs),
        "intervals": None if model.intervals is None else model.intervals.to_json(),
        "prior": None if model.prior is None else model.prior.facts(),
        "transfer": list(model.transfer),
    }


def _arrays(model: FittedModel, encoder: EncoderState) -> dict[str, np.ndarray]:
    """Return all learned arrays, prefixed with the name of their part."""
    arrays = {
        "content": model.content,
        "text": model.text,
        "center": model.item_inputs.center,
        "components": model.item_inputs.components,
        **_under("encoder", encoder.arrays),
        **_under("ensemble", model.ensemble.arrays()),
    }
    perhaps = {
        "new_items": model.new_items,
        "ratings": model.ratings,
        "prior": model.prior,
        "retrieval": model.retrieval,
    }
    for name, part in perhaps.items():
        if part is not None:
            arrays |= _under(name, part.arrays())
    return arrays


def save(model: FittedModel, folder: str | Path) -> None:
    """Write a model atomically."""
    _check_folder(folder)
    write_artifact(folder, to_artifact(model))


def load(folder: str | Path) -> FittedModel:
    """Read a model that `save` wrote.

    Raises:
        FileNotFoundError: if there is none.
        BrokenArtifact: if it cannot be read.
    """
    _check_folder(folder)
    artifact = read_artifact(folder)
    with reading_whole(folder):
        return from_artifact(artifact)


def _check_folder(folder: Any) -> None:
    check_type("folder", folder, str | PathLike, "the folder of a model")


def from_artifact(artifact: Artifact) -> FittedModel:
    """Rebuild the model from `to_artifact`.

    Raises:
        BrokenArtifact: if a part is missing, as in a model written by another version of metarec.
    """
    try:
        _check_lengths(artifact)
        model = FittedModel(**_parts(artifact))
    except (KeyError, TypeError) as error:
        raise BrokenArtifact(
            f"the model cannot be read ({type(error).__name__}: {error}): another version of "
            f"metarec wrote it; "
            "fit again"
        ) from error
    if not model.reads_users:
        return model
    words = users_in_words(model.catalog, model.item_inputs, model.relevant_from, model.settings)
    return replace(model, ensemble=model.ensemble.with_words(words))


def _check_registered(names: Sequence[str]) -> None:
    """Check that all models of the ensemble are known here; those that users register may not be.

    Raises:
        BrokenArtifact: if one is not.
    """
    for name in names:
        if not is_model(name):
            raise BrokenArtifact(
                f"{name!r} takes part and is not registered here: import the module that calls "
                f"metarec.register_model({name!r}, ...) or register_learner, or install its "
                f"package, then load"
            )


def _check_lengths(artifact: Artifact) -> None:
    """Check that there is one row of content and of text per item; with rows of another catalog,
    scores would belong to the wrong items.

    Raises:
        BrokenArtifact: if there is not.
    """
    items = artifact.tables["catalog"].height
    for name in ("content", "text"):
        if artifact.arrays[name].shape[0] != items:
            raise BrokenArtifact(
                f"the model holds {artifact.arrays[name].shape[0]} rows of {name} for {items} "
                f"items; restore it from a copy, or fit again"
            )


def _interactions(frame: pl.DataFrame, facts: Mapping[str, Any]) -> Interactions:
    """Return the training events. The value range is the saved one, since the users at its ends may
    have been forgotten.
    """
    events = Interactions(
        frame=frame,
        has_values=facts["has_values"],
        has_time=facts["has_time"],
        kinds=Kinds.from_dict(facts["kinds"]),
        target_kinds=frozenset(facts["target_kinds"]),
    )
    if facts.get("value_range") is not None:  # not saved by earlier versions
        low, high = facts["value_range"]
        events.__dict__["value_range"] = (float(low), float(high))
    return events


def _parts(artifact: Artifact) -> dict[str, Any]:
    config, arrays, tables = artifact.config, artifact.arrays, artifact.tables
    names = current_ids(config["scorers"])
    _check_registered(names)  # before settings are read, which fails for unregistered models
    catalog, policy = Catalog(frame=tables["catalog"]), Policy.of_json(config["policy"])
    return {
        "settings": _settings(config["settings"]),
        "version": config["version"],
        "catalog": catalog,
        "training": _training(artifact, catalog, policy),
        "horizon": _horizon(config["horizon"]),
        "policy": policy,
        "item_inputs": _item_inputs(config["item_inputs"], arrays),
        "profile_inputs": ProfileInputs(**config["profile_inputs"]),
        "content": arrays["content"],
        "text": arrays["text"],
        **_learned(names, config, arrays),
        "intervals": Conformal.of_json(config["intervals"]) if config.get("intervals") else None,
        "prior": Prior.from_parts(config["prior"], under("prior", arrays))
        if config.get("prior")
        else None,
        "transfer": tuple(config.get("transfer", ())),
    }


def _horizon(saved: Mapping[str, Any]) -> Horizon:
    saved = with_current_names(saved, SAVED)
    return Horizon(**{**saved, "support_sizes": tuple(saved["support_sizes"])})


def _training(artifact: Artifact, catalog: Catalog, policy: Policy) -> Dataset:
    facts, tables = artifact.config["data"], artifact.tables
    items = Catalog(frame=tables["items"])
    # Share one catalog where the items are the same, as after a fit.
    if items.frame is catalog.frame or items.frame.equals(catalog.frame):
        items = catalog
    return Dataset(
        interactions=_interactions(tables["interactions"], facts),
        items=items,
        users=Profiles(frame=tables["users"]),
        name=facts["name"],
        policy=policy,
        relations=Relations(friends=tables["friends"], searches=tables["searches"]),
    )


def _item_inputs(facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> ItemInputs:
    state = EncoderState(settings=facts["encoder"], arrays=under("encoder", arrays))
    return ItemInputs(
        encoder=encoder_from_state(state),
        reason=facts["reason"],
        center=arrays["center"],
        components=arrays["components"],
        tags=facts["tags"],
        numbers={name: tuple(scale) for name, scale in facts["numbers"].items()},
        template=facts.get("template"),
    )


def _learned(
    names: tuple[str, ...], config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Return the ensemble of these models, and the parts fitted beside it that were saved."""
    configs = configs_of(_flat(config.get("models", {})))
    rating = cast("RatingConfig | None", configs.get(RATING))
    cold, ratings, retrieval = (
        under(name, arrays) for name in ("new_items", "ratings", "retrieval")
    )
    return {
        "ensemble": Ensemble.from_arrays(
            names, under_current_ids(under("ensemble", arrays)), configs
        ),
        "new_items": NewItemPlaces.from_arrays(cold, arrays["content"], arrays["text"])
        if cold
        else None,
        "ratings": RatingHead.from_arrays(ratings, rating) if ratings else None,
        "retrieval": Retrieval.from_arrays(retrieval) if retrieval else None,
    }


def _configs(model: FittedModel) -> dict[str, ModelConfig]:
    """Return hyper-parameters by name, of the models and of the rating head."""
    rating = {} if model.ratings is None else {RATING: model.ratings.config}
    return {**model.ensemble.configs, **rating}


def _settings(saved: Mapping[str, Any]) -> Settings:
    """Return the settings, with the learner's current id in place of an old one (noted by the
    scorers).
    """
    saved = with_current_names(saved, SAVED)
    learner = saved.get("learner")
    models = _flat(saved.get("models", {}))
    return Settings(**{**saved, "learner": RENAMED.get(str(learner), learner), "models": models})


def _flat(models: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return hyper-parameters by model, with those of meta-learners merged in; earlier versions
    saved them in a table of their own.
    """
    return {
        name: {key: value for key, value in config.items() if key != "learner"}
        | config.get("learner", {})
        for name, config in models.items()
    }


def _under(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{prefix}/{name}": array for name, array in arrays.items()}

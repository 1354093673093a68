"""Registry of the models that the gate blends, by the id under which their score component is
shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, cast

from metarec.data.errors import BadInput
from metarec.data.extensions import Extensions
from metarec.features.behavior import Behavior
from metarec.models.als import Als
from metarec.models.base import Model
from metarec.models.bert_two_tower import BertTwoTower
from metarec.models.cold_items.reorder import COLD_ITEMS
from metarec.models.config import ModelConfig, configured
from metarec.models.content import Content
from metarec.models.context.model import Context
from metarec.models.deep_set.scorer import DeepSet
from metarec.models.ease.model import Ease
from metarec.models.few_shot.learners import LEARNERS, is_learner
from metarec.models.few_shot.scorer import learned
from metarec.models.friends import Friends
from metarec.models.item_knn import ItemKnn
from metarec.models.location.local_knn import LocalKnn
from metarec.models.location.mixture import LocalMixture
from metarec.models.location.model import Location
from metarec.models.markov.model import Markov
from metarec.models.names import RENAMED
from metarec.models.profile import Profile
from metarec.models.repeat.model import Repeat
from metarec.models.search import Search
from metarec.models.support_ridge.model import SupportRidge
from metarec.models.transferred import Transferred
from metarec.models.transformer.adaptive import (
    DecoderAnil,
    DecoderLora,
    DecoderMaml,
    DecoderReptile,
)
from metarec.models.transformer.scorer import (
    CandidateTransformer,
    Caser,
    Gru4Rec,
    MaskedTransformer,
    Transformer,
)
from metarec.models.user_text import UserText

USER_TEXT, REPEAT = "user_text", "repeat"
FRIENDS, LOCATION, LOCAL_KNN, LOCAL_MIXTURE, CONTEXT, SEARCH = (
    "friends",
    "location",
    "local_knn",
    "local_mixture",
    "context",
    "search",
)
READ_CONTEXT = (FRIENDS, LOCATION, LOCAL_KNN, LOCAL_MIXTURE, CONTEXT, SEARCH)
"""Models that read what is known of a user beside history and profile. They take part where the
data has it, and the gate weighs them by parameters of their own.
"""
JOIN_BY_DATA = (*READ_CONTEXT, REPEAT)
"""Models that take part where the data can teach them, not because they are named."""
MODELS: dict[str, type[Model]] = {
    "profile": Profile,
    "item_knn": ItemKnn,
    "ease": Ease,
    "als": Als,
    "markov": Markov,
    "content": Content,
    REPEAT: Repeat,
    "transferred": Transferred,
    FRIENDS: Friends,
    LOCATION: Location,
    LOCAL_KNN: LocalKnn,
    LOCAL_MIXTURE: LocalMixture,
    CONTEXT: Context,
    SEARCH: Search,
    "support_ridge": SupportRidge,
    "deep_set": DeepSet,
    "decoder": Transformer,
    "encoder": MaskedTransformer,
    "encoder_decoder": CandidateTransformer,
    "gru4rec": Gru4Rec,
    "caser": Caser,
    "decoder_maml": DecoderMaml,
    "decoder_anil": DecoderAnil,
    "decoder_reptile": DecoderReptile,
    "decoder_lora": DecoderLora,
    USER_TEXT: UserText,
    "bert_two_tower": BertTwoTower,
    **{name: learned(name) for name in LEARNERS},
}
"""Id -> class; ids are the score components of `Recommender.score_components`. Every meta-learner
is a model under its own name.
"""
BEHAVIOR_ENCODERS = ("decoder", "encoder", "encoder_decoder", "gru4rec", "caser")
"""Models that encode a user's events as a sequence; `evaluate --all` fits each of them alone."""
ADAPTIVE_DECODERS = ("decoder_maml", "decoder_anil", "decoder_reptile", "decoder_lora")
"""Meta-learned decoders, evaluated with and without adaptation."""
_ALONE = (*BEHAVIOR_ENCODERS, *ADAPTIVE_DECODERS, "bert_two_tower")

OTHERS = (
    *("gate", "context_gate", "given", "refusals", "rating", "trend", COLD_ITEMS),
    *("popularity", "item_statistics", "acceptance", "refused", "wish"),
)
"""Reserved names of other score components, settings and saved parts."""


def weighed(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the models that gates weigh: all but `repeat`, which gives the probability of a repeat
    itself.
    """
    return tuple(name for name in names if name != REPEAT)


_MODELS: Extensions[type[Model]] = Extensions(
    kind="model",
    table=MODELS,
    needs=("reads", "config", "fit", "evidence", "with_content", "arrays", "from_arrays"),
    reserved=frozenset([*OTHERS, *RENAMED]),
)


def register_model(name: str, model: type[Model]) -> None:
    """Let a model take part in fits that name it: `Recommender.fit(data, models={name: {}})`,
    `metarec fit --model NAME`. The gate blends it, and it is saved with the rest; register it again
    before loading the saved model.

    Args:
        name: the model's id.
        model: a class like those of `metarec.models`, see `metarec.models.base.Model`.

    Raises:
        BadInput: if the name is taken, or the class lacks a method.
    """
    if isinstance(name, str) and name in LEARNERS:
        raise BadInput(f"the name {name!r} is taken; choose another one for the model")
    _MODELS.register(name, model)


def is_model(name: str) -> bool:
    """Whether there is a model of this name."""
    return _MODELS.has(name) or is_learner(name)


def model_class(name: str) -> type[Model]:
    """Return the class of a model or meta-learner.

    Raises:
        BadInput: if there is none of this name.
    """
    if not _MODELS.has(name) and is_learner(name):
        MODELS[name] = learned(name)
    return _MODELS.find(name)


def check_learner(name: str) -> None:
    """Check that a name can be evaluated alone as a learner.

    Raises:
        BadInput: if there is no meta-learner, behavior encoder, meta-learned decoder or
            `bert_two_tower` of this name.
    """
    if name in _ALONE or is_learner(name):
        return
    there = (*LEARNERS, *_ALONE)
    near = get_close_matches(name, there, 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise BadInput(f"there is no meta-learner {name!r}{hint}; there are {', '.join(there)}")


def config_of(name: str, given: ModelConfig | Mapping[str, Any] | None = None) -> ModelConfig:
    """Return the config of a model: its defaults, updated by `given`.

    Raises:
        BadInput: if there is no such model, or it has no such setting.
    """
    default = cast(ModelConfig, model_class(name).config)
    return default if given is None else configured(name, default, given)


def context_models(behavior: Behavior) -> tuple[str, ...]:
    """Models of `READ_CONTEXT` that this data can teach."""
    context = behavior.context
    if context is None:
        return ()
    return models_for_inputs(
        friends=context.has_friends,
        places=context.has_places,
        circumstances=context.has_circumstances,
        searches=context.has_searches,
    )


def models_for_inputs(
    *, friends: bool, places: bool, circumstances: bool, searches: bool
) -> tuple[str, ...]:
    """Models of `READ_CONTEXT` that take part where the data has the given inputs."""
    has = {
        FRIENDS: friends,
        LOCATION: places,
        LOCAL_KNN: places,
        LOCAL_MIXTURE: places,
        CONTEXT: circumstances,
        SEARCH: searches,
    }
    return tuple(name for name in READ_CONTEXT if has[name])

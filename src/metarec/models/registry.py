"""The experts of the evidence gate, by the name under which their part of a score is shown."""

from __future__ import annotations

from metarec.features.behaviour import Behaviour
from metarec.models.als import Als
from metarec.models.base import Model
from metarec.models.bert_two_tower import BertTwoTower
from metarec.models.content import Content
from metarec.models.context import Context
from metarec.models.deep_set.scorer import DeepSet
from metarec.models.ease import Ease
from metarec.models.few_shot.learners import LEARNERS
from metarec.models.few_shot.scorer import learned
from metarec.models.friends import Friends
from metarec.models.item_knn import ItemKnn
from metarec.models.markov import Markov
from metarec.models.place import Place
from metarec.models.profile import Profile
from metarec.models.repeat import Repeat
from metarec.models.search import Search
from metarec.models.support_ridge import SupportRidge
from metarec.models.transferred import Transferred
from metarec.models.transformer.scorer import (
    CandidateTransformer,
    MaskedTransformer,
    Transformer,
)
from metarec.models.user_text import UserText

USER_TEXT, REPEAT = "user_text", "repeat"
FRIENDS, PLACE, CONTEXT, SEARCH = "friends", "place", "context", "search"
READ_CONTEXT = (FRIENDS, PLACE, CONTEXT, SEARCH)
"""Models of what is known beside history and profile: they join where data have it, and the gate
weighs them by parameters of their own.
"""
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
    PLACE: Place,
    CONTEXT: Context,
    SEARCH: Search,
    "support_ridge": SupportRidge,
    "deep_set": DeepSet,
    "decoder": Transformer,
    "encoder": MaskedTransformer,
    "encoder_decoder": CandidateTransformer,
    USER_TEXT: UserText,
    "bert_two_tower": BertTwoTower,
    **{name: learned(name) for name in LEARNERS},
}
"""name -> class; the names are the parts of `Recommender.score_parts`. Every meta-learner is one,
under its own name.
"""


def context_models(behaviour: Behaviour) -> tuple[str, ...]:
    """Models of `READ_CONTEXT` that these data can teach."""
    known = behaviour.context
    if known is None:
        return ()
    has = {
        FRIENDS: known.has_friends,
        PLACE: known.has_places,
        CONTEXT: known.has_circumstances,
        SEARCH: known.has_searches,
    }
    return tuple(name for name in READ_CONTEXT if has[name])

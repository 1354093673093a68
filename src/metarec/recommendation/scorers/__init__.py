"""The experts of the evidence gate, by the name under which their part of a score is shown."""

from __future__ import annotations

from metarec.metalearning.episodic_ridge import EpisodicRidge
from metarec.metalearning.learners import LEARNERS
from metarec.recommendation.scorers.base import Scorer
from metarec.recommendation.scorers.content import Content
from metarec.recommendation.scorers.ease import Ease
from metarec.recommendation.scorers.factors import Factors
from metarec.recommendation.scorers.learned import learned
from metarec.recommendation.scorers.neighbors import Neighbors
from metarec.recommendation.scorers.network import Network
from metarec.recommendation.scorers.people_as_text import PeopleAsText
from metarec.recommendation.scorers.profile import Profile
from metarec.recommendation.scorers.transformers import (
    CandidateTransformer,
    MaskedTransformer,
    Transformer,
)
from metarec.recommendation.scorers.transitions import Transitions

PEOPLE_AS_TEXT = "people-as-text"
SCORERS: dict[str, type[Scorer]] = {
    "profile": Profile,
    "neighbors": Neighbors,
    "weights": Ease,
    "factors": Factors,
    "sequence": Transitions,
    "content": Content,
    "episodic": EpisodicRidge,
    "network": Network,
    "decoder": Transformer,
    "encoder": MaskedTransformer,
    "encoder-decoder": CandidateTransformer,
    PEOPLE_AS_TEXT: PeopleAsText,
    **{name: learned(name) for name in LEARNERS},
}
"""name -> class; the names are the parts of `Recommender.score_parts`. Every meta-learner is one,
under its own name.
"""

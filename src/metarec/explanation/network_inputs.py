"""Inputs of the deep-set network for integrated gradients: its events, the item's content, the
profile.

The explained number is the network's own log-share of the item (log-softmax over the catalog), from
which its score component is computed; other components have closed forms and are explained exactly
elsewhere. At its inputs, each function returns the value that the network serves; a test checks
that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from metarec.explanation.gradients import Attribution, AttributionInput, integrated_gradients
from metarec.explanation.relative_score import columns_of
from metarec.features.events import parts_of
from metarec.models.deep_set.network import DeepSetNetwork
from metarec.models.deep_set.scorer import DeepSet
from metarec.recommendation.slate import Request
from metarec.runtime.device import on_device

if TYPE_CHECKING:
    from metarec.recommender import Recommender


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The item whose log-share is explained, and the user."""

    network: DeepSetNetwork
    items: Tensor
    """[L] int64 item indexes of the events, at most the network's pool."""
    values: Tensor
    """[L] their values."""
    strengths: Tensor
    """[L] their strengths."""
    profile: Tensor
    """[P] profile columns."""
    item: int
    """Index of the explained item."""

    @cached_property
    def catalog(self) -> Tensor:
        """[N, D] vectors of the items."""
        vectors_ND: Tensor = self.network.items().detach()
        return vectors_ND

    def known(self, items_BL: Tensor, profile_BP: Tensor, vectors_ND: Tensor) -> Tensor:
        """Return [B, D] representations of users with these items and profiles, and the values and
        strengths of this user's events.
        """
        values, strengths = (t.repeat(len(items_BL), 1) for t in (self.values, self.strengths))
        is_real = torch.ones_like(items_BL, dtype=torch.bool)
        encoded = self.network.users(items_BL, values, strengths, is_real, profile_BP, vectors_ND)
        return encoded[:, -1]

    def share(self, known_BD: Tensor) -> Tensor:
        """Return [B] log-share of the item."""
        return torch.log_softmax(self.network.score(known_BD, self.catalog), dim=-1)[:, self.item]


def event_input(request: Asked, names: Sequence[str]) -> AttributionInput:
    """Return the input of event vectors [L, D]; the baseline is the mean item vector for each
    event, with the same values and strengths. `names` are the events' display names.
    """

    def share(vectors_BLD: Tensor) -> Tensor:
        users, length = vectors_BLD.shape[:2]
        # Every example has its own vectors: they are concatenated into one table, and items are
        # consecutive indexes into it.
        rows = torch.arange(users * length).reshape(users, length)
        profiles, table = request.profile.expand(users, -1), vectors_BLD.reshape(users * length, -1)
        return request.share(request.known(rows, profiles, table))

    return AttributionInput(
        function=share,
        inputs=request.catalog[request.items],
        baseline=request.catalog.mean(dim=0).expand(len(request.items), -1),
        names=list(names),
    )


def profile_input(request: Asked, names: Sequence[str]) -> AttributionInput:
    """Return the input of profile columns [P]; the baseline is an empty profile."""

    def share(profile_BP: Tensor) -> Tensor:
        rows = request.items.repeat(len(profile_BP), 1)
        return request.share(request.known(rows, profile_BP, request.catalog))

    return AttributionInput(
        function=share,
        inputs=request.profile,
        baseline=torch.zeros_like(request.profile),
        names=list(names),
    )


def content_input(request: Asked, names: Sequence[str]) -> AttributionInput:
    """Return the input of the item's content columns [C]; the baseline is the mean content of the
    catalog.

    Raises:
        ValueError: if the network's items have no content.
    """
    network, item, vectors = request.network, request.item, request.network.items
    if vectors.from_content is None:
        raise ValueError(
            "this network's items have no content, so content explains nothing; explain by events"
        )
    way, content = vectors.from_content.weight.detach(), vectors.content
    assert isinstance(content, Tensor)
    user = request.known(request.items[None], request.profile[None], request.catalog)[0].detach()
    logits = network.score(user, request.catalog).detach()
    residual, direction, bias = (
        vectors.residual[item].detach(),
        network.out.weight @ user,
        network.bias[item].detach(),
    )

    def share(content_BC: Tensor) -> Tensor:
        of_item = (residual + content_BC @ way.T) @ direction.detach() + bias
        of_others = torch.cat([logits[:item], logits[item + 1 :]]).logsumexp(dim=0)
        return of_item - torch.logaddexp(of_item, of_others)

    return AttributionInput(
        function=share, inputs=content[item], baseline=content.mean(dim=0), names=list(names)
    )


def has_network(model: object) -> bool:
    """Whether the model has a deep-set network among its scorers."""
    return "deep_set" in getattr(getattr(model, "ensemble", None), "scorers", {})


def through_network(
    model: Recommender, request: Request, item_id: str, *, steps: int = 64
) -> dict[str, Attribution]:
    """Return integrated gradients of the network's log-share of an item: `events`, `profile` and
    `content`, each where there is any.

    Events are those that the network reads, the newest within its pool; their attribution is in
    their order.

    Raises:
        BadInput: if the item is not in the catalog.
        MissingExtra: if captum is not installed (`pip install 'metarec[explain]'`).
    """
    scorer = model.ensemble.scorers["deep_set"]
    assert isinstance(scorer, DeepSet), "its name says so"
    network = scorer.network
    support = model.users([request])[0].support
    read = slice(max(0, len(support.items) - network.pool), None)
    titles = model.catalog.titles()
    items, values, strengths = (
        on_device(field[read]) for field in (support.items, support.values, support.strengths)
    )
    profile = on_device(model.profile_inputs.transform([request.profile])[0])
    item = int(columns_of(model, [item_id])[0])
    asked = Asked(
        network=network,
        items=items,
        values=values,
        strengths=strengths,
        profile=profile,
        item=item,
    )
    inputs: dict[str, AttributionInput] = {}
    if len(items):
        inputs["events"] = event_input(asked, [titles[column] for column in items.tolist()])
    if len(profile):
        inputs["profile"] = profile_input(asked, model.profile_inputs.columns)
    if network.items.from_content is not None:
        inputs["content"] = content_input(asked, model.item_inputs.columns)
    return {name: integrated_gradients(input, steps=steps) for name, input in inputs.items()}


def event_gradients(model: Recommender, request: Request, item_id: str) -> np.ndarray:
    """[L] integrated gradient of every event of a history of known items; 0 for events too old for
    the network to read.
    """
    gradients = through_network(model, request, item_id)
    if "events" not in gradients:
        return np.zeros(len(request.history))
    effects = gradients["events"].effects
    items = model.users([request])[0].support.items[-len(effects) :]
    by_item = dict(zip(model.vocabulary.names(items), effects.tolist(), strict=True))
    return np.array([by_item.get(str(parts_of(event)[0]), 0.0) for event in request.history])

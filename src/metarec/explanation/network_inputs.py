"""Ways into the deep-set network for integrated gradients: by its events, by the item's content, by
the profile.

The number explained is the network's own log-share of the item (log-softmax over the catalog),
which is what its part of the score is made of; other parts are closed forms and explained exactly
elsewhere. Each interface's value at its inputs equals what the network serves, and a test holds it
to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from metarec.explanation.gradients import Attribution, AttributionInput, integrated_gradients
from metarec.explanation.relative_score import columns_of
from metarec.features.events import parts_of
from metarec.models.deep_set.network import DeepSetNetwork
from metarec.recommendation.slate import Request

if TYPE_CHECKING:
    from metarec.recommender import Recommender


def event_input(
    network: DeepSetNetwork,
    items: Tensor,
    values: Tensor,
    profile: Tensor,
    item: int,
    names: Sequence[str],
) -> AttributionInput:
    """By the vectors of the events [L, D]; the baseline is the mean item, met as often and valued
    the same.

    Args:
        items: [L] int64 indexes of the events' items, at most the network's pool.
        values: [L] their values.
        profile: [P] profile columns.
        item: index of the item explained.
        names: what to call each event.
    """
    catalog = network.items().detach()

    def share(vectors_BLD: Tensor) -> Tensor:
        users, length = vectors_BLD.shape[:2]
        # Every example brings its own vectors: the table is theirs in a row, and indexes count
        # through it.
        rows = torch.arange(users * length).reshape(users, length)
        known = network.users(
            rows,
            values.repeat(users, 1),
            torch.ones(users, length, dtype=torch.bool),
            profile.expand(users, -1),
            vectors_BLD.reshape(users * length, -1),
        )[:, -1]
        return torch.log_softmax(network.score(known, catalog), dim=-1)[:, item]

    return AttributionInput(
        function=share,
        inputs=catalog[items],
        baseline=catalog.mean(dim=0).expand(len(items), -1),
        names=list(names),
    )


def profile_input(
    network: DeepSetNetwork,
    items: Tensor,
    values: Tensor,
    profile: Tensor,
    item: int,
    names: Sequence[str],
) -> AttributionInput:
    """By the profile's columns [P]; the baseline is a user who states nothing. Arguments as for
    `event_input`.
    """
    catalog = network.items().detach()

    def share(profile_BP: Tensor) -> Tensor:
        users = len(profile_BP)
        known = network.users(
            items.repeat(users, 1),
            values.repeat(users, 1),
            torch.ones(users, len(items), dtype=torch.bool),
            profile_BP,
            catalog,
        )[:, -1]
        return torch.log_softmax(network.score(known, catalog), dim=-1)[:, item]

    return AttributionInput(
        function=share, inputs=profile, baseline=torch.zeros_like(profile), names=list(names)
    )


def content_input(
    network: DeepSetNetwork,
    items: Tensor,
    values: Tensor,
    profile: Tensor,
    item: int,
    names: Sequence[str],
) -> AttributionInput:
    """By the item's content columns [C]; the baseline is the mean content of the catalog. Arguments
    as for `event_input`.

    Raises:
        ValueError: if the network's items have no content.
    """
    vectors = network.items
    if vectors.from_content is None:
        raise ValueError(
            "this network's items have no content, so content explains nothing; explain by events"
        )
    way, content = vectors.from_content.weight.detach(), vectors.content
    assert isinstance(content, Tensor)
    catalog = vectors().detach()
    known = network.users(
        items[None],
        values[None],
        torch.ones(1, len(items), dtype=torch.bool),
        profile[None],
        catalog,
    )[0, -1].detach()
    logits = network.score(known, catalog).detach()
    residual, direction, bias = (
        vectors.residual[item].detach(),
        network.out.weight @ known,
        network.bias[item].detach(),
    )

    def share(content_BC: Tensor) -> Tensor:
        own = (residual + content_BC @ way.T) @ direction.detach() + bias
        rest = torch.cat([logits[:item], logits[item + 1 :]]).logsumexp(dim=0)
        return own - torch.logaddexp(own, rest)

    return AttributionInput(
        function=share, inputs=content[item], baseline=content.mean(dim=0), names=list(names)
    )


def has_network(model: object) -> bool:
    """Whether a deep-set network is among the parts of a model's score."""
    return "deep_set" in getattr(getattr(model, "ensemble", None), "scorers", {})


def through_network(
    model: Recommender, request: Request, item_id: str, *, steps: int = 64
) -> dict[str, Attribution]:
    """Integrated gradients of the network's log-share of an item: `events`, `profile` and
    `content`, each where there is any.

    Events are those the network reads, the newest of its pool; an attribution over them is in their
    order.

    Raises:
        BadInput: if the item is not in the catalog.
        MissingExtra: if captum is not installed (`pip install 'metarec[explain]'`).
    """
    # This scorer has one
    network: DeepSetNetwork = model.ensemble.scorers["deep_set"].network  # type: ignore[attr-defined]
    support = model.users([request])[0].support
    read = slice(max(0, len(support.items) - network.pool), None)
    titles = model.catalog.titles()
    items, values = torch.from_numpy(support.items[read]), torch.from_numpy(support.values[read])
    profile = torch.from_numpy(model.profile_inputs.transform([request.profile])[0])
    item = int(columns_of(model, [item_id])[0])
    inputs: dict[str, AttributionInput] = {}
    if len(items):
        inputs["events"] = event_input(
            network, items, values, profile, item, [titles[column] for column in items.tolist()]
        )
    if len(profile):
        inputs["profile"] = profile_input(
            network, items, values, profile, item, model.profile_inputs.columns
        )
    if network.items.from_content is not None:
        inputs["content"] = content_input(
            network, items, values, profile, item, model.item_inputs.columns
        )
    return {name: integrated_gradients(input, steps=steps) for name, input in inputs.items()}


def event_gradients(model: Recommender, request: Request, item_id: str) -> np.ndarray:
    """Integrated gradient of every event of a history of known items, [L]; 0 for those too old for
    the network to read.
    """
    found = through_network(model, request, item_id)
    if "events" not in found:
        return np.zeros(len(request.history))
    effects = found["events"].effects
    items = model.users([request])[0].support.items[-len(effects) :]
    by_item = dict(zip(model.vocabulary.names(items), effects.tolist(), strict=True))
    return np.array([by_item.get(str(parts_of(event)[0]), 0.0) for event in request.history])

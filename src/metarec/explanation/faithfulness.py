"""Measures of the faithfulness of explanations to the model.

- *Deletion* and *insertion* curves (Petsiuk et al. 2018, arXiv:1806.07421): remove events (or add
  them) in the order in which an explanation ranks them, and record the item's relative score. With
  a faithful order it falls (rises) faster than with random ones.
- *Agreement* with exact leave-one-out: rank correlation of each method's effects with it.
- *Stability*: rank correlation of effects between models fitted with other seeds.
- *Additivity*: largest error of the sum of components against the score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from scipy.stats import rankdata

from metarec.data.schema import BadInput
from metarec.explanation.influence import leave_one_out, shapley
from metarec.explanation.nearest import Embedded, item_similarities
from metarec.explanation.network_inputs import event_gradients, has_network
from metarec.explanation.quality import Mean
from metarec.explanation.relative_score import (
    Explained,
    columns_of,
    hidden_items,
    known_history,
    relative_scores,
    top,
    with_events,
)
from metarec.recommendation.slate import Request

if TYPE_CHECKING:
    from metarec.recommender import Recommender

Method = Callable[[Sequence[Request], Sequence[str]], list[np.ndarray]]
"""(requests, one item each) -> one array of effects per request, one number per event."""
RANDOM_ORDERS = 8
"""Number of random orders that are averaged for each user."""
GRID = np.linspace(0.0, 1.0, 9)
"""Shares of the events at which mean curves are recorded."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Deletion or insertion curve of one method, compared with random order."""

    method: str
    kind: str
    """`deletion` or `insertion`."""
    relative_score: list[float]
    """Mean relative score after each eighth of a user's events is removed (or added), 9 numbers."""
    random: list[float]
    """The same for random order."""
    gain: Mean
    """Mean distance of the method's curve from the random one (deletion: below it, insertion:
    above), in relative score; above 0: better.
    """


@dataclass(frozen=True, kw_only=True)
class Faithfulness:
    """All measures of one model on one set of users."""

    users: int
    curves: list[Curve]
    agreement: dict[str, Mean]
    """Method -> Spearman correlation with exact leave-one-out, over users."""
    stability: Mean | None
    """Spearman correlation of leave-one-out between models fitted with other seeds; None without
    such models.
    """
    additivity: float
    """Largest |score - sum of components| over users and the catalog, as a share of the largest
    |score|.
    """
    promised: float = 1e-6
    """Tolerance of additivity: components are float32, with about seven digits."""

    @property
    def adds_up(self) -> bool:
        """Whether additivity is within the tolerance."""
        return self.additivity <= self.promised

    def to_json(self) -> dict[str, Any]:
        """Return plain data: only dicts, lists, text, numbers and None."""
        return asdict(self) | {"adds_up": self.adds_up}

    def to_text(self) -> str:
        """Return a table for a terminal."""
        lines = [f"explanations of the first item of {self.users} users' slates"]
        lines += [
            f"  {c.kind:<9} {c.method:<14} {c.gain} better than random "
            f"order{'' if c.gain.low > 0 else '  (not clear)'}"
            for c in self.curves
        ]
        lines += [
            f"  agreement with leave-one-out, {name:<14} {mean}"
            for name, mean in self.agreement.items()
        ]
        if self.stability is not None:
            lines.append(f"  stability under other seeds {self.stability}")
        return "\n".join(
            [
                *lines,
                f"  largest miss of the sum of score components {self.additivity:.1e} of the score"
                f" ({'kept' if self.adds_up else 'NOT KEPT'}: at most {self.promised:.0e})",
            ]
        )


def methods_of(model: Explained, rng: np.random.Generator) -> dict[str, Method]:
    """Return the methods that rank this model's events: leave-one-out, Shapley values, similarity
    of embeddings, gradients of a network.
    """
    methods: dict[str, Method] = {
        "leave-one-out": lambda requests, items: [
            e[:, 0] for e in leave_one_out(model, requests, [[i] for i in items])
        ],
        "shapley": lambda requests, items: [
            shapley(model, r, [i], rng=rng, permutations=8)[:, 0]
            for r, i in zip(requests, items, strict=True)
        ],
    }
    if hasattr(model, "item_embeddings"):
        embedded = cast(Embedded, model)
        methods["likeness"] = lambda requests, items: [
            item_similarities(embedded, r, i) for r, i in zip(requests, items, strict=True)
        ]
    if has_network(model):
        recommender = cast("Recommender", model)
        methods["gradients"] = lambda requests, items: [
            event_gradients(recommender, r, i) for r, i in zip(requests, items, strict=True)
        ]
    return methods


def measure_faithfulness(
    model: Explained,
    requests: Sequence[Request],
    *,
    rng: np.random.Generator,
    reseeded: Sequence[Explained] = (),
) -> Faithfulness:
    """Measure the explanations of the first item of every request's slate.

    Args:
        requests: users with at least two events each; others are left out.
        reseeded: models fitted on the same data with other seeds, over the same vocabulary.

    Raises:
        BadInput: if no user has two events of known items.
    """
    users = _with_two_events(model, requests)
    scores = model.score(users)
    items = model.vocabulary.names(top(scores, hidden_items(model, users), 1)[:, 0])
    summed = np.sum(
        [component.astype(np.float64) for component in model.score_components(users).values()],
        axis=0,
    )
    effects = {name: method(users, items) for name, method in methods_of(model, rng).items()}
    curves = [
        curve
        for kind in ("deletion", "insertion")
        for curve in _curves(model, users, items, effects, kind, rng)
    ]
    exact = effects["leave-one-out"]
    agreement = {
        name: Mean.of(_correlations(of_method, exact), rng)
        for name, of_method in effects.items()
        if name != "leave-one-out"
    }
    others = [
        _correlations(methods_of(other, rng)["leave-one-out"](users, items), exact)
        for other in reseeded
    ]
    missed = float(np.abs(scores - summed).max() / max(np.abs(scores).max(), 1e-12))
    return Faithfulness(
        users=len(users),
        curves=curves,
        agreement=agreement,
        additivity=missed,
        stability=Mean.of(np.mean(others, axis=0), rng) if others else None,
    )


def _with_two_events(model: Explained, requests: Sequence[Request]) -> list[Request]:
    readable = [known_history(model, request)[0] for request in requests]
    users = [one for one in readable if len(one.history) > 1]
    if not users:
        raise BadInput(
            "faithfulness needs users with at least two events of known items; give longer "
            "histories"
        )
    return users


def _curves(
    model: Explained,
    users: Sequence[Request],
    items: Sequence[str],
    effects: dict[str, list[np.ndarray]],
    kind: str,
    rng: np.random.Generator,
) -> list[Curve]:
    """Return one curve per method, all compared with the same random orders."""
    by_chance = np.stack(
        [
            _walk(model, users, items, [rng.permutation(len(p.history)) for p in users], kind)
            for _ in range(RANDOM_ORDERS)
        ]
    ).mean(axis=0)
    sign = 1.0 if kind == "insertion" else -1.0
    curves = []
    for name, of_users in effects.items():
        walked = _walk(model, users, items, [np.argsort(-e, kind="stable") for e in of_users], kind)
        curves.append(
            Curve(
                method=name,
                kind=kind,
                relative_score=walked.mean(axis=0).tolist(),
                random=by_chance.mean(axis=0).tolist(),
                gain=Mean.of(sign * (walked - by_chance).mean(axis=1), rng),
            )
        )
    return curves


def _walk(
    model: Explained,
    users: Sequence[Request],
    items: Sequence[str],
    orders: Sequence[np.ndarray],
    kind: str,
) -> np.ndarray:
    """[B, 9] relative score of each user's item as events are removed (or added) in the given
    order, interpolated at each eighth of the events.
    """
    lengths = np.array([len(user.history) for user in users])
    steps = [
        (user, order[size:] if kind == "deletion" else order[:size])
        for user, order in zip(users, orders, strict=True)
        for size in range(len(order) + 1)
    ]
    columns = np.repeat(columns_of(model, items), lengths + 1)[:, None]
    along = relative_scores(
        model, [with_events(user, kept.tolist()) for user, kept in steps], columns
    )[:, 0]
    walks = np.split(along, np.cumsum(lengths + 1)[:-1])
    return np.stack([np.interp(GRID, np.linspace(0.0, 1.0, len(walk)), walk) for walk in walks])


def _correlations(effects: Sequence[np.ndarray], exact: Sequence[np.ndarray]) -> np.ndarray:
    """[B] Spearman correlation for each user; 0 where either side has equal effects for all
    events.
    """
    return np.array([_spearman(a, b) for a, b in zip(effects, exact, strict=True)])


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    a, b = rankdata(one), rankdata(other)
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a**2).sum() * (b**2).sum())
    return float(a @ b / size) if size > 0 else 0.0

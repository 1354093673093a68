"""Inner steps of a learner: their effect on the loss and slate of one user, and a map of the
adapted parameters of training users.

Adaptation is stateless, so "after step s" means that the learner adapts again with s steps; step 0
reads the history, if the learner does, but changes no parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from metarec.data.errors import BadInput
from metarec.models.base import TakesInnerSteps, dense
from metarec.recommendation.slate import Request

if TYPE_CHECKING:
    from metarec.recommendation.fitted import FittedModel

MAX_USERS = 200
"""Maximum number of users on a map."""
MAX_GROUPS = 8
"""Maximum number of groups on a map; the users of smaller ones are `other`."""
UNKNOWN, OTHER = "unknown", "other"


@dataclass(frozen=True, kw_only=True)
class InnerTrace:
    """Adaptation of one learner to one user, by inner step (0 .. S)."""

    learner: str
    """Id of the learner."""
    losses: list[float]
    """Loss of the inner loop, on the user's events."""
    slates: list[list[str]]
    """Titles of the slate of the learner alone, best first, without seen items."""
    kept: list[float]
    """Share of the slate of step 0 that remains on it."""

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    def to_text(self) -> str:
        """Return one line per step."""
        rows = zip(self.losses, self.kept, self.slates, strict=True)
        return "\n".join(
            [
                f"inner steps of {self.learner}: loss, share kept of the first slate, slate",
                *(
                    f"  {step:>3} {loss:>8.4f} {kept:>5.0%}  {', '.join(slate[:3])}"
                    for step, (loss, kept, slate) in enumerate(rows)
                ),
            ]
        )


@dataclass(frozen=True, kw_only=True)
class UserMap:
    """Adapted parameters of training users, projected on their first two principal components."""

    learner: str
    by: str
    """Column of users that names the groups."""
    places: np.ndarray
    """[U, 2] coordinates."""
    groups: list[str]
    """[U] group names."""
    explained: tuple[float, float]
    """Share of the variance in each component."""

    def rows(self) -> list[dict[str, Any]]:
        """Return for each group: number of users, their centroid, and their root mean square
        distance from it.
        """
        rows = []
        for group in dict.fromkeys(sorted(self.groups)):
            places = self.places[np.array(self.groups) == group]
            center = places.mean(0)
            spread = float(np.sqrt(((places - center) ** 2).sum(1).mean()))
            at = {"x": float(center[0]), "y": float(center[1]), "spread": spread}
            rows.append({"group": group, "users": len(places)} | at)
        return rows

    def to_text(self) -> str:
        """Return a table of the groups."""
        first, second = self.explained
        head = (
            f"{len(self.groups)} training users by what {self.learner} moved for them; the two "
            f"directions hold {first:.0%} and {second:.0%} of the variance"
        )
        lines = [f"{self.by:<24}{'users':>7}{'x':>9}{'y':>9}{'spread':>9}"]
        for row in self.rows():
            numbers = f"{row['x']:>9.3f}{row['y']:>9.3f}{row['spread']:>9.3f}"
            lines.append(f"{row['group']:<24.24}{row['users']:>7}{numbers}")
        return "\n".join([head, *lines])


def stepping_learner(model: FittedModel, name: str | None = None) -> tuple[str, TakesInnerSteps]:
    """Return the name of and the model's learner with inner steps: the one called `name`, or the
    first.

    Raises:
        BadInput: if there is none, or it takes no inner steps.
    """
    scorers: Mapping[str, Any] = model.ensemble.scorers
    learners = {key: one for key, one in scorers.items() if isinstance(one, TakesInnerSteps)}
    if name is None and learners:
        name = next(iter(learners))
    if name in learners:
        return str(name), learners[str(name)]
    if name in scorers:
        raise BadInput(
            f"{name} takes no inner steps, so there are none to follow; fit with a learner that "
            "does, such as --learner decoder_lora"
        )
    if name is not None:
        raise BadInput(f"the model has no learner {name!r}; it has {', '.join(scorers)}")
    raise BadInput(
        "no learner of the model takes inner steps; fit with one that does, such as "
        "--learner decoder_lora"
    )


def follow_steps(
    model: FittedModel, request: Request, learner: str | None = None, *, k: int = 10
) -> InnerTrace:
    """Adapt to one user with 0, 1, ... inner steps.

    Args:
        learner: id of the learner; the model's first that takes inner steps where None.
        k: length of the slates.

    Raises:
        BadInput: if the model has no such learner, or it takes no inner steps.
    """
    name, scorer = stepping_learner(model, learner)
    users = model.users([request])[0]
    titles, seen = model.catalog.titles(), np.unique(users.support.items)
    losses, slates = [], []
    for steps in range(scorer.inner_steps + 1):
        fewer = scorer.after_steps(steps)
        losses.append(float(fewer.support_losses(users)[0]))
        evidence = dense(fewer.evidence(users))[0].copy()
        evidence[seen] = -np.inf
        slates.append(np.argsort(-evidence, kind="stable")[: min(k, len(evidence) - len(seen))])
    first = set(slates[0].tolist())
    return InnerTrace(
        learner=name,
        losses=losses,
        slates=[[titles[item] for item in slate] for slate in slates],
        kept=[len(first & set(slate.tolist())) / max(1, len(first)) for slate in slates],
    )


def map_users(
    model: FittedModel, by: str, learner: str | None = None, *, max_users: int = MAX_USERS
) -> UserMap:
    """Map up to `max_users` training users by the parameters that a learner adapted to them.

    Args:
        by: column of the users that names their group.
        learner: as for `follow_steps`.

    Raises:
        BadInput: as `follow_steps`; or if users have no such column.
    """
    from metarec.recommendation.fitting.fit import behavior_of

    name, scorer = stepping_learner(model, learner)
    columns = [one for one in model.training.users.frame.columns if one != "user_id"]
    if by not in columns:
        raise BadInput(f"users have no column {by!r}; there are {', '.join(columns) or 'none'}")
    behavior = behavior_of(model)
    able = np.flatnonzero(behavior.pools > 0)
    some = able[:: max(1, -(-len(able) // max_users))]
    batch = behavior.batch_of(some, behavior.pool.users(some))
    moved = scorer.adapted(batch)
    places, explained = _plane(
        np.concatenate([v.reshape(len(some), -1) for v in moved.values()], 1)
    )
    stated = [str(attributes.get(by) or UNKNOWN) for attributes in batch.attributes]
    return UserMap(learner=name, by=by, places=places, groups=_groups(stated), explained=explained)


def _plane(params: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Return the first two principal components [U, 2], and the share of the variance in each."""
    centered = params.astype(np.float64) - params.mean(0)
    sides, lengths, _ = np.linalg.svd(centered, full_matrices=False)
    places = np.zeros((len(params), 2))
    dims = min(2, len(lengths))
    places[:, :dims] = sides[:, :dims] * lengths[:dims]
    shares = np.zeros(2)
    shares[:dims] = lengths[:dims] ** 2 / max(float((lengths**2).sum()), 1e-30)
    return places, (float(shares[0]), float(shares[1]))


def _groups(stated: list[str]) -> list[str]:
    """Return the group of each user, with `OTHER` for all but the largest groups."""
    names, counts = np.unique(stated, return_counts=True)
    kept = set(names[np.argsort(-counts, kind="stable")][:MAX_GROUPS].tolist())
    return [one if one in kept else OTHER for one in stated]

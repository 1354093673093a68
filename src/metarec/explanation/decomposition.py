"""Ablation: the contribution of each score component to quality on new users, and a model card that
reports it.

The score is an exact sum of components, so a component is removed by subtraction and nothing is
retrained. That measures what a component does in this model, not what a model fitted without it
would do; the card says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from metarec.evaluation.interface import requests_at
from metarec.evaluation.measure import EvaluationSet
from metarec.explanation.quality import Mean, ndcg_of
from metarec.explanation.relative_score import Explained
from metarec.recommendation.slate import Request


@dataclass(frozen=True, kw_only=True)
class AblationRow:
    """Ablation of one component at one support size."""

    component: str
    n_support: int
    """Support size."""
    without: float
    """Mean NDCG@k of the score without this component."""
    loss: Mean
    """NDCG@k lost without it, paired by new user; negative: the score is better without it here."""
    alone: float
    """Mean NDCG@k of this component alone."""


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """Quality of the whole score and ablation of each component, at each support size."""

    k: int
    cold_users: int
    full: dict[int, Mean]
    """Support size -> NDCG@k of the whole score."""
    rows: list[AblationRow]

    def to_json(self) -> dict[str, Any]:
        """Return plain data: only dicts, lists, text and numbers."""
        return asdict(self)

    def to_text(self) -> str:
        """Return a table: a row per component, a column per support size; * where the interval
        excludes zero.
        """
        sizes = list(self.full)
        name = max(len(f"without {row.component}") for row in self.rows)
        lines = [
            f"change of NDCG@{self.k} without one score component, {self.cold_users} users "
            f"evaluated as new users (* clear of zero)",
            " " * name + "".join(f"{s:>10}" for s in sizes) + "  known items",
            f"{'whole score':<{name}}" + "".join(f"{self.full[s].mean:>10.3f}" for s in sizes),
        ]
        for component in dict.fromkeys(row.component for row in self.rows):
            losses = {row.n_support: row.loss for row in self.rows if row.component == component}
            lines.append(
                f"{'without ' + component:<{name}}"
                + "".join(
                    f"{f'{-losses[s].mean:+.3f}' + ('*' if losses[s].is_clear else ' '):>10}"
                    for s in sizes
                )
            )
        return "\n".join(lines)


def ablate(
    model: Explained,
    evaluation_set: EvaluationSet,
    *,
    support_sizes: Sequence[int],
    rng: np.random.Generator,
    k: int = 10,
) -> Ablation:
    """Remove each component from the score in turn and evaluate the rest on the new users of
    `evaluation_set`.

    Args:
        support_sizes: support sizes at which to evaluate.
        rng: for the bootstrap.
    """
    qualities = {events: _qualities(model, evaluation_set, events, k) for events in support_sizes}
    names = dict.fromkeys(name for quality in qualities.values() for name in quality.components)
    return Ablation(
        k=k,
        cold_users=len(evaluation_set.cold_users),
        full={events: Mean.of(quality.full, rng) for events, quality in qualities.items()},
        rows=[
            _row(quality, component, events, rng)
            for events, quality in qualities.items()
            for component in names
        ],
    )


@dataclass(frozen=True)
class _Qualities:
    """NDCG@k [B] of new users at one support size."""

    full: np.ndarray
    components: dict[str, tuple[np.ndarray, np.ndarray]]
    """Component -> [B] of the score without it, and [B] of the component alone."""
    nothing: np.ndarray
    """[B] of a component that is zero."""

    def of(self, component: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the qualities without this component, and of it alone."""
        # Some components, such as `refused`, are missing where no user of a chunk has them.
        return self.components.get(component, (self.full, self.nothing))


def _row(
    qualities: _Qualities, component: str, events: int, rng: np.random.Generator
) -> AblationRow:
    lacking, alone = qualities.of(component)
    return AblationRow(
        component=component,
        n_support=events,
        without=float(lacking.mean()),
        alone=float(alone.mean()),
        loss=Mean.of(qualities.full - lacking, rng),
    )


def _qualities(model: Explained, evaluation_set: EvaluationSet, events: int, k: int) -> _Qualities:
    requests = requests_at(evaluation_set.cold_users, events)
    return _concat(
        [_of_chunk(model, evaluation_set, requests, chunk, k) for chunk in evaluation_set.chunks()]
    )


def _of_chunk(
    model: Explained,
    evaluation_set: EvaluationSet,
    requests: Sequence[Request],
    chunk: tuple[int, int],
    k: int,
) -> _Qualities:
    components = model.score_components(requests[slice(*chunk)])
    total = np.sum(list(components.values()), axis=0)

    def quality(scores: np.ndarray) -> np.ndarray:
        return ndcg_of(scores, model.vocabulary, evaluation_set, *chunk, k=k)

    each = {
        name: (quality(total - component), quality(component))
        for name, component in components.items()
    }
    return _Qualities(quality(total), each, quality(np.zeros_like(total)))


def _concat(chunks: Sequence[_Qualities]) -> _Qualities:
    """Concatenate the users of all chunks; a component missing in a chunk counts as zero there."""
    names = dict.fromkeys(name for chunk in chunks for name in chunk.components)
    return _Qualities(
        np.concatenate([chunk.full for chunk in chunks]),
        {name: _pair([chunk.of(name) for chunk in chunks]) for name in names},
        np.concatenate([chunk.nothing for chunk in chunks]),
    )


def _pair(pieces: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    lacking, alone = zip(*pieces, strict=True)
    return np.concatenate(lacking), np.concatenate(alone)


def model_card(
    model: Explained,
    ablation: Ablation,
    *,
    data_name: str,
    settings: dict[str, Any] | None = None,
    caveats: Sequence[str] = (),
) -> str:
    """Return a model card in Markdown (after Mitchell et al. 2019, arXiv:1810.03993) with the
    measured qualities.

    Args:
        data_name: name of the training data.
        settings: settings of the fit.
        caveats: further caveats; those that always hold are added.
    """
    lines = [
        f"# Model card: {getattr(model, 'version', '') or 'unnamed model'}",
        "",
        f"Recommends {len(model.vocabulary):,} items of {data_name} to new users.",
        "",
        "## Quality",
        "",
        f"NDCG@{ablation.k} of {ablation.cold_users} held-out new users, by number of events; 95% "
        f"interval over users.",
        "",
        *_quality(ablation),
        "",
        "A score component is taken out of the fitted score; a model fitted without it could "
        "make up for some of the loss.",
        "",
        "## Settings",
        "",
        *([f"- {name}: {value}" for name, value in (settings or {}).items()] or ["- as shipped"]),
        "",
        "## Caveats",
        "",
        *(f"- {caveat}" for caveat in caveats),
        "- Evaluated offline on what users chose by themselves; a live test may differ.",
        "- Groups were not compared here; see the audit.",
    ]
    return "\n".join(lines) + "\n"


def _quality(ablation: Ablation) -> list[str]:
    """Return the rows of a table: the whole model, and the change without each component."""
    sizes = list(ablation.full)
    of_model = [f"{m.mean:.3f} [{m.low:.3f}, {m.high:.3f}]" for m in ablation.full.values()]
    lines = [
        "| | " + " | ".join(str(s) for s in sizes) + " |",
        "|---|" + "---|" * len(sizes),
        "| whole model | " + " | ".join(of_model) + " |",
    ]
    for component in dict.fromkeys(row.component for row in ablation.rows):
        losses = [row.loss for row in ablation.rows if row.component == component]
        changes = [f"{-m.mean:+.3f} [{-m.high:+.3f}, {-m.low:+.3f}]" for m in losses]
        lines.append(f"| change without {component} | " + " | ".join(changes) + " |")
    return lines

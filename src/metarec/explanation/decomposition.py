"""A model taken apart: what each part of the score is worth to new users, and the card that says
so.

The score is an exact sum of parts, so a part is taken out by subtraction and nothing is trained
again. That answers "what does this part do in this model", not "what would a model built without it
do"; the table says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from metarec.evaluation.interface import requests_at
from metarec.evaluation.measure import Trial
from metarec.explanation.quality import Mean, ndcg_of
from metarec.explanation.relative_score import Explained
from metarec.recommendation.slate import Request


@dataclass(frozen=True, kw_only=True)
class AblationRow:
    """One part at one number of events."""

    part: str
    shots: int
    without: float
    """Mean NDCG@k of the score without this part."""
    loss: Mean
    """NDCG@k lost by taking it out, paired by new user; negative: the model is better off without
    it here.
    """
    alone: float
    """Mean NDCG@k of this part by itself."""


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """Quality of the whole and what each part is worth, at each number of events."""

    k: int
    cold_users: int
    full: dict[int, Mean]
    """Number of events -> NDCG@k of the whole score."""
    rows: list[AblationRow]

    def to_json(self) -> dict[str, Any]:
        """Plain data: only dicts, lists, text and numbers."""
        return asdict(self)

    def to_text(self) -> str:
        """A table: a line for each part, a column for each number of events; * where the interval
        leaves out zero.
        """
        shots = list(self.full)
        name = max(len(f"without {row.part}") for row in self.rows)
        lines = [
            f"NDCG@{self.k} of {self.cold_users} new users lost when a part is taken out (* clear "
            f"of zero)",
            " " * name + "".join(f"{s:>10}" for s in shots) + "  events",
            f"{'whole score':<{name}}" + "".join(f"{self.full[s].mean:>10.3f}" for s in shots),
        ]
        for part in dict.fromkeys(row.part for row in self.rows):
            losses = {row.shots: row.loss for row in self.rows if row.part == part}
            lines.append(
                f"{'without ' + part:<{name}}"
                + "".join(
                    f"{f'{-losses[s].mean:+.3f}' + ('*' if losses[s].is_clear else ' '):>10}"
                    for s in shots
                )
            )
        return "\n".join(lines)


def ablate(
    model: Explained, trial: Trial, *, shots: Sequence[int], rng: np.random.Generator, k: int = 10
) -> Ablation:
    """Take each part out of the score in turn and evaluate what is left on the new users of
    `trial`.

    Args:
        shots: numbers of events at which to evaluate.
        rng: draws the bootstrap.
    """
    found = {events: _qualities(model, trial, events, k) for events in shots}
    names = dict.fromkeys(name for whole in found.values() for name in whole.parts)
    return Ablation(
        k=k,
        cold_users=len(trial.cold_users),
        full={events: Mean.of(whole.full, rng) for events, whole in found.items()},
        rows=[_row(whole, part, events, rng) for events, whole in found.items() for part in names],
    )


@dataclass(frozen=True)
class _Qualities:
    """NDCG@k [B] of new users at one number of events."""

    full: np.ndarray
    parts: dict[str, tuple[np.ndarray, np.ndarray]]
    """Of the score without each part, and of the part alone."""
    nothing: np.ndarray
    """Of a part that adds nothing."""

    def of(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Without this part, and of it alone."""
        # What users refused, say, is a part only where somebody refused something.
        return self.parts.get(part, (self.full, self.nothing))


def _row(found: _Qualities, part: str, events: int, rng: np.random.Generator) -> AblationRow:
    lacking, alone = found.of(part)
    return AblationRow(
        part=part,
        shots=events,
        without=float(lacking.mean()),
        alone=float(alone.mean()),
        loss=Mean.of(found.full - lacking, rng),
    )


def _qualities(model: Explained, trial: Trial, events: int, k: int) -> _Qualities:
    requests = requests_at(trial.cold_users, events)
    return _concat([_of_chunk(model, trial, requests, chunk, k) for chunk in trial.chunks()])


def _of_chunk(
    model: Explained, trial: Trial, requests: Sequence[Request], chunk: tuple[int, int], k: int
) -> _Qualities:
    parts = model.score_parts(requests[slice(*chunk)])
    whole = np.sum(list(parts.values()), axis=0)

    def quality(scores: np.ndarray) -> np.ndarray:
        return ndcg_of(scores, model.vocabulary, trial, *chunk, k=k)

    each = {name: (quality(whole - part), quality(part)) for name, part in parts.items()}
    return _Qualities(quality(whole), each, quality(np.zeros_like(whole)))


def _concat(chunks: Sequence[_Qualities]) -> _Qualities:
    """The same of the users of all chunks; a part that a chunk lacks adds nothing there."""
    names = dict.fromkeys(name for chunk in chunks for name in chunk.parts)
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
    """A model card in Markdown (after Mitchell et al. 2019, arXiv:1810.03993), made from what was
    measured.

    Args:
        data_name: what the model learned from, as the reader knows it.
        settings: what it was fitted with.
        caveats: anything a reader must know; the ones that always hold are added.
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
        "A part is taken out of the fitted score; a model fitted without it could make up for "
        "some of the loss.",
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
    """Rows of a table: the whole model, and what changes without each part."""
    shots = list(ablation.full)
    whole = [f"{m.mean:.3f} [{m.low:.3f}, {m.high:.3f}]" for m in ablation.full.values()]
    lines = [
        "| | " + " | ".join(str(s) for s in shots) + " |",
        "|---|" + "---|" * len(shots),
        "| whole model | " + " | ".join(whole) + " |",
    ]
    for part in dict.fromkeys(row.part for row in ablation.rows):
        losses = [row.loss for row in ablation.rows if row.part == part]
        changes = [f"{-m.mean:+.3f} [{-m.high:+.3f}, {-m.low:+.3f}]" for m in losses]
        lines.append(f"| change without {part} | " + " | ".join(changes) + " |")
    return lines

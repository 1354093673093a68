"""The encoder of the items' texts: any text encoder by name, trained or fine-tuned on behavior
where requested.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

import numpy as np
import scipy.sparse as sp

from metarec.data.schema import BadInput
from metarec.features.encoders.base import TextEncoder
from metarec.features.encoders.encode import fit_text_encoder
from metarec.features.encoders.text.pretrained import PretrainedEncoder
from metarec.features.encoders.text.trained import collaborative_targets
from metarec.runtime.progress import Progress, silent
from metarec.runtime.rng import derive

TUNED = "+lora"
TUNED_NAME = re.compile(rf"(?P<base>.+){re.escape(TUNED)}(?P<steps>\d*)")


def item_reader(
    texts: Sequence[str],
    encoder: str,
    liked: sp.csr_matrix,
    *,
    rows: np.ndarray,
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[TextEncoder, str]:
    """Return the named encoder, fitted on training items, and the reason for it.

    Args:
        texts: texts of all items.
        encoder: as for `fit_text_encoder`, or such a name followed by `+lora` (`minilm+lora`):
            fine-tuned on the likes of users, and kept only if that ranks held-out items better; a
            number after it is the maximum of steps (`minilm@32+lora40`).
        liked: [users, items] above 0 where a training user liked an item.
        rows: items that may be learned from.
        seed: seed of training and fine-tuning.
        progress: receives the share of work done.

    Raises:
        BadInput: for an unknown encoder, or one that cannot be fine-tuned.
    """
    tuning = TUNED_NAME.fullmatch(encoder)
    base = tuning["base"] if tuning else encoder
    reader, reason = fit_text_encoder(
        texts,
        base,
        fit_on=rows,
        targets=partial(collaborative_targets, liked, seed=seed),
        rng=derive(seed, "text encoder"),
        progress=progress,
    )
    if tuning is None:
        return reader, reason
    if not isinstance(reader, PretrainedEncoder):
        raise BadInput(
            f"only pretrained encoders can be fine-tuned, not {reader.name!r} ({reason}); name "
            f"one, such as minilm{TUNED}"
        )
    steps = int(tuning["steps"]) if tuning["steps"] else None
    is_learned_from = np.zeros(liked.shape[1], dtype=np.float32)
    is_learned_from[rows] = 1.0
    learned = sp.csr_matrix(liked @ sp.diags(is_learned_from))
    tuned, note = _fine_tuned(reader, texts, learned, steps, derive(seed, "fine-tune"), progress)
    return tuned, f"{reason}; {note}"


def _fine_tuned(
    reader: PretrainedEncoder,
    texts: Sequence[str],
    liked: sp.csr_matrix,
    steps: int | None,
    rng: np.random.Generator,
    progress: Progress,
) -> tuple[TextEncoder, str]:
    """Return the fine-tuned encoder, or the frozen one where that is not better, and a report."""
    from metarec.features.encoders.text.lora import LoraOptions, fine_tune

    options = None if steps is None else LoraOptions(steps=steps)
    tuned = fine_tune(texts, liked, reader, options=options, rng=rng, progress=progress)
    outcome = "kept" if tuned.improved else "not kept"
    return tuned.encoder, (
        f"fine-tuned by LoRA: NDCG@10 of held-out items {tuned.frozen_score:.3f} frozen, "
        f"{tuned.tuned_score:.3f} tuned, {outcome}"
    )

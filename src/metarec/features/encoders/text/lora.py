"""Fine-tuning of a text encoder on a recommendation loss; the tuned encoder must beat the frozen
one.

Hu et al. 2021, LoRA, arXiv:2106.09685, by the library peft: only low-rank updates of the attention
weights are learned, so that little data cannot degrade the model much, and an adapter has a few
hundred kilobytes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from metarec.data.schema import BadInput
from metarec.features.encoders.text.pretrained import PretrainedEncoder, pool, prompted_texts
from metarec.features.encoders.text.text_model import Adapter, knows_bf16, load_model
from metarec.runtime.device import device, in_memory, on_device
from metarec.runtime.extras import require
from metarec.runtime.gains import ndcg_of_scores
from metarec.runtime.progress import Progress, silent
from metarec.runtime.training import Watch, one_of, train

ATTENTION_WEIGHTS = (
    "query",
    "value",
    "q_lin",
    "v_lin",
    "q_proj",
    "v_proj",
    "c_attn",
    "q",
    "v",
    "Wqkv",
)
"""Names of attention weights in common models; those that a model has are adapted."""


@dataclass(frozen=True, kw_only=True)
class LoraOptions:
    """Settings of the fine-tuning."""

    rank: int = 8
    """Rank of the updates."""
    steps: int = 150
    """Maximum of gradient steps."""
    items_per_step: int = 64
    """Texts encoded in a step; the loss is over users who liked two or more of these items."""
    most_users: int = 2048
    """Maximum of users in a step."""
    learning_rate: float = 1e-3
    """Peak step size of AdamW: linear warm-up over a tenth of the steps, then linear decay to 0."""
    temperature: float = 0.1
    """Temperature of the softmax over cosines."""
    max_tokens: int = 64
    """Maximum of tokens of a text in training."""
    held_out: float = 0.15
    """Share of items held out as cold items for evaluation."""
    check_every: int = 25
    """Steps between two evaluations."""
    patience: int = 4
    """Evaluations without improvement before training stops."""

    def __post_init__(self) -> None:
        for name in ("rank", "steps", "items_per_step", "check_every", "patience"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} must be 1 or more, got {getattr(self, name)}")
        if not 0 < self.held_out < 1:
            raise BadInput(f"held_out must lie between 0 and 1, got {self.held_out}")


@dataclass(frozen=True, kw_only=True)
class FineTuned:
    """Result of the fine-tuning."""

    encoder: PretrainedEncoder
    """The tuned encoder if it beats the frozen one, else the frozen one."""
    frozen_score: float
    """NDCG@10 of held-out items with the frozen encoder."""
    tuned_score: float
    """The best NDCG@10 of held-out items during fine-tuning."""
    improved: bool
    """Whether `encoder` is the tuned one."""


def fine_tune(
    texts: Sequence[str],
    liked: sp.csr_matrix,
    encoder: PretrainedEncoder,
    *,
    options: LoraOptions | None = None,
    rng: np.random.Generator,
    progress: Progress = silent,
) -> FineTuned:
    """Fine-tune a text encoder on items liked by the same users, and keep it only if held-out items
    are ranked better.

    Each step encodes some items. For each user who liked several of them, each liked item is
    predicted from the others by a softmax over the encoded items, with log popularity as a fixed
    bias, so that vectors need not encode popularity. Other items that the user liked are no
    negatives.

    Args:
        texts: texts of all items.
        liked: [U, N] above 0 where a training user liked an item.
        encoder: the frozen encoder.
        options: settings; the defaults if None.
        rng: draws held-out items, items of a step and dropout.
        progress: receives the share of steps done.

    Raises:
        BadInput: if too few items have text and users, or the model has no known attention weights.
    """
    options = options or LoraOptions()
    learned, evaluated = _items(texts, liked, options.held_out, rng)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        tuner = _Tuner(
            texts=texts,
            liked=liked,
            encoder=encoder,
            options=options,
            learned=learned,
            evaluated=evaluated,
        )
        frozen_score = tuner.score(None)
        best_score, best = tuner.run(rng, progress)
    improved = best is not None and best_score > frozen_score
    if improved:
        kept = encoder.cache is not None
        encoder = PretrainedEncoder(encoder.located, encoder.options, adapter=best, cache=kept)
    return FineTuned(
        encoder=encoder, frozen_score=frozen_score, tuned_score=best_score, improved=improved
    )


def _items(
    texts: Sequence[str], liked: sp.csr_matrix, held_out: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return training items and held-out items, all with text and two or more users.

    Raises:
        BadInput: if there are too few.
    """
    has_text = np.array([bool(text.strip()) for text in texts])
    usable = np.flatnonzero(has_text & (np.asarray((liked > 0).sum(axis=0)).ravel() > 1))
    evaluated, learned = np.split(rng.permutation(usable), [int(held_out * len(usable))])
    if len(learned) < 4 or len(evaluated) < 2:
        raise BadInput(
            f"only {len(usable)} items have both text and two users who liked them; fine-tuning "
            f"needs dozens at least"
        )
    return learned, evaluated


def cold_ndcg(vectors: np.ndarray, liked: sp.csr_matrix, cold: np.ndarray, k: int = 10) -> float:
    """Return the mean NDCG@k over users of cold items, ranked among themselves by similarity to the
    other items that the user liked.

    Vectors are centered first, as what all texts have in common is not informative. Users without a
    liked cold item, or without another liked item, are left out.
    """
    is_cold = np.zeros(len(vectors), dtype=bool)
    is_cold[cold] = True
    centered = vectors - vectors[~is_cold].mean(axis=0)
    taken = sp.csr_matrix(liked > 0, dtype=np.float32)
    support, targets = taken[:, ~is_cold], taken[:, cold].toarray() > 0
    rows = np.flatnonzero((targets.sum(axis=1) > 0) & (support.getnnz(axis=1) > 0))
    if not len(rows):
        return 0.0
    scores = (support[rows] @ centered[~is_cold]) @ centered[cold].T
    return float(ndcg_of_scores(scores, targets[rows], k).mean())


@dataclass(kw_only=True)
class _Tuner:
    """One run of fine-tuning."""

    texts: Sequence[str]
    liked: sp.csr_matrix
    encoder: PretrainedEncoder
    options: LoraOptions
    learned: np.ndarray
    evaluated: np.ndarray
    in_16_bits: bool = field(default_factory=knows_bf16)
    """Whether to encode in bf16 while tuning, three times as fast where the processor supports it;
    the learned weights stay in 32 bits.
    """

    def run(self, rng: np.random.Generator, progress: Progress) -> tuple[float, Adapter | None]:
        """Fine-tune; return the best score on held-out items, and the adapter that reached it."""
        options, peft = self.options, require("peft", "tune")
        tokenizer, base = load_model(self.encoder.located)
        model = self._adapted(peft, base)
        parameters = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=options.learning_rate)
        counts = np.asarray((self.liked > 0).sum(axis=0)).ravel()
        popularity = on_device(np.log(counts + 1.0).astype(np.float32))

        def loss(done: int) -> Tensor | None:  # noqa: ARG001
            model.train()
            count = min(options.items_per_step, len(self.learned))
            items = np.sort(rng.choice(self.learned, size=count, replace=False))
            read, known = self._read(model, tokenizer, items), popularity[on_device(items)]
            return self._loss(read, items, known, rng)

        def report(done: int, loss: float | None) -> None:
            note = "" if loss is None else f"loss {loss:.3f}"
            progress("fine-tune text encoder", done / options.steps, note)

        trained = train(
            options.steps,
            one_of(loss),
            optimizer,
            schedule=_schedule(optimizer, options.steps),
            watch=Watch(
                quality=lambda: self.score(_adapter(model, 2.0)),
                state=lambda: _adapter(model, 2.0),
                every=options.check_every,
                patience=options.patience,
            ),
            on_round=report,
        )
        return trained.quality, trained.state

    def _adapted(self, peft: Any, base: Any) -> Any:
        """Return the model with low-rank updates of its attention weights.

        Raises:
            BadInput: if it has no known attention weights.
        """
        there = {name.rsplit(".", 1)[-1] for name, _ in base.named_modules()}
        names = there & set(ATTENTION_WEIGHTS)
        if not names:
            raise BadInput(
                f"{self.encoder.name!r} has no attention weights named "
                f"{', '.join(ATTENTION_WEIGHTS)}; "
                "it cannot be fine-tuned here"
            )
        lora = peft.LoraConfig(
            r=self.options.rank,
            lora_alpha=2 * self.options.rank,
            lora_dropout=0.1,
            target_modules=sorted(names),
            fan_in_fan_out="c_attn" in names,
        )
        with warnings.catch_warnings():
            # peft uses a deprecated name of transformers
            warnings.simplefilter("ignore", FutureWarning)
            return peft.get_peft_model(base, lora).to(device())

    def score(self, adapter: Adapter | None) -> float:
        """Return NDCG@10 of the held-out items with an adapter, or with the frozen encoder."""
        reading = (
            replace(self.encoder.options, precision="bf16")
            if self.in_16_bits and self.encoder.options.engine == "torch"
            else self.encoder.options
        )
        reader = PretrainedEncoder(self.encoder.located, reading, adapter=adapter, cache=False)
        return cold_ndcg(reader.encode(self.texts), self.liked, self.evaluated)

    def _read(self, model: Any, tokenizer: Any, items: np.ndarray) -> Tensor:
        """Return unit vectors [I, D] of these items' texts, with gradients."""
        max_tokens = min(self.options.max_tokens, self.encoder.max_tokens)
        texts, _ = prompted_texts(
            [self.texts[int(item)] for item in items], tokenizer, self.encoder.prompt, max_tokens
        )
        tokens = tokenizer(
            texts, truncation=True, max_length=max_tokens, padding=True, return_tensors="pt"
        ).to(device())
        with torch.autocast(device().type, torch.bfloat16, enabled=self.in_16_bits):
            hidden = model(
                input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
            ).last_hidden_state.float()
        return torch.nn.functional.normalize(
            pool(hidden, tokens["attention_mask"].bool(), self.encoder.pooling), dim=1
        )

    def _loss(
        self, vectors_ID: Tensor, items: np.ndarray, popularity_I: Tensor, rng: np.random.Generator
    ) -> Tensor | None:
        """Return the softmax loss of each pair (user, liked item), with the user's other liked
        items as the query, averaged over users; None if no user liked two of these items.
        """
        taken = self.liked[:, items] > 0
        users = np.flatnonzero(np.asarray(taken.sum(axis=1)).ravel() > 1)
        if not len(users):
            return None
        if len(users) > self.options.most_users:
            users = rng.choice(users, size=self.options.most_users, replace=False)
        taken_UI = on_device(taken[users].toarray().astype(np.float32))
        users_UD, alike_II = taken_UI @ vectors_ID, vectors_ID @ vectors_ID.T
        others_U = (taken_UI.sum(dim=1, keepdim=True) - 1).clamp(min=1).sqrt()
        # Leaving item i out of a user's sum changes the score of j by alike[i, j]; positives lose
        # their own part, which is 1.
        positive_UI = (
            users_UD @ vectors_ID.T - alike_II.diagonal()
        ) / others_U / self.options.temperature + popularity_I
        rows, places = taken_UI.nonzero(as_tuple=True)
        negative_PI = ((users_UD @ vectors_ID.T)[rows] - alike_II[places]) / others_U[
            rows
        ] / self.options.temperature + popularity_I
        negative_PI = negative_PI.masked_fill(
            taken_UI[rows] > 0, torch.finfo(negative_PI.dtype).min
        )
        scores = torch.cat([positive_UI[rows, places][:, None], negative_PI], dim=1)
        losses_P = torch.nn.functional.cross_entropy(
            scores, torch.zeros_like(rows), reduction="none"
        )
        weights_P = 1 / taken_UI.sum(dim=1)[rows]  # each user has the same total weight
        return (losses_P * weights_P).sum() / weights_P.sum()


def _schedule(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    """Return a schedule of linear warm-up over a tenth of the steps and linear decay to 0."""
    warm = max(1, steps // 10)

    def pace(step: int) -> float:
        return min((step + 1) / warm, max(0.0, (steps - step) / max(1, steps - warm)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, pace)


def _adapter(model: Any, scale: float) -> Adapter:
    """Return the learned updates as plain arrays, named as in the base model."""
    prefix = "base_model.model."
    layers = {
        name[len(prefix) :]: module
        for name, module in model.named_modules()
        if hasattr(module, "lora_A") and name.startswith(prefix)
    }
    return Adapter(
        scale=scale,
        down={
            name: in_memory(module.lora_A["default"].weight).copy()
            for name, module in layers.items()
        },
        up={
            name: in_memory(module.lora_B["default"].weight).copy()
            for name, module in layers.items()
        },
    )

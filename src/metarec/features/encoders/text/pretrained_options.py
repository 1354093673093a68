"""Options of a pretrained text model, and the defaults that its files give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from metarec.data.schema import BadInput
from metarec.features.encoders.locate import Located
from metarec.features.encoders.model_files import read_json

DECODERS = (
    "gpt2",
    "gpt_neo",
    "gpt_neox",
    "opt",
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "phi",
    "bloom",
    "smollm3",
)
POOLINGS = ("mean", "cls", "last")
PRECISIONS = ("fp32", "bf16", "int8")
ENGINES = ("torch", "onnx")
ONE_WORD = 'This item: "{text}" means in one word: "'
"""Prompt that makes a decoder summarize the text in its last token (Jiang et al. 2023,
arXiv:2307.16645). Without it the last token predicts the word that follows the text, with which
cold office products reached .119 instead of .272 (docs/experiments).
"""
MAX_TOKENS = 512


@dataclass(frozen=True, kw_only=True)
class PretrainedOptions:
    """Options of a pretrained text model."""

    pooling: str = "auto"
    """`mean` over real tokens, `cls` (the first token), `last` (the last real token, for decoders),
    or `auto`: that of the model's files.
    """
    prompt: str = "auto"
    """Template around each text, such as `query: {text}`; `auto` is none, but `ONE_WORD` where a
    decoder's last token is used.
    """
    max_tokens: int | None = None
    """Maximum of tokens of a text; by default that of the model's files. Never above 512."""
    precision: str = "fp32"
    """`fp32`; `bf16` halves memory and is faster only where the processor supports it; `int8` is
    faster and changes nearest neighbors.
    """
    engine: str = "torch"
    """`torch`, or `onnx` (ONNX Runtime, in fp32)."""

    def __post_init__(self) -> None:
        if self.pooling not in ("auto", *POOLINGS):
            raise BadInput(f"pooling must be auto, {', '.join(POOLINGS)}, got {self.pooling!r}")
        if self.precision not in PRECISIONS:
            raise BadInput(
                f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}"
            )
        if self.engine not in ENGINES or (self.engine == "onnx" and self.precision != "fp32"):
            raise BadInput(
                f"engine must be torch, or onnx with precision fp32, got {self.engine!r} with "
                f"{self.precision!r}"
            )
        if self.prompt != "auto" and "{text}" not in self.prompt:
            raise BadInput(f"prompt must hold {{text}}, got {self.prompt!r}")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise BadInput(f"max_tokens must be 1 or more, got {self.max_tokens}")


def resolved_options(located: Located, options: PretrainedOptions) -> tuple[str, str, int]:
    """Return pooling, prompt and token limit: those of the options or, for `auto`, those of the
    model's files.
    """
    folder = located.folder
    config, pooling, sentence = (
        read_json(folder / name)
        for name in ("config.json", "1_Pooling/config.json", "sentence_bert_config.json")
    )
    if options.pooling != "auto":
        way = options.pooling
    elif pooling:
        way = (
            "cls"
            if pooling.get("pooling_mode_cls_token")
            else "last"
            if pooling.get("pooling_mode_lasttoken")
            else "mean"
        )
    else:
        way = "last" if located.gguf or is_decoder(config) else "mean"
    template = (
        ONE_WORD if way == "last" and not pooling else "{text}"
    )  # a model whose files give a pooling was trained for it, without a prompt
    prompt = template if options.prompt == "auto" else options.prompt
    positions = config.get("max_position_embeddings", config.get("n_positions", MAX_TOKENS))
    limit = sentence.get("max_seq_length") or positions
    if config.get("model_type") in ("roberta", "xlm-roberta", "camembert", "mpnet"):
        limit = min(limit, positions - 2)  # these reserve two positions
    return way, prompt, min(options.max_tokens or MAX_TOKENS, int(limit), MAX_TOKENS)


def is_decoder(config: dict[str, Any]) -> bool:
    """Return whether a config.json describes a GPT-like model, in which only the last token attends
    to the whole text.
    """
    heads = " ".join(config.get("architectures") or ())
    return "CausalLM" in heads or "LMHead" in heads or config.get("model_type", "") in DECODERS

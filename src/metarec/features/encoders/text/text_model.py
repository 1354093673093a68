"""Loading of a text model and its tokenizer, with checks of both."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors import SafetensorError

from metarec.data.schema import BadInput
from metarec.features.encoders.cache import content_key
from metarec.features.encoders.locate import Located
from metarec.features.encoders.model_files import read_json
from metarec.runtime.device import on_device
from metarec.runtime.extras import require

SMALLEST_SHARE = 0.25
"""Minimum share of a model's tokens that its tokenizer must know."""
UNREADABLE = (OSError, ValueError, KeyError, struct.error, SafetensorError)
"""Errors that libraries raise for damaged files."""


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """Low-rank updates of a fine-tuned model: each named weight W becomes W + scale * up @ down
    (LoRA).
    """

    scale: float
    down: dict[str, np.ndarray]
    """Module name -> [rank, in]."""
    up: dict[str, np.ndarray]
    """Module name -> [out, rank]."""

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays by unique names, for saving."""
        return {
            f"{kind}/{name}": value
            for kind, part in (("down", self.down), ("up", self.up))
            for name, value in part.items()
        }

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray], scale: float) -> Adapter:
        """Return the adapter with these `arrays`."""
        down, up = (
            {
                name.split("/", 1)[1]: value
                for name, value in arrays.items()
                if name.startswith(f"{kind}/")
            }
            for kind in ("down", "up")
        )
        return cls(scale=scale, down=down, up=up)

    def apply(self, model: Any) -> None:
        """Add the products to the weights of a freshly loaded model."""
        import torch

        modules = dict(model.named_modules())
        with torch.no_grad():
            for name, down in self.down.items():
                change = on_device(self.scale * (self.up[name] @ down))
                weight, is_turned = (
                    modules[name].weight,
                    type(modules[name]).__name__ == "Conv1D",
                )  # GPT-2 stores its weights transposed
                weight += (change.T if is_turned else change).to(weight.dtype)


def knows_bf16() -> bool:
    """Return whether this processor supports bf16; where it does not, bf16 is slower than fp32."""
    import torch

    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def load_model(
    located: Located, precision: str = "fp32", adapter: Adapter | None = None
) -> tuple[Any, Any]:
    """Return tokenizer and text model, in evaluation mode.

    Raises:
        BadInput: if the files are not a text model, or the weights do not fit it.
    """
    import torch

    transformers = require("transformers", "text")
    gguf = {"gguf_file": located.gguf} if located.gguf else {}
    if gguf:
        require("gguf", "decoder")
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    _check_kind(located, transformers)
    with (
        quiet_transformers(transformers),
        redirect_stderr(io.StringIO()) if gguf else nullcontext(),
    ):  # GGUF prints its own progress bars
        tokenizer = _read_tokenizer(located, transformers, gguf)
        model, loading = _read_weights(located, transformers, dtype, gguf)
    _check_weights(located, model, loading)
    _check_tokenizer(located, tokenizer, model.config.vocab_size)
    model = model.get_encoder() if getattr(model.config, "is_encoder_decoder", False) else model
    if tokenizer.pad_token_id is None and tokenizer.eos_token_id is not None:
        tokenizer.pad_token = tokenizer.eos_token
    model = model.eval()
    if adapter is not None:
        adapter.apply(model)
    if precision == "int8":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch deprecates this module
            model = torch.ao.quantization.quantize_dynamic(
                model, {torch.nn.Linear}, dtype=torch.qint8
            )  # type: ignore[no-untyped-call]
    return tokenizer, model


def _read_tokenizer(located: Located, transformers: Any, gguf: dict[str, str]) -> Any:
    try:
        return transformers.AutoTokenizer.from_pretrained(
            located.folder, local_files_only=True, **gguf
        )
    except (*UNREADABLE, TypeError, AttributeError) as error:
        raise BadInput(
            f"{located.name!r} holds no tokenizer that can be read; is it a text model? "
            f"({_first_line(error)})"
        ) from error


def _read_weights(
    located: Located, transformers: Any, dtype: Any, gguf: dict[str, str]
) -> tuple[Any, Any]:
    """Return the model and the loading report of transformers."""
    try:
        model, loading = transformers.AutoModel.from_pretrained(
            located.folder, local_files_only=True, dtype=dtype, output_loading_info=True, **gguf
        )
    except (*UNREADABLE, RuntimeError) as error:
        raise BadInput(
            f"{located.name!r} cannot be loaded as a text model ({_first_line(error)})"
        ) from error
    return model, loading


@contextmanager
def quiet_transformers(transformers: Any) -> Iterator[None]:
    """Load without progress bars and reports on the terminal; settings are restored after."""
    log = transformers.utils.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()


def _check_kind(located: Located, transformers: Any) -> None:
    """Refuse a config.json of an unknown architecture, or of one without text input, before
    anything is loaded.
    """
    config = read_json(located.folder / "config.json")
    kind = config.get("model_type")
    if kind is None:
        return
    if kind not in transformers.CONFIG_MAPPING:
        raise BadInput(
            f"{located.name!r} is of the architecture {kind!r}, which transformers "
            f"{transformers.__version__} does not know; "
            "give a model of the BERT, GPT or T5 family, or update transformers"
        )
    if not hasattr(transformers.CONFIG_MAPPING[kind](), "vocab_size"):
        raise BadInput(
            f"{located.name!r} is a model of the kind {kind!r}, which reads no text; give a text "
            f"model"
        )


def _check_weights(located: Located, model: Any, loading: dict[str, Any]) -> None:
    """Refuse a model without token embeddings, or with missing weights other than the pooler's."""
    if (
        not hasattr(model, "get_input_embeddings")
        or getattr(model.config, "vocab_size", None) is None
    ):
        raise BadInput(
            f"{located.name!r} is a {type(model).__name__}, which reads no text; give a text model"
        )
    synthetic = [name for name in loading.get("missing_keys", ()) if "pooler" not in name]
    if synthetic:
        raise BadInput(
            f"the weights of {located.name!r} do not fit its config.json: {len(synthetic)} tensors "
            f"are missing "
            f"(the first is {sorted(synthetic)[0]!r}); give a complete checkpoint"
        )


def _check_tokenizer(located: Located, tokenizer: Any, model_tokens: int) -> None:
    """Refuse the tokenizer that transformers creates if files are missing, with special tokens and
    no words.
    """
    words = (
        tokenizer.get_vocab().keys()
        - set(tokenizer.all_special_tokens)
        - tokenizer.get_added_vocab().keys()
    )
    if len(words) < SMALLEST_SHARE * model_tokens:
        raise BadInput(
            f"the tokenizer of {located.name!r} knows {len(words):,} of the {model_tokens:,} "
            f"tokens the model was made for; "
            "put its tokenizer files (such as tokenizer.json) beside the weights"
        )


def hash_of(adapter: Adapter | None) -> str:
    """Return a hash of an adapter; empty for none."""
    if adapter is None:
        return ""
    return content_key(
        b"".join(name.encode() + value.tobytes() for name, value in sorted(adapter.arrays.items()))
    ).hex()


def _first_line(error: Exception) -> str:
    if "ignore_mismatched_sizes" in str(
        error
    ):  # this message refers to a report that is silenced here
        return "weights of another shape than its config.json says"
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

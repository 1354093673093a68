"""Any Hugging Face text model as an encoder: BERT-like encoders, GPT-like decoders, the encoder
half of T5-like models.

Texts are sorted by length, so that a batch wastes little on padding; each distinct text is encoded
once and kept on disk; nothing of `transformers` is loaded while the cache holds all that is asked.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from metarec.data.schema import BadInput
from metarec.features.encoders.base import STAGE, EncoderState, unit_rows
from metarec.features.encoders.cache import EncodingCache, content_key
from metarec.features.encoders.locate import Located, locate
from metarec.features.encoders.onnx import OnnxModel
from metarec.runtime.device import device, in_memory, on_device, up_to
from metarec.runtime.extras import require
from metarec.runtime.progress import Progress, silent

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
"""Makes a decoder gather the text in the token it would go on with (Jiang et al. 2023,
arXiv:2307.16645); without it the last token
says what follows the last word, which put new office goods at .119 instead of .272
(docs/experiments).
"""
MAX_TOKENS = 512
LETTERS_PER_TOKEN = 16
"""Letters read per token allowed; no language needs more, and a text of megabytes would take
minutes to cut into tokens.
"""
SMALLEST_SHARE = 0.25
"""Of a model's tokens, how many its tokenizer must know."""
UNREADABLE = (OSError, ValueError, KeyError, struct.error, SafetensorError)
"""What damaged files raise in the libraries that read them."""
TOKENS_PER_BATCH = 4096
KEPT_TOGETHER = 2048
"""Texts encoded between two writes to the cache: what an interruption can cost."""
_LOADING = threading.Lock()
"""Held while a model loads: two threads would load it twice, and `transformers` looks up its own
modules late and not for two at once.
"""


@dataclass(frozen=True, kw_only=True)
class PretrainedOptions:
    """How a pretrained model reads a text."""

    pooling: str = "auto"
    """`mean` over real tokens, `cls` (the first), `last` (the last real one: decoders), or `auto`:
    what the model was made for.
    """
    prompt: str = "auto"
    """What is put around each text, such as `query: {text}`; `auto` is nothing, but `ONE_WORD`
    where a decoder's last token is read.
    """
    max_tokens: int | None = None
    """Tokens read of a text, at most; by default what the model was made for, and never above 512.
    """
    precision: str = "fp32"
    """`fp32`; `bf16` halves memory and is faster only where the processor knows it; `int8` is
    faster and changes neighbours.
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


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """What fine-tuning changed, as products of low rank: each named weight W is read as W + scale *
    up @ down (LoRA).
    """

    scale: float
    down: dict[str, np.ndarray]
    """Module name -> [rank, in]."""
    up: dict[str, np.ndarray]
    """Module name -> [out, rank]."""

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Everything under names of its own, as a saved model keeps it."""
        return {
            f"{kind}/{name}": value
            for kind, part in (("down", self.down), ("up", self.up))
            for name, value in part.items()
        }

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray], scale: float) -> Adapter:
        """The adapter whose `arrays` these are."""
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
                )  # as GPT-2 keeps its weights
                weight += (change.T if is_turned else change).to(weight.dtype)


class PretrainedEncoder:
    """A text model of the Hugging Face family, as published or with an adapter from fine-tuning.

    Sentence embeddings by masked mean follow Reimers & Gurevych 2019, arXiv:1908.10084.
    """

    def __init__(
        self,
        located: Located,
        options: PretrainedOptions | None = None,
        *,
        cache: Path | bool = True,
        adapter: Adapter | None = None,
    ) -> None:
        self.located = located
        self.options = options or PretrainedOptions()
        self.adapter = adapter
        self.name = located.name if adapter is None else f"{located.name} + LoRA"
        self.notes: list[str] = []
        self.pooling, self.prompt, self.max_tokens = _made_for(located, self.options)
        self.fingerprint = fingerprint(located)
        identity = json.dumps(
            [
                self.fingerprint,
                self.pooling,
                self.max_tokens,
                self.prompt,
                self.options.precision,
                _hash(adapter),
            ]
        )
        self._root = cache if isinstance(cache, Path) else None
        self.cache = EncodingCache(identity, self._root) if cache is not False else None
        self._cut = EncodingCache(f"{identity} cut", self._root) if cache is not False else None
        self._loaded: tuple[Any, Any] | None = None
        self._exported: OnnxModel | None = None

    @property
    def dim(self) -> int:
        """Width of a vector."""
        config = _json(self.located.folder / "config.json")
        width = next(
            (config[key] for key in ("hidden_size", "n_embd", "d_model", "dim") if key in config),
            None,
        )
        return int(width if width is not None else self._model()[1].config.hidden_size)

    @property
    def weights(self) -> int:
        """Weights of the layers, by which every token is multiplied, as the model's settings tell
        them; embeddings are only looked up.
        """
        config = _json(self.located.folder / "config.json")

        def of(*names: str) -> int:
            return next((int(config[name]) for name in names if config.get(name)), 0)

        width = self.dim
        inner = of("intermediate_size", "n_inner", "d_ff", "ffn_dim") or 4 * width
        layers = of("num_hidden_layers", "n_layer", "num_layers", "n_layers")
        return layers * (4 * width**2 + 2 * width * inner)

    def encode(
        self, texts: Sequence[str], *, progress: Progress = silent, keep: bool = True
    ) -> np.ndarray:
        """float32 [n, dim]; see `TextEncoder`.

        Args:
            keep: whether the cache is asked and keeps what is new, and `notes` tells how many texts
                were too long.
        """
        cache = self.cache if keep else None
        keys = [content_key(text) for text in texts]
        first = {
            key: place for place, key in reversed(list(enumerate(keys))) if texts[place].strip()
        }
        wanted = list(first)
        found, known = (
            cache.look_up(wanted)
            if cache is not None
            else (np.zeros(len(wanted), dtype=bool), None)
        )
        missing = [texts[first[key]] for key, hit in zip(wanted, found, strict=True) if not hit]
        fresh, cut = self._encode_new(
            missing, cache, progress, done=len(texts) - len(missing), total=len(texts)
        )
        if keep and wanted:
            self._tell_cut(np.array(wanted, object), found, cut)
        dim = (
            fresh.shape[1]
            if len(fresh)
            else known.shape[1]
            if known is not None and len(known)
            else self.dim
        )
        rows = np.zeros(
            (len(wanted) + 1, dim), np.float32
        )  # the last row stays zeros, for texts that are empty
        rows[:-1][~found] = fresh if len(fresh) else 0
        rows[:-1][found] = known if known is not None and found.any() else 0
        place = {key: row for row, key in enumerate(wanted)}
        return rows[[place.get(key, len(wanted)) for key in keys]]

    def load(self) -> None:
        """Load the weights now and read a text with them, so that nobody waits for that later; the
        cache is not asked and keeps nothing.
        """
        self._forward(self._tokens(["a text"])[0])

    def state(self) -> EncoderState:
        """The model's name and how it reads; its weights stay where they are."""
        found = {
            "pooling": self.pooling,
            "prompt": self.prompt,
            "max_tokens": self.max_tokens,
        }  # what `auto` came to
        settings = {
            "kind": "pretrained",
            "name": self.located.name,
            "fingerprint": self.fingerprint,
            **asdict(self.options),
            **found,
        }
        if self.adapter is None:
            return EncoderState(settings=settings)
        return EncoderState(
            settings={**settings, "adapter_scale": self.adapter.scale}, arrays=self.adapter.arrays
        )

    @classmethod
    def from_state(
        cls, state: EncoderState, *, cache: Path | bool = True, online: bool | None = None
    ) -> PretrainedEncoder:
        """The encoder whose `state` this is.

        Raises:
            BadInput: if the model is no longer to be found, or its weights are not the ones used
                then.
        """
        settings = {
            key: value
            for key, value in state.settings.items()
            if key not in ("kind", "name", "fingerprint", "adapter_scale")
        }
        adapter = (
            Adapter.of_arrays(state.arrays, state.settings["adapter_scale"])
            if state.arrays
            else None
        )
        encoder = cls(
            locate(state.settings["name"], online=online),
            PretrainedOptions(**settings),
            cache=cache,
            adapter=adapter,
        )
        if encoder.fingerprint != state.settings["fingerprint"]:
            raise BadInput(
                f"the weights of {encoder.name!r} in {encoder.located.source} are not those this "
                f"was fitted with; "
                "fit again, or put the old ones back"
            )
        return encoder

    def _encode_new(
        self,
        texts: list[str],
        cache: EncodingCache | None,
        progress: Progress,
        *,
        done: int,
        total: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of texts not in the cache, written to it in parts, and which of them were cut."""
        if not texts:
            progress(STAGE, 1.0)
            return np.zeros((0, 0), np.float32), np.zeros(0, bool)
        tokens, cut = self._tokens(texts)
        order = sorted(range(len(texts)), key=lambda row: len(tokens[row]), reverse=True)
        vectors: np.ndarray | None = None
        for start in range(0, len(order), KEPT_TOGETHER):
            part = order[start : start + KEPT_TOGETHER]
            for batch in _batches(part, tokens):
                made = self._forward([tokens[row] for row in batch])
                vectors = (
                    np.zeros((len(texts), made.shape[1]), np.float32)
                    if vectors is None
                    else vectors
                )
                vectors[batch] = made
                done += len(batch)
                progress(STAGE, done / total)
            if cache is not None and vectors is not None:
                cache.keep([content_key(texts[row]) for row in part], vectors[part])
        assert vectors is not None
        return vectors, cut

    def _tell_cut(self, keys: np.ndarray, found: np.ndarray, cut: np.ndarray) -> None:
        """Note how many texts were too long, those read by an earlier run included: the cache
        remembers which they were.

        Args:
            keys: of all distinct texts.
            found: which of them the cache held.
            cut: which of the others were cut.
        """
        count = int(cut.sum())
        if self._cut is not None:
            if count:
                self._cut.keep(keys[~found][cut].tolist(), np.ones((count, 1), np.float32))
            if found.any():
                count += int(self._cut.look_up(keys[found].tolist())[0].sum())
        if count:
            self.notes.append(
                f"{count:,} of {len(keys):,} texts were longer than {self.max_tokens} tokens; the "
                f"rest of them was not read"
            )

    def _tokens(self, texts: list[str]) -> tuple[list[list[int]], np.ndarray]:
        """Token ids of each text, and which texts were cut."""
        tokenizer = self._model()[0]
        prompted, shortened = prompted_texts(texts, tokenizer, self.prompt, self.max_tokens)
        encoded = tokenizer(prompted, truncation=True, max_length=self.max_tokens, padding=False)
        fast = getattr(encoded, "encodings", None)
        at_limit = (
            [bool(e.overflowing) for e in fast]
            if fast
            else [len(ids) >= self.max_tokens for ids in encoded["input_ids"]]
        )
        cut = np.array(at_limit) | shortened
        filler = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else 0
        return [ids or [filler] for ids in encoded["input_ids"]], cut

    def _forward(self, tokens: list[list[int]]) -> np.ndarray:
        """One batch through the model: float32 [n, dim], unit length."""
        import torch

        tokenizer, model = self._model()
        longest = max(map(len, tokens))
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in tokens])
        lengths = torch.tensor([len(row) for row in tokens])
        if self._leaves_the_cpu:
            ids, lengths = on_device(ids), on_device(lengths)
        is_real = up_to(longest, lengths)[None, :] < lengths[:, None]
        if self.options.engine == "onnx":
            hidden = torch.from_numpy(self._onnx().hidden(in_memory(ids), in_memory(is_real)))
        else:
            with torch.inference_mode():
                hidden = model(
                    input_ids=ids, attention_mask=is_real.long()
                ).last_hidden_state.float()
        return unit_rows(in_memory(pool(hidden, is_real, self.pooling)))

    def _model(self) -> tuple[Any, Any]:
        """Tokenizer and model, loaded at first need; who needs them meanwhile waits."""
        with _LOADING:
            if self._loaded is None:
                tokenizer, model = load_model(self.located, self.options.precision, self.adapter)
                self._loaded = tokenizer, model.to(device()) if self._leaves_the_cpu else model
            return self._loaded

    @property
    def _leaves_the_cpu(self) -> bool:
        """Whether the model is computed on the device of the process: 8 bits and ONNX know the CPU
        alone.
        """
        return self.options.engine == "torch" and self.options.precision != "int8"

    def _onnx(self) -> OnnxModel:
        """The exported model, made at first need."""
        if self._exported is None:
            identity = content_key(f"{self.fingerprint} {_hash(self.adapter)}").hex()
            self._exported = OnnxModel(lambda: self._model()[1], identity, self._root)
        return self._exported


def pool(hidden_BLD: Any, is_real_BL: Any, pooling: str) -> Any:
    """One vector for each text out of its tokens' vectors: [B, D]."""
    if pooling == "cls":
        return hidden_BLD[:, 0]
    if pooling == "last":
        last = is_real_BL.long().sum(dim=1) - 1
        return hidden_BLD[range(len(hidden_BLD)), last]
    weights = is_real_BL[..., None].to(hidden_BLD.dtype)
    return (hidden_BLD * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def prompted_texts(
    texts: Sequence[str], tokenizer: Any, prompt: str, max_tokens: int
) -> tuple[list[str], np.ndarray]:
    """Texts within their prompt, and which of them were shortened.

    A tokenizer cuts at the end; where the prompt goes on behind the text, texts are shortened
    before, so that its end is read as well.

    Raises:
        BadInput: if the prompt leaves no room for a text.
    """
    most_letters = max_tokens * LETTERS_PER_TOKEN
    # Halves of a character (lone surrogates) are no text to a tokenizer; they become question
    # marks.
    whole = [text[:most_letters].encode("utf-8", "replace").decode() for text in texts]
    shortened = np.array([len(text) > most_letters for text in texts], dtype=bool)
    if not prompt.endswith("{text}"):
        around = (
            len(tokenizer(prompt.replace("{text}", ""))["input_ids"]) + 1
        )  # one more, as words may be cut otherwise where they meet
        room = (max_tokens - around) // prompt.count("{text}")
        if room < 1:
            raise BadInput(
                f"the prompt {prompt!r} takes {around} of the {max_tokens} tokens that are read; "
                f"shorten it, or read more"
            )
        given = tokenizer(whole, add_special_tokens=False, truncation=False, padding=False)[
            "input_ids"
        ]
        for row, ids in enumerate(given):
            if len(ids) > room:
                whole[row], shortened[row] = tokenizer.decode(ids[:room]), True
    return [prompt.replace("{text}", text) for text in whole], shortened


def knows_bf16() -> bool:
    """Whether this processor multiplies in 16 bits itself; where it does not, bf16 is slower than
    fp32.
    """
    import torch

    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def load_model(
    located: Located, precision: str = "fp32", adapter: Adapter | None = None
) -> tuple[Any, Any]:
    """Tokenizer and text model in evaluation mode.

    Raises:
        BadInput: if the files are no text model, or the weights do not fit it.
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
    ):  # GGUF draws bars of its own
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                located.folder, local_files_only=True, **gguf
            )
        except (*UNREADABLE, TypeError, AttributeError) as error:
            raise BadInput(
                f"{located.name!r} holds no tokenizer that can be read; is it a text model? "
                f"({_first_line(error)})"
            ) from error
        try:
            model, told = transformers.AutoModel.from_pretrained(
                located.folder, local_files_only=True, dtype=dtype, output_loading_info=True, **gguf
            )
        except (*UNREADABLE, RuntimeError) as error:
            raise BadInput(
                f"{located.name!r} cannot be loaded as a text model ({_first_line(error)})"
            ) from error
    _check_weights(located, model, told)
    _check_tokenizer(located, tokenizer, model.config.vocab_size)
    model = model.get_encoder() if getattr(model.config, "is_encoder_decoder", False) else model
    if tokenizer.pad_token_id is None and tokenizer.eos_token_id is not None:
        tokenizer.pad_token = tokenizer.eos_token
    model = model.eval()
    if adapter is not None:
        adapter.apply(model)
    if precision == "int8":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch is moving its quantisation elsewhere
            model = torch.ao.quantization.quantize_dynamic(
                model, {torch.nn.Linear}, dtype=torch.qint8
            )  # type: ignore[no-untyped-call]
    return tokenizer, model


@contextmanager
def quiet_transformers(transformers: Any) -> Iterator[None]:
    """Loading without progress bars and reports on the terminal; settings are put back after."""
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
    """Refuse a config.json of no kind known here, or of one that reads no text, before anything is
    loaded.
    """
    config = _json(located.folder / "config.json")
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


def _check_weights(located: Located, model: Any, told: dict[str, Any]) -> None:
    """Refuse a model of which more than a pooler or head had to be made up."""
    if (
        not hasattr(model, "get_input_embeddings")
        or getattr(model.config, "vocab_size", None) is None
    ):
        raise BadInput(
            f"{located.name!r} is a {type(model).__name__}, which reads no text; give a text model"
        )
    synthetic = [name for name in told.get("missing_keys", ()) if "pooler" not in name]
    if synthetic:
        raise BadInput(
            f"the weights of {located.name!r} do not fit its config.json: {len(synthetic)} tensors "
            f"are missing "
            f"(the first is {sorted(synthetic)[0]!r}); give a complete checkpoint"
        )


def _check_tokenizer(located: Located, tokenizer: Any, model_tokens: int) -> None:
    """Refuse what transformers makes up where the tokenizer's files are missing: it knows signs of
    its own, and no word.
    """
    known = (
        tokenizer.get_vocab().keys()
        - set(tokenizer.all_special_tokens)
        - tokenizer.get_added_vocab().keys()
    )
    if len(known) < SMALLEST_SHARE * model_tokens:
        raise BadInput(
            f"the tokenizer of {located.name!r} knows {len(known):,} of the {model_tokens:,} "
            f"tokens the model was made for; "
            "put its tokenizer files (such as tokenizer.json) beside the weights"
        )


def _made_for(located: Located, options: PretrainedOptions) -> tuple[str, str, int]:
    """Pooling, prompt and token limit the model was made for, read from the files beside its
    weights.
    """
    folder = located.folder
    config, pooling, sentence = (
        _json(folder / name)
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
    asked = (
        ONE_WORD if way == "last" and not pooling else "{text}"
    )  # a model that says how it is pooled was trained to be read so
    prompt = asked if options.prompt == "auto" else options.prompt
    positions = config.get("max_position_embeddings", config.get("n_positions", MAX_TOKENS))
    limit = sentence.get("max_seq_length") or positions
    if config.get("model_type") in ("roberta", "xlm-roberta", "camembert", "mpnet"):
        limit = min(limit, positions - 2)  # these keep two positions for themselves
    return way, prompt, min(options.max_tokens or MAX_TOKENS, int(limit), MAX_TOKENS)


def is_decoder(config: dict[str, Any]) -> bool:
    """Whether a config.json describes a GPT-like model, whose last token alone has read the whole
    text.
    """
    heads = " ".join(config.get("architectures") or ())
    return "CausalLM" in heads or "LMHead" in heads or config.get("model_type", "") in DECODERS


def fingerprint(located: Located) -> str:
    """Hash of what decides the vectors: small files whole, of each weights file its size and 16
    samples.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(located.folder.iterdir()):
        if path.suffix in (".json", ".txt", ".model") and path.name != "README.md":
            digest.update(path.name.encode() + path.read_bytes())
        elif path.suffix in (".safetensors", ".bin", ".gguf"):
            size = path.stat().st_size
            digest.update(f"{path.name} {size}".encode())
            with path.open("rb") as file:
                for place in range(16):
                    file.seek(size * place // 16)
                    digest.update(file.read(65_536))
    return digest.hexdigest()


def _hash(adapter: Adapter | None) -> str:
    if adapter is None:
        return ""
    return content_key(
        b"".join(name.encode() + value.tobytes() for name, value in sorted(adapter.arrays.items()))
    ).hex()


def _batches(order: list[int], tokens: list[list[int]]) -> Iterator[list[int]]:
    """Rows in batches of 8 to 32 whose padded size stays near `TOKENS_PER_BATCH`; `order` is
    longest first.
    """
    start = 0
    while start < len(order):
        size = min(32, max(8, TOKENS_PER_BATCH // max(1, len(tokens[order[start]]))))
        yield order[start : start + size]
        start += size


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"'{path}' is not JSON ({error}); the model's files are damaged") from error
    return content if isinstance(content, dict) else {}


def _first_line(error: Exception) -> str:
    if "ignore_mismatched_sizes" in str(
        error
    ):  # transformers points to a report that a user here does not see
        return "weights of another shape than its config.json says"
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

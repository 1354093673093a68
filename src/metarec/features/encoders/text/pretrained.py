"""Any Hugging Face text model as an encoder: BERT-like encoders, GPT-like decoders, the encoder
half of T5-like models.

Texts are sorted by length, so that batches have little padding; each distinct text is encoded once
and cached on disk; `transformers` is not loaded if the cache holds all requested texts.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from metarec.data.schema import BadInput
from metarec.features.encoders.base import STAGE, EncoderState, unit_rows
from metarec.features.encoders.cache import EncodingCache, content_key
from metarec.features.encoders.locate import Located, locate
from metarec.features.encoders.model_files import fingerprint, read_json
from metarec.features.encoders.text.onnx import OnnxModel
from metarec.features.encoders.text.pretrained_options import PretrainedOptions, resolved_options
from metarec.features.encoders.text.text_model import Adapter, hash_of, load_model
from metarec.runtime.device import arange_like, device, in_memory, on_device
from metarec.runtime.progress import Progress, silent

LETTERS_PER_TOKEN = 16
"""Letters kept of a text per token of the limit. No language needs more, and tokenizing a text of
megabytes would take minutes.
"""
TOKENS_PER_BATCH = 4096
KEPT_TOGETHER = 2048
"""Texts encoded between two writes to the cache, the most that an interruption loses."""
MAX_QUERIES = 1_000
"""Latest queries whose vectors are kept in memory."""
_LOADING = threading.Lock()
"""Lock held while a model loads: two threads would load it twice, and the lazy imports of
`transformers` are not thread-safe.
"""


class PretrainedEncoder:
    """A Hugging Face text model, as published or with a fine-tuned adapter.

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
        self.pooling, self.prompt, self.max_tokens = resolved_options(located, self.options)
        self.fingerprint = fingerprint(located)
        identity = json.dumps(
            [
                self.fingerprint,
                self.pooling,
                self.max_tokens,
                self.prompt,
                self.options.precision,
                hash_of(adapter),
            ]
        )
        self._root = cache if isinstance(cache, Path) else None
        self.cache = EncodingCache(identity, self._root) if cache is not False else None
        self._cut = EncodingCache(f"{identity} cut", self._root) if cache is not False else None
        self._queries: dict[bytes, np.ndarray] = {}
        self._loaded: tuple[Any, Any] | None = None
        self._exported: OnnxModel | None = None

    @property
    def dim(self) -> int:
        """Width of a vector."""
        config = read_json(self.located.folder / "config.json")
        width = next(
            (config[key] for key in ("hidden_size", "n_embd", "d_model", "dim") if key in config),
            None,
        )
        return int(width if width is not None else self._model()[1].config.hidden_size)

    @property
    def weights(self) -> int:
        """Estimated number of layer weights, by which every token is multiplied, from the model's
        config.json; embedding tables, which are only looked up, are not counted.
        """
        config = read_json(self.located.folder / "config.json")

        def of(*names: str) -> int:
            return next((int(config[name]) for name in names if config.get(name)), 0)

        width = self.dim
        inner = of("intermediate_size", "n_inner", "d_ff", "ffn_dim") or 4 * width
        layers = of("num_hidden_layers", "n_layer", "num_layers", "n_layers")
        return layers * (4 * width**2 + 2 * width * inner)

    def encode(
        self, texts: Sequence[str], *, progress: Progress = silent, keep: bool = True
    ) -> np.ndarray:
        """Return float32 vectors [n, dim]; see `TextEncoder`.

        Args:
            texts: the texts.
            progress: receives the share of texts done.
            keep: whether to use the cache, and to add the number of truncated texts to `notes`.
        """
        cache = self.cache if keep else None
        keys = [content_key(text) for text in texts]
        first = {
            key: place for place, key in reversed(list(enumerate(keys))) if texts[place].strip()
        }
        distinct = list(first)
        is_stored, stored = (
            cache.look_up(distinct)
            if cache is not None
            else (np.zeros(len(distinct), dtype=bool), None)
        )
        missing = [
            texts[first[key]] for key, hit in zip(distinct, is_stored, strict=True) if not hit
        ]
        fresh, cut = self._encode_new(
            missing, cache, progress, done=len(texts) - len(missing), total=len(texts)
        )
        if keep and distinct:
            self._tell_cut(np.array(distinct, object), is_stored, cut)
        dim = (
            fresh.shape[1]
            if len(fresh)
            else stored.shape[1]
            if stored is not None and len(stored)
            else self.dim
        )
        rows = np.zeros(
            (len(distinct) + 1, dim), np.float32
        )  # the last row is zeros, for empty texts
        rows[:-1][~is_stored] = fresh if len(fresh) else 0
        rows[:-1][is_stored] = stored if stored is not None and is_stored.any() else 0
        place = {key: row for row, key in enumerate(distinct)}
        return rows[[place.get(key, len(distinct)) for key in keys]]

    def encode_queries(self, queries: Sequence[str]) -> np.ndarray:
        """Return float32 vectors [n, dim] of what users ask for. The latest are kept in memory, as
        the pages of one list ask for the same; none are written to disk.
        """
        keys = [content_key(query) for query in queries]
        kept = self._queries  # replaced and never changed, as other threads read it
        new = {key: text for key, text in zip(keys, queries, strict=True) if key not in kept}
        vectors = {key: kept[key] for key in keys if key not in new}
        if new:
            fresh = self.encode(list(new.values()), keep=False)
            vectors.update(zip(new, fresh, strict=True))
            self._queries = dict([*kept.items(), *vectors.items()][-MAX_QUERIES:])
        return np.array([vectors[key] for key in keys], np.float32).reshape(len(keys), -1)

    def load(self) -> None:
        """Load the weights and encode one text, so that the first request is not slow; the cache is
        not used.
        """
        self._forward(self._tokens(["a text"])[0])

    def state(self) -> EncoderState:
        """Return name, fingerprint, options and adapter; the model's own weights are not saved."""
        resolved = {
            "pooling": self.pooling,
            "prompt": self.prompt,
            "max_tokens": self.max_tokens,
        }  # with `auto` resolved
        settings = {
            "kind": "pretrained",
            "name": self.located.name,
            "fingerprint": self.fingerprint,
            **asdict(self.options),
            **resolved,
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
        """Return the encoder that `state()` was called on.

        Raises:
            BadInput: if the model is not found, or its weights have changed.
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
        """Encode texts that are not in the cache, and cache them in parts; return their vectors and
        a mask of the truncated ones.
        """
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

    def _tell_cut(self, keys: np.ndarray, is_stored: np.ndarray, cut: np.ndarray) -> None:
        """Add the number of truncated texts to `notes`, those of earlier runs included, which the
        cache remembers.

        Args:
            keys: content keys of all distinct texts.
            is_stored: mask of those that the cache held.
            cut: mask of the truncated ones among the others.
        """
        count = int(cut.sum())
        if self._cut is not None:
            if count:
                self._cut.keep(keys[~is_stored][cut].tolist(), np.ones((count, 1), np.float32))
            if is_stored.any():
                count += int(self._cut.look_up(keys[is_stored].tolist())[0].sum())
        if count:
            self.notes.append(
                f"{count:,} of {len(keys):,} texts were longer than {self.max_tokens} tokens; the "
                f"rest of them was not read"
            )

    def _tokens(self, texts: list[str]) -> tuple[list[list[int]], np.ndarray]:
        """Return the token ids of each text, and a mask of the truncated texts."""
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
        """Run one batch through the model; return float32 vectors [n, dim] of unit length."""
        import torch

        tokenizer, model = self._model()
        longest = max(map(len, tokens))
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in tokens])
        lengths = torch.tensor([len(row) for row in tokens])
        if self._leaves_the_cpu:
            ids, lengths = on_device(ids), on_device(lengths)
        is_real = arange_like(longest, lengths)[None, :] < lengths[:, None]
        if self.options.engine == "onnx":
            hidden = torch.from_numpy(self._onnx().hidden(in_memory(ids), in_memory(is_real)))
        else:
            with torch.inference_mode():
                hidden = model(
                    input_ids=ids, attention_mask=is_real.long()
                ).last_hidden_state.float()
        return unit_rows(in_memory(pool(hidden, is_real, self.pooling)))

    def _model(self) -> tuple[Any, Any]:
        """Return tokenizer and model, loaded at first use; other threads wait for them."""
        with _LOADING:
            if self._loaded is None:
                tokenizer, model = load_model(self.located, self.options.precision, self.adapter)
                self._loaded = tokenizer, model.to(device()) if self._leaves_the_cpu else model
            return self._loaded

    @property
    def _leaves_the_cpu(self) -> bool:
        """Whether the model runs on the device of the process: int8 and ONNX are CPU only."""
        return self.options.engine == "torch" and self.options.precision != "int8"

    def _onnx(self) -> OnnxModel:
        """Return the exported model, exported at first use."""
        if self._exported is None:
            identity = content_key(f"{self.fingerprint} {hash_of(self.adapter)}").hex()
            self._exported = OnnxModel(lambda: self._model()[1], identity, self._root)
        return self._exported


def pool(hidden_BLD: Any, is_real_BL: Any, pooling: str) -> Any:
    """Pool the hidden states of each text's tokens to one vector, [B, D]."""
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
    """Return the texts in their prompt, and a mask of those that were shortened.

    A tokenizer truncates at the end; if the prompt continues after the text, texts are shortened
    before, so that the end of the prompt is kept.

    Raises:
        BadInput: if the prompt leaves no room for a text.
    """
    most_letters = max_tokens * LETTERS_PER_TOKEN
    # Tokenizers refuse lone surrogates (halves of a character), which become question marks.
    cut_texts = [text[:most_letters].encode("utf-8", "replace").decode() for text in texts]
    shortened = np.array([len(text) > most_letters for text in texts], dtype=bool)
    if not prompt.endswith("{text}"):
        around = (
            len(tokenizer(prompt.replace("{text}", ""))["input_ids"]) + 1
        )  # one more, as tokens may split differently at the border
        room = (max_tokens - around) // prompt.count("{text}")
        if room < 1:
            raise BadInput(
                f"the prompt {prompt!r} takes {around} of the {max_tokens} tokens that are read; "
                f"shorten it, or read more"
            )
        token_ids = tokenizer(cut_texts, add_special_tokens=False, truncation=False, padding=False)[
            "input_ids"
        ]
        for row, ids in enumerate(token_ids):
            if len(ids) > room:
                cut_texts[row], shortened[row] = tokenizer.decode(ids[:room]), True
    return [prompt.replace("{text}", text) for text in cut_texts], shortened


def _batches(order: list[int], tokens: list[list[int]]) -> Iterator[list[int]]:
    """Yield rows in batches of 8 to 32, with a padded size near `TOKENS_PER_BATCH`; `order` is by
    length, the longest first.
    """
    start = 0
    while start < len(order):
        size = min(32, max(8, TOKENS_PER_BATCH // max(1, len(tokens[order[start]]))))
        yield order[start : start + size]
        start += size

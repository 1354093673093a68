"""Real Hugging Face models of a few thousand weights, with tokenizers of their own: nothing is
downloaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest


def build_model(folder: Path, kind: str, texts: Iterable[str], *, seed: int = 0) -> Path:
    """Write a `bert`, `gpt2` or `t5` that knows the words of `texts` into `folder`."""
    transformers: Any = pytest.importorskip("transformers")
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = [
        "[PAD]",
        "[CLS]",
        "[SEP]",
        "[UNK]",
        *sorted({word for text in texts for word in text.split()}),
    ]
    tokenizer = Tokenizer(
        models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if kind == "bert":
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
        )
    special = (
        {"eos_token": "[SEP]"}
        if kind == "gpt2"
        else {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", **special
    ).save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _model(transformers, kind, len(words)).save_pretrained(folder)
    return folder


def _model(transformers: Any, kind: str, words: int) -> Any:
    if kind == "bert":
        config = transformers.BertConfig(
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=16,
            vocab_size=words,
            initializer_range=0.2,
        )
        return transformers.BertModel(config)
    if kind == "gpt2":
        config = transformers.GPT2Config(
            n_embd=16,
            n_layer=2,
            n_head=2,
            n_positions=16,
            vocab_size=words,
            bos_token_id=2,
            eos_token_id=2,
            initializer_range=0.2,
        )
        return transformers.GPT2LMHeadModel(config)
    return transformers.T5Model(
        transformers.T5Config(
            d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, vocab_size=words
        )
    )

"""Measure the speed of encoding item texts with MiniLM, relative to sentence-transformers where it
is installed.

    python benchmarks/encode.py --texts 10000
    python benchmarks/encode.py --items items.parquet --texts 2000 --threads 1

Texts are short synthetic item texts, unless a table of items is given. The two encoders take turns
on equal parts, so that a busy machine slows both alike. Prints one JSON object, and progress on
stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WORDS = {
    "kind": "laptop notebook kettle lamp novel course backpack tent guitar camera film soap "
    "jacket drill puzzle pan chair mug".split(),
    "look": "red light small classic modern wooden steel portable quiet bright vintage soft heavy "
    "folding waterproof organic".split(),
    "use": "for travel;for kids;for beginners;with free shipping;for the office;made by hand;in a "
    "gift box;for rainy days".split(";"),
    "more": "Learn statistics and machine learning step by step;A detective returns to the town "
    "of her childhood;Fits all common sizes;"
    "Two friends cross the desert;Battery lasts a whole day;Keeps drinks warm for hours;Winner of "
    "three awards".split(";"),
}


def synthetic(count: int, seed: int = 0) -> list[str]:
    """Return texts of about 13 tokens, such as titles with a few tags; a tenth is longer."""
    rng = np.random.default_rng(seed)
    texts = []
    for number in range(count):
        look, kind, use = (
            rng.choice(WORDS[part], size) for part, size in (("look", 2), ("kind", 1), ("use", 1))
        )
        text = f"{' '.join([*look, *kind, *use]).capitalize()} {number}"
        texts.append(
            text
            + "".join(
                f". {part}"
                for part in rng.choice(WORDS["more"], rng.integers(1, 4))
                if rng.random() < 0.2
            )
        )
    return texts


def item_texts(path: Path, count: int) -> list[str]:
    import polars as pl

    from metarec.data.schema import Catalog
    from metarec.features.text import item_text

    return [text for text in item_text(Catalog.of(pl.read_parquet(path))) if text][:count]


def sentence_transformers_model(folder: Path):
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        return None
    return SentenceTransformer(str(folder), device="cpu")


def turns(texts: list[str], parts: int, encoders: dict) -> dict[str, dict[str, float]]:
    """Return wall and CPU seconds of each encoder on the same texts, in turns part by part."""
    spent = {name: {"wall_s": 0.0, "cpu_s": 0.0} for name in encoders}
    for number, part in enumerate(np.array_split(np.arange(len(texts)), parts)):
        rows = [texts[row] for row in part]
        order = list(encoders) if number % 2 == 0 else list(encoders)[::-1]
        for name in order:
            wall, cpu = time.perf_counter(), time.process_time()
            encoders[name](rows)
            spent[name]["wall_s"] += time.perf_counter() - wall
            spent[name]["cpu_s"] += time.process_time() - cpu
        so_far = ", ".join(
            f"{name} {row['wall_s']:.1f} s wall, {row['cpu_s']:.1f} s of processor"
            for name, row in spent.items()
        )
        print(f"{part[-1] + 1:,} texts: {so_far}", file=sys.stderr, flush=True)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--items", type=Path, help="items.parquet or .csv whose texts to read")
    parser.add_argument("--parts", type=int, default=4, help="turns each encoder takes")
    parser.add_argument("--threads", type=int, default=0, help="0: as torch chooses")
    parser.add_argument(
        "--also",
        nargs="*",
        default=["bf16"],
        choices=["bf16", "onnx"],
        help="other ways to take turns with",
    )
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as home:
        os.environ["METAREC_HOME"] = home
        import torch

        from metarec.features.encoders.locate import MINILM, locate
        from metarec.features.encoders.text.pretrained import PretrainedEncoder
        from metarec.features.encoders.text.pretrained_options import PretrainedOptions
        from metarec.features.encoders.text.text_model import knows_bf16

        if options.threads:
            torch.set_num_threads(options.threads)
        located = locate(MINILM)
        texts = (
            item_texts(options.items, options.texts) if options.items else synthetic(options.texts)
        )
        plain, cached = PretrainedEncoder(located, cache=False), PretrainedEncoder(located)
        theirs = sentence_transformers_model(located.folder)
        for warm in (plain, cached):
            warm.encode(["warm up"])
        encoders = {"metarec": plain.encode}
        if theirs is not None:
            theirs.encode(["warm up"])
            encoders["sentence-transformers"] = lambda rows: theirs.encode(
                rows, batch_size=32, show_progress_bar=False
            )
        if "bf16" in options.also and knows_bf16():
            half = PretrainedEncoder(located, PretrainedOptions(precision="bf16"), cache=False)
            half.encode(["warm up"])
            encoders["metarec, bf16"] = half.encode
        if "onnx" in options.also:
            exported = PretrainedEncoder(located, PretrainedOptions(engine="onnx"), cache=False)
            exported.encode(["warm up"])
            encoders["metarec, onnx"] = exported.encode
        result = {
            "texts": len(texts),
            "threads": torch.get_num_threads(),
            **turns(texts, options.parts, encoders),
        }
        if theirs is not None:
            ours, other = (
                plain.encode(texts[:256]),
                theirs.encode(texts[:256], show_progress_bar=False),
            )
            result["ratio_wall"] = round(
                result["sentence-transformers"]["wall_s"] / result["metarec"]["wall_s"], 3
            )
            result["ratio_cpu"] = round(
                result["sentence-transformers"]["cpu_s"] / result["metarec"]["cpu_s"], 3
            )
            result["largest_difference"] = float(np.abs(ours - other).max())
        vectors = plain.encode(texts[:2000])
        cached.cache.keep([key_of(text) for text in texts[:2000]], vectors)
        started = time.perf_counter()
        PretrainedEncoder(located).encode(texts[:2000])
        result["cache_hit_2000_s"] = round(time.perf_counter() - started, 4)
        many = synthetic(10_000, seed=1)
        cached.cache.keep(
            [key_of(text) for text in many],
            np.random.default_rng(0).normal(size=(10_000, 384)).astype(np.float32),
        )
        started = time.perf_counter()
        PretrainedEncoder(located).encode(many)
        result["cache_hit_10000_s"] = round(time.perf_counter() - started, 4)
        single = []
        for number in range(60):
            started = time.perf_counter()
            cached.encode([f"a new item, number {number}, without events"])
            single.append(time.perf_counter() - started)
        median, high = 1000 * np.quantile(single, [0.5, 0.95])
        result["one_new_item_ms"] = {
            "median": round(float(median), 2),
            "p95": round(float(high), 2),
        }
        print(json.dumps(result, indent=1))


def key_of(text: str) -> bytes:
    from metarec.features.encoders.cache import content_key

    return content_key(text)


if __name__ == "__main__":
    main()

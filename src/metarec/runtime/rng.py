"""Randomness as an argument: generators derived from one root seed and a name.

A generator depends only on the seed and the names, so results do not depend on the order of work or
the number of workers.
"""

from __future__ import annotations

from copy import copy
from functools import lru_cache
from hashlib import blake2b

import numpy as np


def derived_seed(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed for the stream called `names` under the root `seed`."""
    text = "\x1f".join([str(seed), *(f"{type(name).__name__}:{name}" for name in names)])
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def derive(seed: int, *names: str | int) -> np.random.Generator:
    """Return a NumPy generator for the stream called `names`: `derive(0, "split")`,
    `derive(0, "user", "42")`.
    """
    return np.random.default_rng(copy(_sequence(seed, *names)))


@lru_cache(maxsize=256, typed=True)
def _sequence(seed: int, *names: str | int) -> np.random.SeedSequence:
    """Seeds of a generator, kept since every slate needs the same; each generator has a copy, whose
    children are its own.
    """
    return np.random.SeedSequence(derived_seed(seed, *names))

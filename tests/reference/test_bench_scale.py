"""What `benchmarks/scale.py` times is there."""

from __future__ import annotations

import importlib

from benchmarks.scale import WITHIN


def test_every_function_that_is_timed_lies_where_it_is_looked_for() -> None:
    timed = [(place, name) for place, names in WITHIN.items() for name in names.split()]
    missing = [one for one in timed if not hasattr(importlib.import_module(one[0]), one[1])]
    assert timed
    assert not missing

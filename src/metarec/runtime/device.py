"""How many threads torch computes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread(*, wanted: bool = True) -> Iterator[None]:
    """Run torch on one thread, then as before: threads that wait for each other in tiny operations
    cost more than they give.

    On two busy cores, training the deep-set network took 12 times as long on two threads as on one.
    """
    import torch

    before = torch.get_num_threads()
    if wanted:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

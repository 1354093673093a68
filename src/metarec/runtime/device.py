"""Where tensors live."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str = "auto") -> str:
    """The device to compute on: an accelerator if there is one and `name` is `auto`, else the one
    named.

    Raises:
        ValueError: if `name` is unknown, or names a device this machine does not have.
    """
    import torch

    kind = name.split(":")[0]
    if kind not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(DEVICES)}, got {name!r}")
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if kind == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if there[device])
    if not there[kind]:
        raise ValueError(f"device {name!r} is not available here; use device='auto' or 'cpu'")
    return name


@contextmanager
def one_thread(*, wanted: bool = True) -> Iterator[None]:
    """Run torch on one thread, then as before: threads that wait for each other in tiny operations
    cost more than they give.

    On two busy cores, training the newcomer network took 12 times as long on two threads as on one.
    """
    import torch

    before = torch.get_num_threads()
    if wanted:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

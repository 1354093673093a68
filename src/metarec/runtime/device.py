"""The device on which networks are computed, and the number of threads.

Networks, meta-learners and encoders train and predict on one device per process: it holds their
weights, and their inputs are moved there by `on_device` and their outputs back by `in_memory`.
Closed-form models and the gate stay on the CPU, where they are fast. Random numbers are drawn on
the CPU, so a network starts from the same weights on every device.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch

DEVICES = ("cpu", "auto", "cuda", "mps")
"""Names that `use_device` takes."""
ENVIRONMENT = "METAREC_DEVICE"
"""Variable with the device that a process starts with, inherited by its child processes."""
_CHOSEN: list[str] = []
"""The device of this process, empty until first use."""


class UnknownDevice(ValueError):
    """The device's name is unknown, or the machine has no such device."""


def use_device(name: str) -> str:
    """Compute networks on a device from now on, and return its name.

    The default is `cpu`, or the value of `METAREC_DEVICE`. Models that are already loaded or fitted
    are not moved, so choose the device first.

    Models that are loaded or fitted already stay where they are, so choose first.

    Args:
        name: `cpu`, `cuda` (NVIDIA and AMD), `mps` (Apple), or `auto`: the first of `cuda` and
            `mps` that is there, else `cpu`.

    Raises:
        UnknownDevice: if the name is none of these, or the machine has no such device.
    """
    if not isinstance(name, str) or name not in DEVICES:
        raise UnknownDevice(
            f"device {' '.join(repr(name).split())}: choose one of {', '.join(DEVICES)}"
        )
    there = {"cpu", *_accelerators()} if name != "cpu" else {"cpu"}
    if name == "auto":
        name = next((one for one in ("cuda", "mps") if one in there), "cpu")
    if name not in there:
        raise UnknownDevice(
            f"device {name!r}: torch finds none on this machine; choose cpu or auto"
        )
    _CHOSEN[:] = [name]
    os.environ[ENVIRONMENT] = name
    return name


def named_device() -> str:
    """Return the device named by `METAREC_DEVICE`, `cpu` if unset; whether the machine has it is
    checked on use.

    Raises:
        UnknownDevice: if the name is none of `DEVICES`.
    """
    name = os.environ.get(ENVIRONMENT) or "cpu"
    if name not in DEVICES:
        raise UnknownDevice(f"{ENVIRONMENT} must be one of {', '.join(DEVICES)}, got {name!r}")
    return name


def device() -> torch.device:
    """Return the device of this process."""
    import torch

    return torch.device(_chosen())


def _chosen() -> str:
    return _CHOSEN[0] if _CHOSEN else use_device(named_device())


def on_device(array: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Move an array or a tensor to the device of networks; on the CPU it shares the array's
    memory.
    """
    import torch

    tensor = array if isinstance(array, torch.Tensor) else torch.from_numpy(array)
    if (name := _chosen()) == "cpu":
        return tensor
    halved = name == "mps" and tensor.dtype == torch.float64  # mps has no float64
    return (tensor.float() if halved else tensor).to(name)


def arange_like(count: int, like: torch.Tensor) -> torch.Tensor:
    """Return 0 to `count` - 1 on the device of `like`."""
    import torch

    return torch.arange(count, device=like.device)


def in_memory(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """Return a tensor as an array, without its gradient."""
    return tensor.detach().cpu().numpy()


def _accelerators() -> list[str]:
    import torch

    seen = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [name for name, is_there in seen.items() if is_there]


@contextmanager
def one_thread(*, wanted: bool = True) -> Iterator[None]:
    """Run torch on one thread inside the block: synchronizing threads costs more than they gain in
    tiny operations.

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

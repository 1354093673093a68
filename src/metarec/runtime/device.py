"""Where tensors live."""

from __future__ import annotations

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str = "auto") -> str:
    """The device to compute on: an accelerator if there is one and `name` is `auto`, else the one named.

    Raises:
        ValueError: if `name` is unknown, or names a device this machine does not have.
    """
    import torch

    kind = name.split(":")[0]
    if kind not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(DEVICES)}, got {name!r}")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if there[device])
    if not there[kind]:
        raise ValueError(f"device {name!r} is not available here; use device='auto' or 'cpu'")
    return name

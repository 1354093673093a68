"""A second device in this machine's memory: what is sent to it is computed by the CPU, but is none
of the CPU's.

As on a GPU, an operation that takes tensors of both fails, and so does reading one as an array
before it is brought back. The numbers are those of the CPU, to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._C import _functorch as functorch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

NAME = "cuda"
"""Torch must know the name; nothing of it is needed."""
_COPY = "aten::copy_"
_AT = torch.Tensor.device.__get__  # type: ignore[attr-defined]


class TwoDevices(RuntimeError):
    """An operation was given tensors of both devices, or one was read where it is not."""


@contextmanager
def second_device() -> Iterator[None]:
    """While it lasts, `tensor.to("cuda")` sends there."""
    sent = _Sent()
    with _Calls(sent), _Operations(sent):
        yield


class _Sent:
    """Memory of the second device."""

    def __init__(self) -> None:
        self._kept: dict[int, Any] = {}  # kept, so that no other memory gets its place

    def send(self, tensor: torch.Tensor) -> torch.Tensor:
        """Note that it lies there."""
        storage = _storage(tensor)
        self._kept[storage._cdata] = storage
        return tensor

    def fetch(self, tensor: torch.Tensor) -> torch.Tensor:
        """Note that it is the CPU's."""
        self._kept.pop(_storage(tensor)._cdata, None)
        return tensor

    def has(self, value: Any) -> bool:
        """Whether it lies there."""
        return isinstance(value, torch.Tensor) and _storage(value)._cdata in self._kept


class _Operations(TorchDispatchMode):
    """What comes of tensors of the second device lies there too."""

    def __init__(self, sent: _Sent) -> None:
        super().__init__()
        self._sent = sent

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        tensors = [t for t in tree_leaves((args, kwargs or {})) if isinstance(t, torch.Tensor)]
        there = [self._sent.has(tensor) for tensor in tensors]
        here = [t for t, is_there in zip(tensors, there, strict=True) if not is_there and t.dim()]
        if any(there) and here and operation.name() != _COPY:
            raise TwoDevices(f"{operation.name()} takes tensors of both devices")
        made = operation(*args, **(kwargs or {}))
        # What a backward pass makes of nothing would lie where its gradients do.
        of_nothing = not tensors and torch._C._current_graph_task_id() >= 0
        if of_nothing or (any(there) and operation.name() != _COPY):
            for tensor in tree_leaves(made):
                if isinstance(tensor, torch.Tensor):
                    self._sent.send(tensor)
        return made


class _Calls(TorchFunctionMode):
    """What names a device, or leaves it."""

    def __init__(self, sent: _Sent) -> None:
        super().__init__()
        self._sent = sent

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        named, given = dict(kwargs or {}), list(args)
        if function == _AT:
            return torch.device(NAME if self._sent.has(given[0]) else "cpu")
        if function is torch.Tensor.cpu:
            return self._sent.fetch(given[0].clone()) if self._sent.has(given[0]) else given[0]
        if function is torch.Tensor.numpy and self._sent.has(given[0]):
            raise TwoDevices("a tensor of the second device is no array")
        wanted = [_device(value) for value in [*given[1:], named.get("device")]]
        if not any(wanted):
            return function(*args, **named)
        named = {k: torch.device("cpu") if _device(v) else v for k, v in named.items()}
        given = [torch.device("cpu") if _device(v) and at else v for at, v in enumerate(given)]
        made = function(*given, **named)
        if NAME in wanted:
            return self._sent.send(made.clone())
        return self._sent.fetch(made.clone()) if self._sent.has(made) else made


def _storage(tensor: torch.Tensor) -> Any:
    """Where a tensor's numbers lie, within `vmap` and `grad` too."""
    while functorch.is_batchedtensor(tensor) or functorch.is_gradtrackingtensor(tensor):
        tensor = functorch.get_unwrapped(tensor)
    return tensor.untyped_storage()


def _device(value: Any) -> str | None:
    """The device that a value names."""
    if isinstance(value, torch.device):
        return value.type
    return value if isinstance(value, str) and value in (NAME, "cpu") else None

"""Optional libraries: imported on use, with an error that tells how to install a missing one."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


class MissingExtra(ImportError):
    """A library of an optional extra is not installed; the message has the install command."""


def require(module: str, extra: str) -> ModuleType:
    """Import `module`, which comes with `pip install 'metarec[extra]'`.

    Raises:
        MissingExtra: if it, or something it needs, is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        raise MissingExtra(
            f"{missing} is not installed; get it with: pip install 'metarec[{extra}]'", name=missing
        ) from error

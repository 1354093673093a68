"""Freed memory, given back to the system."""

from __future__ import annotations

import ctypes
import sys


def release() -> None:
    """Give freed memory back to the system, between large steps. The C library of Linux keeps what
    lies between pieces still in use: a tenth of the memory of a fit. Elsewhere it does nothing.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # None with musl
    if trim is not None:
        trim(0)

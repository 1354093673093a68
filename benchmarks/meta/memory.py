"""Memory of this process: the peak of a computation, and reuse of freed memory by the next one."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Names of glibc's `mallopt`."""


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed blocks instead of returning large ones to the system, for the rest of
    this process.

    A training step frees and allocates the same megabytes hundreds of times; page faults for them
    cost a quarter to a third of a small model's step. For programs only, since it concerns the
    whole process. Nothing happens without glibc.

    Returns:
        Whether it was done.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(
        mallopt(M_MMAP_THRESHOLD, 1 << 30) and mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
    )


def peak_memory(work: Callable[[], object]) -> float | None:
    """Return the MiB that `work` allocates at most beyond what the process holds already; None
    where the system does not report it (not Linux).
    """
    try:
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)  # memory kept from before would hide what this takes
        Path("/proc/self/clear_refs").write_text(
            "5", encoding="ascii"
        )  # resets the high-water mark
        before = _status("VmRSS")
        work()
        return max(0.0, (_status("VmHWM") - before) / 1024)
    except OSError:
        return None


def _status(name: str) -> int:
    """Return the KiB in one line of this process's status."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])

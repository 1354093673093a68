"""A process of its own ends with the one that started it, however that ended.

multiprocessing hands each spawned process one end of a pipe whose other end only its parent holds;
the system closes that when the parent dies, also when it was killed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable


def end_with_parent(
    grace: float = 0.0, *, first: Callable[[], None] = lambda: None
) -> threading.Thread | None:
    """Watch the parent from a thread aside: when it has gone this process is told to stop, and
    ended after `grace` seconds whether it did or not.

    Args:
        grace: seconds that running requests have.
        first: called once the parent has gone.

    Returns:
        The thread; None in a process that nobody's multiprocessing started.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return None

    def watch() -> None:
        parent.join()
        first()
        if grace:
            signal.raise_signal(signal.SIGTERM)
            threading.Event().wait(grace)
        os._exit(1)

    thread = threading.Thread(target=watch, name="metarec-lifeline", daemon=True)
    thread.start()
    return thread

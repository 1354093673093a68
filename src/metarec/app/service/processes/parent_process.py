"""Ends a child process with the process that started it, however that one ended.

multiprocessing gives each spawned process one end of a pipe whose other end only its parent has;
the system closes it when the parent ends, also when it was killed.
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
    """Watch the parent from a thread. Once it has ended, this process gets SIGTERM, and is ended
    after `grace` seconds whether it stopped or not; without a `grace` it is ended at once.

    Args:
        grace: seconds that running requests have.
        first: called once the parent has ended.

    Returns:
        The thread; None in a process that multiprocessing did not start.
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

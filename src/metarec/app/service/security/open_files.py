"""Open files that the system allows a worker: connections are files, too."""

from __future__ import annotations

import logging
from contextlib import suppress

log = logging.getLogger("metarec.service")
SPARE_FILES = 192
"""Open files that are not connections: of the store and the model, and connections just
accepted.
"""


def within_file_limit(connections: int) -> int:
    """Return `connections`, or fewer where `SPARE_FILES` further files could not be open. The
    process's own limit is first raised as far as the system allows.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return connections
    allowed = max(8, soft - SPARE_FILES)
    log.warning(
        "fewer connections than set, for this process may open few files",
        extra={"connections": allowed, "open_files": soft},
    )
    return allowed

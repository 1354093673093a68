"""The folder by which workers share their metrics."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
METRICS_PREFIX = "metarec-metrics-"
"""Start of the folder's name; the id of the process that created it follows."""


@contextmanager
def metrics_folder(workers: int) -> Iterator[None]:
    """Create a folder by which several workers share their metrics, unless the environment names
    one; afterwards remove it and the variable. Folders of killed services are removed first.
    """
    _sweep_metrics_folders()
    if METRICS_FOLDER in os.environ or workers == 1:
        yield
        return
    with tempfile.TemporaryDirectory(prefix=f"{METRICS_PREFIX}{os.getpid()}-") as shared:
        os.environ[METRICS_FOLDER] = shared
        try:
            yield
        finally:
            # Else a later service of this process, or a child of it, would fail for lack of the
            # folder.
            del os.environ[METRICS_FOLDER]


def _sweep_metrics_folders() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{METRICS_PREFIX}*"):
        owner = folder.name.removeprefix(METRICS_PREFIX).partition("-")[0]
        if owner.isdigit() and not _runs(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _runs(process: int) -> bool:
    if os.name == "nt":
        return True  # Windows has no safe way to check this
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # a process of another user, so it runs
    return True


def remove_metrics_folder() -> None:
    """Remove the folder of a service whose supervisor was killed."""
    folder = Path(os.environ.get(METRICS_FOLDER, ""))
    if folder.name.startswith(METRICS_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)

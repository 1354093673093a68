"""Change model folders; each must be refused in one line, by the library and by the command line.

    python benchmarks/attack/tampering.py [--json FILE]

Truncated, extended, missing and changed files; links, pipes and folders in place of files; a
configuration with a valid digest and invalid content; NaN, other shapes and types, endless headers.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from bounds import arguments, conclude, none_of

from metarec.app.cli import main as command_line
from metarec.recommender import Recommender
from metarec.runtime.artifacts import BrokenArtifact
from runtime.test_tampering import BROKEN
from served_model import saved_model


def loaded(model: Path) -> str:
    """Return how the library fails to refuse a folder; empty if it does."""
    try:
        Recommender.load(model)
    except BrokenArtifact as error:
        return "" if str(model) in str(error) else f"does not name the folder: {error}"
    except Exception as error:
        return f"uncaught {type(error).__name__}: {error}"
    return "silent"


def commanded(model: Path) -> str:
    """Return how the command line fails to refuse it; empty if it does."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            command_line(["recommend", str(model), "--rated", "s01=5"])
    except SystemExit as end:
        lines = said.getvalue().strip().splitlines()
        return "" if end.code == 2 and len(lines) == 1 else f"exit {end.code}, {len(lines)} lines"
    except BaseException as error:
        return f"uncaught {type(error).__name__}: {error}"
    return "silent"


def main() -> None:
    options = arguments(__doc__).parse_args()
    found: dict[str, dict[str, str]] = {"library": {}, "command line": {}}
    takers: dict[str, Callable[[Path], str]] = {"library": loaded, "command line": commanded}
    for name, change in BROKEN.items():
        for taker, take in takers.items():
            with tempfile.TemporaryDirectory() as folder:
                model = Path(shutil.copytree(saved_model(), Path(folder) / "model"))
                change(model)
                if wrong := take(model):
                    found[taker][name] = wrong
    checks = [
        none_of(f"folders not refused in one line by the {taker}", list(wrong), len(BROKEN))
        for taker, wrong in found.items()
    ]
    conclude(checks, found, options.json)


if __name__ == "__main__":
    main()

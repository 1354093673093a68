"""What tests of commands share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from metarec.app import cli

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process: exit code, stdout, stderr."""

    def run_words(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main(words)
        shown = capsys.readouterr()
        return int(end.value.code or 0), shown.out, shown.err

    return run_words

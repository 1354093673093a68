"""What tests of commands share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

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


@pytest.fixture
def clients():
    """Starts services in this process, by their settings; all end with the test."""
    from fastapi.testclient import TestClient

    from metarec.app.service.application import create_app
    from metarec.app.service.settings import ServiceSettings

    with ExitStack() as running:

        def starting(**settings):
            app = create_app(ServiceSettings(**settings))
            return running.enter_context(TestClient(app, base_url="http://127.0.0.1"))

        yield starting

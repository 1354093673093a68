"""Extras, generators, devices, progress and logs: the small pieces everything stands on."""

from __future__ import annotations

import io
import json
import logging

import numpy as np
import pytest

from metarec.runtime.extras import MissingExtra, require
from metarec.runtime.logs import setup_logs
from metarec.runtime.progress import on_terminal, silent
from metarec.runtime.rng import derive


def test_a_missing_library_says_how_to_get_it() -> None:
    assert require("json", "text") is json
    with pytest.raises(
        MissingExtra,
        match=r"no_such_library is not installed; get it with: pip install 'metarec\[text\]'",
    ):
        require("no_such_library", "text")


def test_streams_depend_on_seed_and_name_only() -> None:
    assert np.array_equal(derive(0, "user", "42").random(3), derive(0, "user", "42").random(3))
    spawned = [derive(0, "user", "42").spawn(1)[0].random(3) for _ in range(2)]
    np.testing.assert_array_equal(*spawned)  # whoever drew from the stream before
    streams = [
        derive(0, "user", "42"),
        derive(0, "user", 42),
        derive(1, "user", "42"),
        derive(0, "user42"),
        derive(0, "user", "4", "2"),
    ]
    assert len({float(stream.random()) for stream in streams}) == len(streams)


def test_logs_as_json_carry_what_extra_held_and_nothing_else() -> None:
    stream = io.StringIO()
    setup_logs("info", as_json=True, stream=stream)
    try:
        logging.getLogger("metarec.app").info("served %d", 3, extra={"model": "v1"})
        logging.getLogger("metarec.app").debug("unseen")
        line = json.loads(stream.getvalue())
        assert {**line, "time": ""} == {
            "time": "",
            "level": "info",
            "logger": "metarec.app",
            "message": "served 3",
            "model": "v1",
        }
        logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
        assert json.loads(stream.getvalue().splitlines()[1])["logger"] == "uvicorn.error"
    finally:
        for name in ("metarec", "uvicorn"):
            logging.getLogger(name).handlers.clear()
    with pytest.raises(
        ValueError, match="log level must be one of debug, info, warning, error, got 'loud'"
    ):
        setup_logs("loud")


def test_progress_is_said_in_the_language_of_the_command_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAREC_LANG", "zh_CN.UTF-8")
    with on_terminal() as tell:
        tell("fit scorers and gate", 1.0, "4 of 4 steps")
    told = capsys.readouterr().err
    assert "训练评分器与门控" in told and "4/4 步" in told
    assert "fit scorers" not in told


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with on_terminal() as tell:
        tell("clean", 0.5)
        tell("clean", 1.0, "12 rows removed")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "clean" in shown.err
    assert "12 rows removed" in shown.err
    with on_terminal(show=False) as tell:
        assert tell is silent
        tell("clean", 1.0)
    assert capsys.readouterr().err == ""

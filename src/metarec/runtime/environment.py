"""Environment variables that every command reads; each is checked at the start, whether or not the
command uses it.

Names of languages and devices are checked in `runtime.language` and `runtime.device`; variables of
the service's settings are read in `app.service.settings_sources`.
"""

from __future__ import annotations

import os
from pathlib import Path

HOME, ONLINE, TRACEBACK = "METAREC_HOME", "METAREC_ONLINE", "METAREC_TRACEBACK"
ANSWERS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
"""Accepted values of yes-or-no variables, in lower case."""


class BadEnvironment(ValueError):
    """An environment variable has an invalid value."""


def home() -> Path | None:
    """Return the folder of data and caches named by `METAREC_HOME`; None if unset, for the
    platform's default folders.

    Raises:
        BadEnvironment: if the path, or the nearest parent that exists, is no folder.
    """
    if not (folder := os.environ.get(HOME)):
        return None
    try:
        place = Path(folder).expanduser()
        lies_in_folder = next(one for one in (place, *place.parents) if one.exists()).is_dir()
    except (OSError, RuntimeError):  # a name that is too long, or the home of an unknown user
        lies_in_folder = False
    if not lies_in_folder:
        raise BadEnvironment(f"{HOME} must name a folder, got {folder!r}")
    return place


def online() -> bool | None:
    """Return whether `METAREC_ONLINE` allows or forbids downloads; None if unset.

    Raises:
        BadEnvironment: if it is no yes or no.
    """
    return _answer(ONLINE)


def shows_traceback() -> bool:
    """Return whether `METAREC_TRACEBACK` asks for tracebacks of errors.

    Raises:
        BadEnvironment: if it is no yes or no.
    """
    return bool(_answer(TRACEBACK))


def _answer(name: str) -> bool | None:
    value = os.environ.get(name, "")
    if value and value.lower() not in ANSWERS:
        raise BadEnvironment(f"{name} must be one of {', '.join(ANSWERS)}, got {value!r}")
    return ANSWERS.get(value.lower())

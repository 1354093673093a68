"""Variables that every command reads: each is checked before anything is done, whether or not the
command at hand asks for it.

Which language and which device they name is known where these are (`runtime.language`,
`runtime.device`); variables of the service's settings are read in `app.service.settings_sources`.
"""

from __future__ import annotations

import os
from pathlib import Path

HOME, ONLINE, TRACEBACK = "METAREC_HOME", "METAREC_ONLINE", "METAREC_TRACEBACK"
ANSWERS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
"""What says yes and what says no, in small letters."""


class BadEnvironment(ValueError):
    """A variable of the environment says what nobody can do."""


def home() -> Path | None:
    """The folder of data and caches that `METAREC_HOME` names; None where the platform's are meant.

    Raises:
        BadEnvironment: if something else than a folder lies there.
    """
    if not (said := os.environ.get(HOME)):
        return None
    try:
        place = Path(said).expanduser()
        lies_in_folder = next(one for one in (place, *place.parents) if one.exists()).is_dir()
    except (OSError, RuntimeError):  # a name too long, or the folder of a user who is not there
        lies_in_folder = False
    if not lies_in_folder:
        raise BadEnvironment(f"{HOME} must name a folder, got {said!r}")
    return place


def online() -> bool | None:
    """Whether `METAREC_ONLINE` asks for downloads or forbids them; None where it says neither.

    Raises:
        BadEnvironment: if it is no yes or no.
    """
    return _answer(ONLINE)


def shows_traceback() -> bool:
    """Whether `METAREC_TRACEBACK` asks where an error came from.

    Raises:
        BadEnvironment: if it is no yes or no.
    """
    return bool(_answer(TRACEBACK))


def _answer(name: str) -> bool | None:
    said = os.environ.get(name, "")
    if said and said.lower() not in ANSWERS:
        raise BadEnvironment(f"{name} must be one of {', '.join(ANSWERS)}, got {said!r}")
    return ANSWERS.get(said.lower())

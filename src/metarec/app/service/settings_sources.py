"""Where settings of the service come from: defaults, then a TOML file, then the environment, then
flags; the later wins.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from metarec.app.service.settings import ServiceSettings
from metarec.data.policies import nearest
from metarec.data.schema import BadInput
from metarec.runtime.environment import ANSWERS

PREFIX = "METAREC_"
OF_ALL_COMMANDS = ("service", "home", "online", "traceback")
"""Variables that are no settings of the service: those of every command, and what it hands down."""
NEAR = 0.75
"""How alike a variable's name must be to a setting's to be taken for a slip of the pen."""


def load_settings(
    file: str | Path | None = None, environment: Mapping[str, str] | None = None, **flags: Any
) -> ServiceSettings:
    """Gather settings; a flag that is None was not given.

    Args:
        file: TOML with fields at the top or under `[service]`.
        environment: `os.environ` unless given.

    Raises:
        BadInput: if a field is unknown, a value cannot be read, or the settings contradict each
            other.
    """
    known = {f.name: f for f in fields(ServiceSettings)}
    values: dict[str, Any] = {}
    if file is not None:
        try:
            document = tomllib.loads(Path(file).read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise BadInput(f"cannot read the settings {str(file)!r}: {why}") from error
        values |= document.get("service", document)
    env = os.environ if environment is None else environment
    refuse_misspelled(env)
    values |= {name: env[PREFIX + name.upper()] for name in known if PREFIX + name.upper() in env}
    values |= {name: value for name, value in flags.items() if value is not None}
    for name in values:
        if name not in known:
            if near := nearest(name, known, NEAR):
                raise BadInput(f"no setting {name!r}; did you mean {near!r}?")
            raise BadInput(f"no setting {name!r}; there are: {', '.join(known)}")
    if "model" not in values:
        raise BadInput("no model given; name the folder of a saved model")
    return ServiceSettings(
        **{name: _read(name, str(known[name].type), value) for name, value in values.items()}
    )


def refuse_misspelled(env: Mapping[str, str]) -> None:
    """Refuse a variable that is nearly a setting's: ignored, it would go unnoticed.

    Raises:
        BadInput: naming the setting.
    """
    known = (*(one.name for one in fields(ServiceSettings)), *OF_ALL_COMMANDS)
    for name in sorted(env):
        word = name.removeprefix(PREFIX).lower()
        if not name.startswith(PREFIX) or word in known:
            continue
        if near := nearest(word, known, NEAR):
            raise BadInput(f"{name} is no setting; did you mean {PREFIX}{near.upper()}?")


def _read(name: str, kind: str, value: Any) -> Any:
    """A value as its field's type; text from the environment is read."""
    try:
        return _READERS[kind](value)
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        shown = "(not shown)" if name == "keys" else repr(value)
        raise BadInput(f"setting {name} must be {_MUST_BE[kind]}, got {shown}") from error


def _yes_or_no(value: Any) -> bool:
    return value if isinstance(value, bool) else (ANSWERS | {"": False})[str(value).lower()]


def _whole(value: Any) -> int:
    if not isinstance(value, str) and not _number(value).is_integer():
        raise ValueError  # int(2.5) is 2
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError  # float(True) is 1
    return float(value)


def _texts(value: Any) -> tuple[str, ...]:
    """Of a list, or between the commas of a text."""
    return tuple(_parts(value) if isinstance(value, str) else map(str, value))


def _roles(value: Any) -> dict[str, str]:
    """Of a table, or of a text `key:role,key:role`; a key may hold a colon itself."""
    if not isinstance(value, str):
        return {str(key): str(role) for key, role in dict(value).items()}
    pairs = [part.rsplit(":", 1) for part in _parts(value)]
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError  # the last role of a key would win
    return {key: role for key, role in pairs}


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


_READERS: dict[str, Callable[[Any], Any]] = {
    "bool": _yes_or_no,
    "int": _whole,
    "float": _number,
    "str": str,
    "tuple[str, ...]": _texts,
    "Mapping[str, str]": _roles,
}
"""Type of a setting, as its field writes it -> how a value is read."""
_MUST_BE = {
    "bool": "yes or no",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "tuple[str, ...]": "a list, or texts with commas between",
    "Mapping[str, str]": "key:role for each key, with commas between and no key twice",
}
"""The same in words."""

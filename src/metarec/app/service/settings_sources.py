"""Reads the settings of the service from four sources: defaults, a TOML file, the environment and
flags; the later win.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from metarec.app.service.settings import ServiceSettings
from metarec.data.policies import nearest
from metarec.data.schema import BadInput
from metarec.runtime.environment import ANSWERS

PREFIX = "METAREC_"
OF_ALL_COMMANDS = ("service", "home", "online", "traceback")
"""Variables that are not settings of the service: those of every command, and the one by which
`serve` hands settings to its workers.
"""
EMPTY_IS_UNSET = ("device", "lang")
"""Settings whose variables every command reads, which takes an empty one for one that is not set.
"""
NEAR = 0.75
"""Similarity from which the name of a variable is taken for a misspelled setting."""


def load_settings(
    file: str | Path | None = None, environment: Mapping[str, str] | None = None, **flags: Any
) -> ServiceSettings:
    """Collect the settings; a flag that is None was not given.

    Args:
        file: TOML with fields at the top or under `[service]`.
        environment: variables by name; `os.environ` unless given.

    Raises:
        BadInput: if a field is unknown, a value is blank or cannot be read, or the settings
            contradict each other.
    """
    fields_by_name = {f.name: f for f in fields(ServiceSettings)}
    values: dict[str, Any] = {}
    if file is not None:
        values |= _of_file(file)
    env = os.environ if environment is None else environment
    refuse_misspelled(env)
    values |= _of_environment(env, fields_by_name)
    values |= {name: value for name, value in flags.items() if value is not None}
    for name in values:
        if name not in fields_by_name:
            if near := nearest(name, fields_by_name, NEAR):
                raise BadInput(f"no setting {name!r}; did you mean {near!r}?")
            raise BadInput(f"no setting {name!r}; there are: {', '.join(fields_by_name)}")
    if "model" not in values:
        raise BadInput("no model given; name the folder of a saved model")
    return ServiceSettings(
        **{
            name: _read(name, str(fields_by_name[name].type), value)
            for name, value in values.items()
        }
    )


def _of_file(file: str | Path) -> dict[str, Any]:
    """Return the settings that a TOML file states, by name.

    Raises:
        BadInput: if it cannot be read, or one is blank.
    """
    try:
        document = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadInput(f"cannot read the settings {str(file)!r}: {why}") from error
    values = document.get("service", document)
    if not isinstance(values, dict):
        raise BadInput(f"service in {str(file)!r} must be a table, [service], got {values!r}")
    for name, value in values.items():
        _refuse_blank(f"{name} of {str(file)!r}", value)
    return values


def _of_environment(env: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return the settings that the environment states, by name.

    Raises:
        BadInput: if one is blank.
    """
    values = {name: env[PREFIX + name.upper()] for name in names if PREFIX + name.upper() in env}
    values = {name: v for name, v in values.items() if v or name not in EMPTY_IS_UNSET}
    for name, value in values.items():
        _refuse_blank(PREFIX + name.upper(), value)
    return values


def _refuse_blank(where: str, value: Any) -> None:
    """Refuse a text of blanks and commas, also within a list: it comes of a variable that was not
    filled in, and would, say, serve without the filter.

    Raises:
        BadInput: naming the setting.
    """
    for one in value if isinstance(value, list) else (value,):
        if isinstance(one, str) and not one.replace(",", " ").strip():
            raise BadInput(f"setting {where} is blank; give a value, or leave it out")


def refuse_misspelled(env: Mapping[str, str]) -> None:
    """Refuse a variable whose name is nearly that of a setting: it would be ignored unnoticed.

    Raises:
        BadInput: with the name of the setting.
    """
    names = (*(one.name for one in fields(ServiceSettings)), *OF_ALL_COMMANDS)
    for name in sorted(env):
        word = name.removeprefix(PREFIX).lower()
        if not name.startswith(PREFIX) or word in names:
            continue
        if near := nearest(word, names, NEAR):
            raise BadInput(f"{name} is no setting; did you mean {PREFIX}{near.upper()}?")


def _read(name: str, kind: str, value: Any) -> Any:
    """Convert a value to the type of its field; text from the environment is parsed."""
    try:
        return _READERS[kind](value)
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        given = "(not shown)" if name == "keys" else repr(value)
        raise BadInput(f"setting {name} must be {_MUST_BE[kind]}, got {given}") from error


def _yes_or_no(value: Any) -> bool:
    return value if isinstance(value, bool) else ANSWERS[str(value).lower()]


def _integer(value: Any) -> int:
    if not isinstance(value, str) and not _number(value).is_integer():
        raise ValueError  # int(2.5) is 2
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError  # float(True) is 1
    return float(value)


def _texts(value: Any) -> tuple[str, ...]:
    """Read a list, or a text with commas between the values."""
    return tuple(_parts(value) if isinstance(value, str) else map(str, value))


def _roles(value: Any) -> dict[str, str]:
    """Read a table, or a text `key:role,key:role`; a key may contain a colon."""
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
    "int": _integer,
    "float": _number,
    "str": str,
    "tuple[str, ...]": _texts,
    "Mapping[str, str]": _roles,
}
"""Type of a setting, as its field writes it -> function that reads a value."""
_MUST_BE = {
    "bool": "yes or no",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "tuple[str, ...]": "a list, or texts with commas between",
    "Mapping[str, str]": "key:role for each key, with commas between and no key twice",
}
"""Type of a setting -> its description in an error."""

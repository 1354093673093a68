"""Hyper-parameters of models: one frozen dataclass for each model, validated when it is created.

A config is written in Python (`EaseConfig(regularization=50)`) or as a table, for example in TOML
(`[models.ease]`); `configured` turns the latter into the former.

Constants in the modules of models are no hyper-parameters: they bound memory or time, or guard
against rounding, and each says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from math import isfinite
from typing import Any, TypeAlias, TypeVar, get_type_hints

from metarec.data.errors import BadInput
from metarec.runtime.old_names import SETTINGS, takes_former_keywords

C = TypeVar("C", bound="ModelConfig")
Models: TypeAlias = "Mapping[str, ModelConfig | Mapping[str, Any]]"
"""Hyper-parameters by model id."""


@takes_former_keywords
def setting(
    default: Any,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    search_range: tuple[float, float] | None = None,
) -> Any:
    """Return a dataclass field with the allowed range of its numbers (of each number, where there
    are several), and the range that `fit --tune` searches.
    """
    limits = {"at_least": at_least, "above": above, "at_most": at_most, "below": below}
    return field(default=default, metadata={**limits, "search_range": search_range})


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Hyper-parameters of one model; a value of wrong type or out of range raises `BadInput`."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value = _checked(type(self), one, getattr(self, one.name))
            object.__setattr__(self, one.name, value)


def check_ranges(config: Any) -> None:
    """Check the numbers of a dataclass against the ranges that `setting` gave its fields; types are
    not checked.

    Raises:
        BadInput: naming the field.
    """
    for one in fields(config):
        _check_range(type(config), one.name, getattr(config, one.name), one.metadata)


def configured(model: str, default: C, given: ModelConfig | Mapping[str, Any]) -> C:
    """Return the config of a model: `given` if it is a config, else `default` with the values of
    the table `given`.

    Raises:
        BadInput: if `given` is the config of another model, or names an unknown setting.
    """
    if isinstance(given, ModelConfig):
        if not isinstance(given, type(default)):
            raise BadInput(
                f"models.{model} is set by {type(default).__name__}, got {type(given).__name__}"
            )
        return given
    if not isinstance(given, Mapping):
        raise BadInput(f"models.{model} must be a table of settings, got {given!r}")
    former = SETTINGS.get(model, {})
    given = {former.get(name, name): value for name, value in given.items()}
    settings = {one.name: one for one in fields(default)}
    for name in given:
        if name not in settings:
            near = get_close_matches(str(name), settings, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise BadInput(
                f"models.{model} has no setting {name!r}{hint} (there are {', '.join(settings)})"
            )
    config = type(default)
    try:
        checked = {name: _checked(config, settings[name], value) for name, value in given.items()}
    except BadInput as error:  # the author of a table does not know the class
        message = str(error).replace(f"{config.__name__}.", f"models.{model}.", 1)
        raise BadInput(message) from error
    return replace(default, **checked)


def config_line(model: str, config: ModelConfig) -> str:
    """Return a config as one line of text: `ease: regularization 200, kept 500`."""
    values = ", ".join(f"{name} {_text_of(value)}" for name, value in asdict(config).items())
    return f"{model}: {values or 'no settings'}"


def _text_of(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return " | ".join(map(_text_of, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _checked(config: type, one: Field[Any], value: Any) -> Any:
    """Return the value of a field, converted to its type.

    Raises:
        BadInput: if the type is wrong or the value out of range.
    """
    value = _of_kind(config, one.name, value, get_type_hints(config)[one.name])
    for number in value if isinstance(value, tuple) else (value,):
        _check_range(config, one.name, number, one.metadata)
    return value


def _of_kind(config: type, name: str, value: Any, kind: Any) -> Any:
    """Return the value converted to the type of its field: a whole number to int or float, a list
    to a tuple.

    Raises:
        BadInput: if the value is of another type.
    """
    text = str(kind)
    if value is None and "None" in text:
        return None
    if text.startswith("tuple") and isinstance(value, (tuple, list)) and value:
        return tuple(_number(config, name, one, must_be_whole=False) for one in value)
    if kind is bool and isinstance(value, bool):
        return value
    if "float" in text and not text.startswith("tuple"):
        return _number(config, name, value, must_be_whole=False)
    if "int" in text:
        return _number(config, name, value, must_be_whole=True)
    if kind is not bool and not text.startswith("tuple"):
        return value
    expected = "true or false" if kind is bool else "a list of numbers"
    raise BadInput(f"{_place(config, name)} must be {expected}, got {value!r}")


def _number(config: type, name: str, value: Any, *, must_be_whole: bool) -> int | float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not isfinite(value) or (must_be_whole and value != int(value)):
        what = "a whole number" if must_be_whole else "a number"
        raise BadInput(f"{_place(config, name)} must be {what}, got {value!r}")
    return int(value) if must_be_whole else float(value)


def _check_range(config: type, name: str, value: Any, limits: Mapping[str, float | None]) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return
    least, above, most, below = (limits.get(w) for w in ("at_least", "above", "at_most", "below"))
    wrong = [
        words
        for is_wrong, words in (
            (least is not None and value < least, f"{least} or more"),
            (above is not None and value <= above, f"above {above}"),
            (most is not None and value > most, f"{most} at most"),
            (below is not None and value >= below, f"below {below}"),
        )
        if is_wrong
    ]
    if wrong:
        raise BadInput(f"{_place(config, name)} must be {wrong[0]}, got {value!r}")


def _place(config: type, name: str) -> str:
    return f"{config.__name__}.{name}"

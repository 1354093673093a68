"""Former names in saved models, reports, command lines and Python, read as the current ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

SAVED = {
    "newcomers": "cold_users",
    "person_template": "user_template",
    "shots": "support_sizes",
}
"""Former name of a setting of a saved model -> current name."""
SETTINGS = {
    "gate": {
        "told": "revealed",
        "min_told": "min_revealed",
        "max_placed": "max_located",
    },
}
"""Model -> former name of one of its settings, in a saved model or a TOML table -> current name."""
ARRAYS = {
    "people": "users",
    "knots": "points",
    "trust": "popularity_weight",
    "regard": "statistics_weight",
    "ease": "smoothing",
    "standing": "item_statistics",
}
"""Former name of an array of a saved model -> current name; each class looks up its own arrays."""
IN_REPORTS = {
    "people": "users",
    "newcomers": "new_users",
    "training_people": "training_users",
    "liked_per_person": "liked_per_user",
    "judged": "test_users",
    "verdicts": "comparisons",
    "standings": "differences",
    "worth_from": "crossover",
    "verdict": "summary",
    "made_up": "synthetic",
    "parts": "components",
    "part": "component",
    "shots": "n_support",
    "shots[]": "support_sizes",
}
"""Former key of a report stored with a model -> current key; `KEY[]` of a key of a list."""
OPTIONS = {
    "--person-template": "--user-template",
    "--people-as-text": "--user-text",
    "--parts": "--components",
    "--mend": "--mitigate",
    "--users-a-part": "--users-per-file",
}
"""Former option of the command line -> current option."""
IN_REQUESTS = {"taken": "conversions"}
"""Former value of a parameter of a request over HTTP -> current value."""
_SIZES = {"shots": "support_sizes"}
ATTRIBUTES = {
    "Conformal": _SIZES,
    "Horizon": _SIZES,
    "Recommender": {"score_parts": "score_components"},
    "Explanation": {"parts": "components"},
    "Questions": {"worth": "uncertainty_reduction"},
    "Settings": {"parts": "scorers"},
}
"""Public class -> former name of an attribute -> current name."""
KEYWORDS = {
    **dict.fromkeys(("compare_mitigations", "Conformal", "Horizon"), _SIZES),
    "audit": {**_SIZES, "trial": "evaluation_set"},
    **dict.fromkeys(("evaluate", "prepare", "split_cold_users"), {"most": "max_users"}),
    "setting": {"least": "at_least", "most": "at_most", "tried": "search_range"},
}
"""Public function or class -> former name of a keyword argument -> current name."""


CLASSES = {("metarec.evaluation.measure", "Trial"): "EvaluationSet"}
"""Module and former name of a public class -> current name."""

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")


def takes_former_keywords(function: Callable[P, R]) -> Callable[P, R]:
    """Let a public function in `KEYWORDS` take former names of its keyword arguments, with a
    `FutureWarning` that names the current one.
    """
    return _with_current_keywords(function, function.__name__)


def init_takes_former_keywords(cls: type[C]) -> type[C]:
    """Let a public class in `KEYWORDS` be made with former names of its keyword arguments, as
    `takes_former_keywords`.
    """
    init = "__init__"  # assigned by name, for the one in the class is typed as not to be replaced
    setattr(cls, init, _with_current_keywords(getattr(cls, init), cls.__name__))
    return cls


def _with_current_keywords(function: Callable[P, R], owner: str) -> Callable[P, R]:
    names = KEYWORDS[owner]

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        for former in names.keys() & kwargs.keys():
            text = f"{former} of {owner} is now {names[former]}"
            warnings.warn(text, FutureWarning, stacklevel=2)
            kwargs[names[former]] = kwargs.pop(former)
        return function(*args, **kwargs)

    return called


class FormerNames:
    """Base of public classes in `ATTRIBUTES`: former names of attributes work, and a
    `FutureWarning` names the current one.
    """

    if not TYPE_CHECKING:  # type checkers know the current names alone

        def __getattr__(self, name: str) -> Any:
            for cls in type(self).__mro__:
                if current := ATTRIBUTES.get(cls.__name__, {}).get(name):
                    text = f"{cls.__name__}.{name} is now {cls.__name__}.{current}"
                    warnings.warn(text, FutureWarning, stacklevel=2)
                    return getattr(self, current)
            return object.__getattribute__(self, name)  # raises, with the text of Python


def by_former_name(module: dict[str, Any]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module with the globals `module`: it looks up classes by their
    former names, with a `FutureWarning`.
    """

    def look_up(name: str) -> Any:
        owner = module["__name__"]
        if (current := CLASSES.get((owner, name))) is None:
            raise AttributeError(f"module {owner!r} has no attribute {name!r}")
        warnings.warn(f"{name} of {owner} is now {current}", FutureWarning, stacklevel=2)
        return module[current]

    return look_up


def with_current_names(saved: Any, names: Mapping[str, str]) -> Any:
    """Return `saved` with current names at every depth."""
    if isinstance(saved, Mapping):
        return {
            _current(key, value, names): with_current_names(value, names)
            for key, value in saved.items()
        }
    return (
        [with_current_names(value, names) for value in saved] if isinstance(saved, list) else saved
    )


def _current(key: Any, value: Any, names: Mapping[str, str]) -> Any:
    of_list = names.get(f"{key}[]") if isinstance(value, list) else None
    return of_list or names.get(key, key)


def current_option(word: str) -> str:
    """Return a word of a command line, also `--option=value`, with the current name of the
    option.
    """
    option, equals, value = word.partition("=")
    return f"{OPTIONS.get(option, option)}{equals}{value}"

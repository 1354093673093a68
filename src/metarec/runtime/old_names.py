"""Former names in saved models, reports, command lines and Python, read as the current ones."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

SAVED = {"newcomers": "cold_users", "person_template": "user_template"}
"""Former name of a setting of a saved model -> current name."""
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
}
"""Former key of a report stored with a model -> current key."""
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
ATTRIBUTES = {
    "Recommender": {"score_parts": "score_components"},
    "Explanation": {"parts": "components"},
    "Questions": {"worth": "uncertainty_reduction"},
}
"""Public class -> former name of an attribute -> current name."""


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


def with_current_names(saved: Any, names: Mapping[str, str]) -> Any:
    """Return `saved` with current names at every depth."""
    if isinstance(saved, Mapping):
        return {
            names.get(key, key): with_current_names(value, names) for key, value in saved.items()
        }
    return (
        [with_current_names(value, names) for value in saved] if isinstance(saved, list) else saved
    )


def current_option(word: str) -> str:
    """Return a word of a command line, also `--option=value`, with the current name of the
    option.
    """
    option, equals, value = word.partition("=")
    return f"{OPTIONS.get(option, option)}{equals}{value}"

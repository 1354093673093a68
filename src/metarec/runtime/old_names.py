"""Former names in saved models, reports and command lines, read as the current ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
}
"""Former key of a report stored with a model -> current key."""
OPTIONS = {"--person-template": "--user-template", "--people-as-text": "--user-text"}
"""Former option of the command line -> current option."""


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

"""Names that saved models, reports and command lines used before: read under those of today."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SAVED = {"newcomers": "cold_users", "person_template": "user_template"}
"""Old name of a setting of a saved model -> its name."""
ARRAYS = {
    "people": "users",
    "knots": "points",
    "trust": "popularity_weight",
    "regard": "statistics_weight",
    "ease": "smoothing",
    "standing": "item_statistics",
}
"""Old name of an array of a saved model -> its name; each class reads its own arrays by them."""
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
"""Old key of a report kept with a model -> its key."""
OPTIONS = {"--person-template": "--user-template", "--people-as-text": "--user-text"}
"""Old option of the command line -> its name."""


def with_current_names(saved: Any, names: Mapping[str, str]) -> Any:
    """`saved` with the names of today at every depth."""
    if isinstance(saved, Mapping):
        return {
            names.get(key, key): with_current_names(value, names) for key, value in saved.items()
        }
    return (
        [with_current_names(value, names) for value in saved] if isinstance(saved, list) else saved
    )


def current_option(word: str) -> str:
    """A word of a command line, `--option=value` too, with the option's name of today."""
    option, equals, value = word.partition("=")
    return f"{OPTIONS.get(option, option)}{equals}{value}"

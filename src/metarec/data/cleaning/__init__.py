"""Events as read -> events that somebody can have meant, and a report of what was taken out.

`clean` runs the `rules`, each switched by `metarec.data.cleaning_config`, and looks for `bots`;
`statistics` counts what is left, and `report` says all of it, with what to do about it.
"""

from metarec.data.cleaning.clean import check, clean, cleaned, read_clean
from metarec.data.cleaning_config import OFF, CleaningConfig

__all__ = ["OFF", "CleaningConfig", "check", "clean", "cleaned", "read_clean"]

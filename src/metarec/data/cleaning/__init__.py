"""Cleaning: remove events that no human can have meant, and report what was removed.

`clean` runs the `rules` and the detection of `bots`, each switched by
`metarec.data.cleaning_config`; `statistics` describes the remaining events, and `report` shows
findings, statistics and advice.
"""

from metarec.data.cleaning.clean import check, clean, cleaned, read_clean
from metarec.data.cleaning_config import OFF, CleaningConfig

__all__ = ["OFF", "CleaningConfig", "check", "clean", "cleaned", "read_clean"]

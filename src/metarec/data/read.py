"""Read a data set from files, databases or data frames."""

from __future__ import annotations

import warnings
from dataclasses import replace
from os import PathLike
from typing import Any

from metarec.data.cleaning_config import CleaningConfig
from metarec.data.dataset import Dataset
from metarec.data.opening import open_tables
from metarec.data.schema import DataWarning


def read(
    source: str | PathLike[str] | Any,
    *,
    rules: CleaningConfig | None = None,
    domain: str | None = None,
) -> Dataset:
    """Read events, items and users; rows that cannot be events are left out with a `DataWarning`.

    Args:
        source: a data folder (`interactions.*`, `items.*`, `users.*`; RecBole atomic files; an
            unpacked MovieLens archive), one file of events, a TOML file that merges several
            sources, a database URL (`sqlite:///...`, `postgresql://...`), a frame of events, or
            `{"interactions": frame, "items": frame, "users": frame}`.
        rules: settings for reading rows, which a later fit also cleans the data with.
        domain: name of a domain pack, which adds column names to those understood and sets the
            policy of the data. A TOML file may name it too.

    Raises:
        BadInput: if file and `domain` name different domains, or the source is missing, empty, or
            cannot be understood; the message names file, row or column.
    """
    tables = open_tables(source, rules=rules, domain=domain)
    for finding in tables.findings:
        warnings.warn(f"{tables.name}: {finding.line()}", DataWarning, stacklevel=2)
    data = Dataset.of(tables)
    return data if rules is None else replace(data, cleaning=rules)

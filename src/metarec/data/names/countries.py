"""Countries by their codes and names; the table is data, in `countries.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files


def same_country(name: str) -> tuple[str, ...]:
    """All codes and names of the country that a name in lower case says, itself among them; none
    where it says no country.
    """
    return _by_name().get(name, ())


@cache
def _by_name() -> dict[str, tuple[str, ...]]:
    text = (files("metarec.data.names") / "countries.toml").read_text(encoding="utf-8")
    lines = tomllib.loads(text)["countries"].strip().splitlines()
    rows = [tuple(word.replace("_", " ") for word in line.split()) for line in lines]
    return {name: row for row in rows for name in row}

"""Clocks that do not count seconds since 1970: days of spreadsheets and of SQLite, ticks of .NET
and Windows, microseconds of Chrome. Each is recognized by the range of the years 2000 to 2050,
whose numbers, read as seconds since 1970 or a finer unit, would be times that no log has.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

DAY = 86_400.0
FROM, TO = 946_684_800.0, 2_524_608_000.0
"""2000 and 2050 in seconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Unit and zero of a clock."""

    words: str
    unit: float
    """Seconds."""
    zero: float
    """1 January 1970, in units."""

    def counts(self, stamps: pl.Series) -> bool:
        """Whether all numbers lie between 2000 and 2050 by this clock."""
        first, last = (self.zero + edge / self.unit for edge in (FROM, TO))
        return bool(stamps.is_between(first, last).all())

    def seconds(self, stamps: pl.Series) -> pl.Series:
        """Convert numbers of this clock to seconds since 1970."""
        return (stamps - self.zero) * self.unit


SPREADSHEET = Clock(words="days as a spreadsheet counts them", unit=DAY, zero=25_569.0)
CLOCKS = (
    SPREADSHEET,
    Clock(words="days since 1970", unit=DAY, zero=0.0),
    Clock(words="hours since 1970", unit=3_600.0, zero=0.0),
    Clock(words="minutes since 1970", unit=60.0, zero=0.0),
    Clock(words="Julian days (as in SQLite)", unit=DAY, zero=2_440_587.5),
    Clock(words="ticks of .NET", unit=1e-7, zero=621_355_968e9),
    Clock(words="ticks of Windows", unit=1e-7, zero=116_444_736e9),
    Clock(words="microseconds since 1601 (as in Chrome)", unit=1e-6, zero=11_644_473_600e6),
)


def clock_of(stamps: pl.Series) -> Clock | None:
    """Return the first of `CLOCKS` by which all finite numbers above 0 lie between 2000 and 2050;
    None where there is none, or where most are days such as 20240131.
    """
    times = stamps.filter((stamps > 0).fill_null(False) & stamps.is_finite().fill_null(False))
    if not len(times) or _are_days(times):
        return None
    return next((one for one in CLOCKS if one.counts(times)), None)


def _are_days(numbers: pl.Series) -> bool:
    """Whether most numbers look like days such as 20240131, which need not all be valid."""
    is_day = ((numbers // 100) % 100).is_between(1, 12) & (numbers % 100).is_between(1, 31)
    in_range = numbers.is_between(19_000_101, 21_001_231)
    return 2 * int((is_day & in_range).sum()) > len(numbers)

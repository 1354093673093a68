"""What is raised and warned of when data or arguments are wrong."""

from __future__ import annotations


class BadInput(ValueError):
    """The caller's data or arguments are wrong; the message names the place and the way out (CLI
    exit code 2).
    """


class DataWarning(UserWarning):
    """The data are odd but usable; the message says what was assumed."""

"""The error and the warning for wrong data or arguments."""

from __future__ import annotations


class BadInput(ValueError):
    """The caller's data or arguments are wrong; the message names the place and the way out (CLI
    exit code 2).
    """


class NothingToDo(BadInput):
    """There is nothing to do now, such as no new events to learn from; later there may be."""


class BrokenPart(BadInput):
    """A model, learner, encoder or baseline that another package adds breaks its interface; the
    message names its class.
    """


class DataWarning(UserWarning):
    """The data are odd but usable; the message says what was assumed."""

"""Text encoders of other packages: what breaks the interface is refused by one line that names the
class.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from metarec.data.errors import BrokenPart
from metarec.features.encoders import encode
from metarec.features.encoders.base import EncoderState, unit_rows
from metarec.features.encoders.encode import fit_text_encoder, read_queries, register_encoder

TEXTS = ["a rocket", "two roses", ""]


class Lengths:
    """Two columns of letters and words."""

    name, dim = "lengths", 2

    @classmethod
    def fit(cls, texts: Any, rng: Any) -> Any:
        return cls()

    def encode(self, texts: Any, *, progress: Any = None) -> Any:
        rows = [[len(text), len(text.split())] for text in texts]
        return unit_rows(np.array(rows, np.float32))

    def state(self) -> Any:
        return EncoderState(settings={"kind": "lengths"})

    @classmethod
    def from_state(cls, state: Any) -> Any:
        return cls()


class Narrow(Lengths):
    def encode(self, texts: Any, *, progress: Any = None) -> Any:
        return super().encode(texts)[:, :1]


class FirstOnly(Lengths):
    def encode(self, texts: Any, *, progress: Any = None) -> Any:
        return super().encode(texts)[:1]


class Listed(Lengths):
    def encode(self, texts: Any, *, progress: Any = None) -> Any:
        return super().encode(texts).tolist()


class NotANumber(Lengths):
    def encode(self, texts: Any, *, progress: Any = None) -> Any:
        return super().encode(texts) * np.float32(np.nan)


class Long(Lengths):
    def encode(self, texts: Any, *, progress: Any = None) -> Any:
        return super().encode(texts) * 3


class TellsNothing(Lengths):
    def encode(self, texts: Any, *, progress: Any = None) -> Any:
        return super().encode([text or "nothing" for text in texts])


class Fails(Lengths):
    def encode(self, texts: Any, *, progress: Any = None) -> Any:
        raise ZeroDivisionError("oops")


class FailsInFit(Lengths):
    @classmethod
    def fit(cls, texts: Any, rng: Any) -> Any:
        raise RuntimeError("no license")


class NothingFitted(Lengths):
    @classmethod
    def fit(cls, texts: Any, rng: Any) -> Any:
        return None


class Forgets(Lengths):
    """What it learned is not in its state."""

    learned = False

    @classmethod
    def fit(cls, texts: Any, rng: Any) -> Any:
        made = cls()
        made.learned = True
        return made

    def encode(self, texts: Any, *, progress: Any = None) -> Any:
        found = super().encode(texts)
        return found[:, ::-1].copy() if self.learned else found


class FailsToLoad(Lengths):
    @classmethod
    def from_state(cls, state: Any) -> Any:
        return state.arrays["weights"]


class ReadsOthers(Lengths):
    """Letters are counted relative to those of the longest text beside it."""

    def encode(self, texts: Any, *, progress: Any = None) -> Any:
        longest = max(map(len, texts), default=0) or 1
        rows = [[len(text) / longest, len(text.split())] for text in texts]
        return unit_rows(np.array(rows, np.float32))


class GivesItsClass(Lengths):
    @classmethod
    def fit(cls, texts: Any, rng: Any) -> Any:
        return cls


class ForgetsToReturn(Lengths):
    @classmethod
    def from_state(cls, state: Any) -> Any:
        cls()


class FailsInState(Lengths):
    def state(self) -> Any:
        raise RuntimeError("no license")


class StateDict(Lengths):
    def state(self) -> Any:
        return {"kind": "lengths"}


class StateSet(Lengths):
    def state(self) -> Any:
        return EncoderState(settings={"kind": "lengths", "words": {"a", "b"}})


class StateList(Lengths):
    def state(self) -> Any:
        arrays: Any = {"weights": [1.0, 2.0]}
        return EncoderState(settings={"kind": "lengths"}, arrays=arrays)


class StateTuple(Lengths):
    """Restored from what it gave, and not from what JSON keeps of that: a list."""

    def state(self) -> Any:
        return EncoderState(settings={"kind": "lengths", "range": (1, 2)})

    @classmethod
    def from_state(cls, state: Any) -> Any:
        return {(1, 2): cls}[state.settings["range"]]()


class TakesTexts(Lengths):
    """Empties the texts it is given, so that nothing would be checked."""

    @classmethod
    def fit(cls, texts: Any, rng: Any) -> Any:
        texts.clear()
        return cls()

    def encode(self, texts: Any, *, progress: Any = None) -> Any:
        return super().encode(texts) * 3


@pytest.fixture
def registered() -> Iterator[None]:
    yield
    encode._ENCODERS.table.pop("lengths", None)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        (Narrow, r"Narrow gave vectors of shape \(3, 1\) for 3 texts, and its dim is 2"),
        (FirstOnly, r"FirstOnly gave vectors of shape \(1, 2\) for 3 texts"),
        (Listed, "Listed gave vectors of type list; give a NumPy array of float32"),
        (NotANumber, "NotANumber gave NaN or infinite values as vectors"),
        (Long, r"Long gave a vector of length 3; give unit lengths"),
        (TellsNothing, "TellsNothing gave a vector for the empty text; give zeros"),
        (Fails, r"Fails failed in encode: ZeroDivisionError: oops, test_added_encoders\.py line"),
        (FailsInFit, "FailsInFit failed in fit: RuntimeError: no license"),
        (NothingFitted, "NothingFitted gave None from fit; return the fitted encoder"),
        (Forgets, r"Forgets gives other vectors after from_state\(state\(\)\)"),
        (ReadsOthers, "ReadsOthers gives a text another vector beside other texts"),
        (GivesItsClass, "GivesItsClass gave <class .*> from fit; return the fitted encoder"),
        (ForgetsToReturn, "ForgetsToReturn gave NoneType from from_state; return the encoder"),
        (FailsInState, "FailsInState failed in state: RuntimeError: no license"),
        (StateDict, "StateDict gave a state of type dict; give an EncoderState"),
        (StateSet, "StateSet gave settings in its state that are no JSON"),
        (StateList, "StateList gave a state whose arrays are no NumPy arrays of numbers"),
        (StateTuple, "StateTuple failed in from_state: TypeError"),
        (TakesTexts, "TakesTexts gave a vector of length 3"),
        (FailsToLoad, "FailsToLoad failed in from_state: KeyError: 'weights'"),
    ],
)
def test_a_wrong_encoder_is_refused_by_its_name(encoder: Any, said: str) -> None:
    register_encoder("lengths", encoder)
    with pytest.raises(BrokenPart, match=f"^the encoder {said}") as refused:
        fit_text_encoder(TEXTS[:2], "lengths")
    assert str(refused.value).endswith("(see docs/guide/extending.md)")


@pytest.mark.usefixtures("registered")
def test_a_right_encoder_is_asked_as_it_is() -> None:
    register_encoder("lengths", Lengths)
    encoder, _ = fit_text_encoder(TEXTS, "lengths")
    np.testing.assert_array_equal(read_queries(encoder, TEXTS), Lengths().encode(TEXTS))

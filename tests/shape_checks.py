"""How types and shapes are checked while tests run; nothing of it runs in production."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from dataclasses import is_dataclass
from importlib.machinery import SourceFileLoader
from types import CodeType, FunctionType, SimpleNamespace
from typing import Any, Self, get_args, get_origin, get_type_hints
from unittest.mock import patch

import jaxtyping
from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray, _import_hook, install_import_hook

CHECKED = ("metarec.models", "metarec.recommendation")
"""Packages whose functions are checked at each call where they say a shape."""
WHOLLY = (
    "metarec.recommendation.ensemble.gate",
    "metarec.recommendation.ordering.top_k",
    "metarec.models.ease.model",
    "metarec.models.ease.fit",
    "metarec.models.item_knn",
    "metarec.models.als",
    "metarec.models.markov.model",
    "metarec.models.markov.counts",
    "metarec.models.content",
    "metarec.models.profile",
    "metarec.models.deep_set.scorer",
    "metarec.models.deep_set.network",
    "metarec.models.support_ridge.model",
    "metarec.models.ridge_rows",
    "metarec.models.attention",
)
"""Modules whose functions are checked whether they say a shape or not."""
_check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float, as for mypy


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which raises where an argument or the result is not of the type and shape that it
    says. Two types cannot be checked here: `Self` outside of its class, and classes of an interface
    that has attributes.
    """
    hints = function.__annotations__
    if function.__module__ not in WHOLLY and not any(map(says_a_shape, hints.values())):
        return function
    if not isinstance(function, type):
        function.__annotations__ = {n: hint for n, hint in hints.items() if not _is_beyond(hint)}
    return _check(function)


def says_a_shape(hint: Any) -> bool:
    """Whether there is an array of a stated shape in a type."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(map(says_a_shape, get_args(hint)))


def check_all() -> None:
    """Check what is imported from now on."""
    # What the hook puts before each function and class checks every call, most of which repeat
    # one another: it took more than half of the time of a fit.
    jaxtyping.jaxtyped = lambda typechecker: at_each_new_shape
    # While a module of ours ran, the hook looked for the compiled code of all that it imports under
    # a name of its own, and so compiled whole libraries again.
    loader = _import_hook._JaxtypingLoader
    loader.get_code, loader.exec_module = _own_code, SourceFileLoader.exec_module
    install_import_hook(CHECKED, f"{__name__}.checked")


def _own_code(self: Any, name: str) -> CodeType:
    place = functools.partial(_import_hook._optimized_cache_from_source, KEPT_AS)
    with patch("importlib._bootstrap_external.cache_from_source", place):
        return SourceFileLoader.get_code(self, name)


def at_each_new_shape(of: Any) -> Any:
    """A function, or a dataclass, whose arguments and results are checked whenever their types and
    shapes are together new; what says no shape is as it was.
    """
    if isinstance(of, type):
        made = vars(of).get("__init__")
        if is_dataclass(of) and made is not None and not hasattr(made, "__wrapped__"):
            of.__init__ = at_each_new_shape(made)
        return of
    known = (of.__module__, of.__qualname__, of.__code__)  # a function within another is made anew
    if known not in _SEEN:
        _SEEN[known] = {} if of.__module__ in WHOLLY or _says_a_shape(of) else None
    seen = _SEEN[known]
    return of if seen is None else _checked_when_new(of, seen)


_SEEN: dict[Hashable, dict[Hashable, set[Hashable]] | None] = {}
"""Function -> signs of the arguments it was checked with -> those of its results."""
KEPT_AS = "metarec"
"""Names the compiled code that checks, beside that which does not."""
MAX_LOOKED_AT = 8
"""Elements of a list, and letters of a text, that are told apart."""
_strictly = jaxtyping.jaxtyped


def _checked_when_new(of: FunctionType, seen: dict[Hashable, set[Hashable]]) -> FunctionType:
    strict = functools.cache(lambda: _strictly(of, typechecker=checked))

    @functools.wraps(of)
    def checking(*args: Any, **more: Any) -> Any:
        __tracebackhide__ = True
        given = sign(args), tuple((name, sign(value)) for name, value in more.items())
        if given not in seen:
            result = strict()(*args, **more)
            seen[given] = {sign(result)}
            return result
        result = of(*args, **more)
        if sign(result) not in seen[given]:
            _strictly(_giving(of, result), typechecker=checked)(*args, **more)
            seen[given].add(sign(result))
        return result

    return checking


def _giving(of: FunctionType, result: Any) -> FunctionType:
    """A function of the same types that has given `result`."""
    give = lambda *_, **__: result  # noqa: E731
    same = FunctionType(give.__code__, of.__globals__, of.__name__, None, give.__closure__)
    return functools.update_wrapper(same, of)


def sign(value: Any) -> Hashable:
    """What a check can tell values apart by: types, shapes, and those of elements."""
    kind, shape = type(value), getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return kind, getattr(value, "dtype", None), shape
    if kind in (tuple, list):
        return kind, *map(sign, value[:MAX_LOOKED_AT])
    if kind is dict:
        pairs = zip(range(MAX_LOOKED_AT), value.items(), strict=False)
        return kind, *((sign(key), sign(one)) for _, (key, one) in pairs)
    is_told_by_value = isinstance(value, type) or kind is str and len(value) <= MAX_LOOKED_AT
    return (kind, value) if is_told_by_value else kind


def _says_a_shape(of: FunctionType) -> bool:
    return any(
        says_a_shape(_read(annotation, of.__globals__))
        for annotation in of.__annotations__.values()
    )


def _read(annotation: Any, names: dict[str, Any]) -> Any:
    """A type that is written as text; Any where one of its names is not known (yet)."""
    try:
        return get_type_hints(SimpleNamespace(__annotations__={"it": annotation}), names)["it"]
    except Exception:  # names are not all: two shapes may not go together
        return Any


def _is_beyond(hint: Any) -> bool:
    of = get_args(hint)[0] if get_origin(hint) is type else None
    return hint is Self or getattr(of, "_is_protocol", False)

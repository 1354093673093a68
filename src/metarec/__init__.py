"""metarec is a cold-start recommender: it recommends well to users and items with few events.

The journey, one way: data -> features -> models -> recommendation -> feedback;
`recommender.py` is that journey in one class; evaluation, explanation and fairness read it; `app`
wires it. `__init__.pyi` beside this file lists the public names and their homes. Each is loaded
when first used, so that `import metarec` and `metarec --help` load no torch.
"""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

_LISTED = re.compile(r"^from ([\w.]+) import (\w+) as \2$", re.MULTILINE)
_HOMES = {
    name: home
    for home, name in _LISTED.findall(Path(__file__).with_suffix(".pyi").read_text("utf-8"))
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(
            f"module 'metarec' has no attribute {name!r}; it offers {', '.join(__all__)}"
        )
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

"""metarec recommends well to people and items it has just met.

The journey, one way: data -> features -> models -> recommendation -> feedback;
`recommender.py` is that journey in one class; evaluation, explanation and fairness read it; `app`
wires it. Names are loaded when first used, so that `import metarec` and `metarec --help` load no
torch.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "Dataset": "metarec.data.schema",
    "Interactions": "metarec.data.schema",
    "Catalog": "metarec.data.schema",
    "Profiles": "metarec.data.schema",
    "read": "metarec.data.read",
    "Request": "metarec.recommendation.slate",
    "Slate": "metarec.recommendation.slate",
    "Recommender": "metarec.recommender",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(
            f"module 'metarec' has no attribute {name!r}; it offers {', '.join(__all__)}"
        )
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

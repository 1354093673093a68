"""From requests to slates: `Request` in, `Slate` out (`slate.py`), through the stages that
`pipeline.py` runs over a `FittedModel` (`fitted.py`).

`fitting/` fits such a model and `storage.py` saves it in a folder; `stages/` recommends with it,
using `ensemble/`, `policy/`, `candidates/`, `ordering/` and `queries/`.
"""

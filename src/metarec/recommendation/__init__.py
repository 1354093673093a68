"""From requests to slates: `Request` in, `Slate` out (`slate.py`), by the stages that `pipeline.py`
runs over a `FittedModel` (`fitted.py`).

`fitting/` learns such a model, `storage.py` keeps it in a folder; `stages/` recommends with it, of
what `ensemble/`, `policy/`, `candidates/`, `ordering/` and `queries/` offer.
"""

"""Models that score items for a request: one module or package for each model, one registry.

Each model implements the protocol of `base.py`, declares its hyper-parameters by `config.py` and is
listed in `registry.py`. A model of several modules is a package, whose `model.py` or `scorer.py`
holds the model itself. The other modules hold what models share: `attention`, `inner_loop` and
`sampling` for networks; `gram`, `sparse_rows`, `ridge`, `ridge_rows` and `offsets` for closed-form
models.
"""

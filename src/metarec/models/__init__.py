"""Everything that scores items for a request: one home for each model, one registry.

Each model keeps the protocol of `base.py`, has its hyper-parameters by `config.py` and stands in
`registry.py`; what takes several modules has a room, whose `model.py` or `scorer.py` is the model
itself. Beside them lies what several models are made of: `attention`, `inner_loop` and `sampling`
of networks; `gram`, `sparse_rows`, `ridge`, `ridge_rows` and `offsets` of closed forms.
"""

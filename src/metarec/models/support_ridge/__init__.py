"""The support ridge: a regression from the events of a new user to everything liked afterwards.

`model.py` is the model, with one ridge regression for each support size; `dual.py` solves them for
many targets.
"""

"""The support ridge: from the events of a new user to everything liked afterwards.

`model.py` is the model, a ridge for each support size; `dual.py` solves it over many targets.
"""

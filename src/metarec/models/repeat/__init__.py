"""Repeats: the probability that a user takes again what the user took before.

`fit.py` learns from training users with repeated events, `circumstances.py` what the hour or place
says of which item it is; `model.py` computes the probability for a request.
"""

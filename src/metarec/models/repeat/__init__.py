"""What a user took before, wanted again.

`fit.py` learns from training users when acts are repeated; `model.py` is the chance of it now.
"""

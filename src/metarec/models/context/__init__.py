"""Context of a request: hour, weather, device.

`lifts.py` estimates how much more often an item is taken under each circumstance; `model.py` scores
items by these lifts.
"""

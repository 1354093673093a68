"""Context of a request: hour, weather, device.

`lifts.py` estimates how much more often an item is taken under each circumstance, `choosing.py`
chooses which columns are read and how their lifts are shrunk; `model.py` scores items by them.
"""

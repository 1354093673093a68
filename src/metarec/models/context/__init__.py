"""What suits the circumstances of a request: hour, weather, device.

`lifts.py` counts how much more often an item is taken under each; `model.py` scores by them.
"""

"""Location-aware models: items near the user (`model.py`), and items taken by users who go to the
same places (`local_knn.py`) or were likely to take what this user took (`mixture.py`). All read
places by `known_places.py`.
"""

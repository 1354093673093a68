"""Location-aware models: items near the user (`model.py`), and items taken by users who go to the
same places (`local_knn.py`). Both read places by `known_places.py`.
"""

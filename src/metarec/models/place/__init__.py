"""Models of where users are: what is near (`model.py`), and what users took who go where this one
goes (`local_knn.py`). Both read places by `known_places.py`.
"""

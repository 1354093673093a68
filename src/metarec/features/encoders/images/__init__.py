"""Encoders of pictures: found on disk (`files.py`), read by colors, a small network or any
pretrained one (`encoders.py`, `efficientnet.py`), and kept as vectors of the items (`encode.py`).
"""

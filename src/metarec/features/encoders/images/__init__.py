"""Image encoders: pictures are found on disk (`files.py`), encoded by colors, a small network or
any pretrained one (`encoders.py`, `efficientnet.py`), and cached as vectors of the items
(`encode.py`).
"""

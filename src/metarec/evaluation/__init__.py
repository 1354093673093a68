"""Evaluation on users with few events, of anything that can be fitted and scores a catalog.

`evaluate` splits, fits and compares; `curve` holds quality by number of events, `comparison` the
sentence that sums it up, and `report/` the page.
"""

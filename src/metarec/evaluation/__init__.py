"""How well a recommender does for users of few events: anything that fits and scores is evaluated.

`evaluate` splits, fits and compares; `curve` holds quality by number of events, `comparison` the
sentence on it, `report/` the page.
"""

"""The stages of a recommendation: score, restrict, retrieve, order, annotate.

`pipeline.py` runs them over one `Ranking`, which only goes down from one to the next. What they are
made of lies in a room each: `ensemble/`, `policy/`, `candidates/`, `ordering/`, `queries/`.
"""

"""The stages of a recommendation: score, restrict, retrieve, order, annotate.

`pipeline.py` runs them over one `Ranking`, which each stage passes on to the next. Each stage's
tools have their own package: `ensemble/`, `policy/`, `candidates/`, `ordering/`, `queries/`.
"""

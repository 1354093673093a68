"""Mitigations of gaps between groups, each with its trade-off: user weights and synthetic users
before training, priors and reranking after it.
"""

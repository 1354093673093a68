"""Ways to serve groups more evenly, each with its price: weights and copies before training, priors
and reranking after.
"""

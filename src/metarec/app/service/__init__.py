"""The HTTP service: parse, call, answer. The recommender thinks, the store remembers."""

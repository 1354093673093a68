"""Predicted ratings: the head, the process it starts from, and how both are chosen."""

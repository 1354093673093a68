"""Rank: the models blended by evidence, and the gate that says how much each is trusted."""

"""Fit: train all parts of a `FittedModel` on data."""

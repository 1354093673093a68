"""Fit: what a recommendation reads, learned from data."""

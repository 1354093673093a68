"""Transformers over the order of events."""

"""Queries in words: phrases that are wanted, and phrases that are not."""

"""Wishes in words, as what is wanted and what is not."""

"""Queries in words, as what is asked for and what is not wanted."""

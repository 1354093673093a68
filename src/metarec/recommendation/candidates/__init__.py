"""Retrieve: which items of a large catalog are asked about at all."""

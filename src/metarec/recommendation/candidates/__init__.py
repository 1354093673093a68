"""Retrieve: candidate generation for large catalogs."""

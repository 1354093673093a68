"""Order: what shapes a ranked list, each way in a module of its own."""

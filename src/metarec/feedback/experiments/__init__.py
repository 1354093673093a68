"""A/B experiments: arms, counts, and results that are valid however often they are read."""

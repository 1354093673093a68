"""A/B experiments: arms, counts, and results that may be looked at every day."""

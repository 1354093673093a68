"""Everything that scores items for a request: one home for each model, one registry."""

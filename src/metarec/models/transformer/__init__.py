"""Sequence models: Transformers (and GRU4Rec, Caser) over ordered events."""

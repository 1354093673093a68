"""Rank: the ensemble of models, and the gate that learns their blending weights."""

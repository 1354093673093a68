"""Restrict: what a policy forbids or warns about, from item columns and user attributes."""

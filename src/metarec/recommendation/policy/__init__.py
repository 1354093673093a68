"""Restrict: what a policy forbids or warns of, from columns of items and attributes of users."""

"""Monitoring for the operator: Prometheus metrics of all workers, regular measurements of drift and
outcomes, and the alerts they raise.

The routes that show them are in `routes/operations.py`.
"""

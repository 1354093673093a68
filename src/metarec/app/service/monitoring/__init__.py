"""What an operator sees: Prometheus metrics of all workers, drift and outcomes measured now and
then, and the alerts that these raise.

The routes that show them are in `routes/operations.py`.
"""

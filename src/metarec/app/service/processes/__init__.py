"""Processes of one service: workers, shards of the catalog, retraining beside them.

The modules set each process up, supervise it, replace it when it ends, and end it with the process
that started it.
"""

"""The processes of one service: workers, shards of the catalog, retraining beside them.

How each is set up, looked after, replaced when it dies, and ended with the one that started it.
"""

"""Which model answers, and on which threads.

The live model follows the registry and the store's items; an experiment's arms have models beside
it. Requests that arrive together are scored together, and costly ones wait aside.
"""

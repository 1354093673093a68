"""The models that answer requests, and the threads they run on.

The live model follows the registry and the store's items; arms of an experiment have models of
their own. Requests that arrive together are scored together, and costly ones wait in a queue of
their own.
"""

"""The ground that every layer stands on: random generators, devices, jobs here or on Ray, files of
models, progress, language. It knows nothing of recommendation.
"""

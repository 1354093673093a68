"""The lowest layer, which all others use: random generators, devices, jobs here or on Ray, model
files, progress, language. It knows nothing of recommendation.
"""

"""The Markov chain: what users choose next.

`counts.py` counts which items follow which, `model.py` fits and applies the chain. By `alike.py`, a
rare item is also followed by items of similar text.
"""

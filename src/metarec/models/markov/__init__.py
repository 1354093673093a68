"""The Markov chain: what users choose next.

What follows what is counted in `counts.py`, fitted and asked in `model.py`; by `alike.py` a rare
item is followed by what follows those that read like it.
"""

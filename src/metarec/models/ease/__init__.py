"""EASE: regression of items on each other, its hyper-parameters, and how it is fitted."""

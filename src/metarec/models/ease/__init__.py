"""EASE: items regressed on each other, its hyper-parameters, and what is fitted of it."""

"""The deep-set network: from a set of events to a probability of every item."""

"""The deep-set network: a set of events in, a chance for every item out."""

"""Conversion between HTTP and the recommender: requests, events and feeds of items as they are
sent, into the types of `recommendation` and `feedback`; reasons of answers, into sentences.
"""

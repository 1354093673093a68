"""Between HTTP and the recommender: requests, events and feeds of items as they are sent, in the
words of `recommendation` and `feedback`; and the reasons of its answers, in sentences.
"""

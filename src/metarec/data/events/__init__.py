"""Rows of a table of events, from the file to the data set.

`rows` knows where they came from, `times` brings their times to seconds, `validity` takes out what
cannot be an event and counts it with its place in the file, and `columns` completes what is left.
"""

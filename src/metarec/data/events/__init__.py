"""Rows of a table of events, from the file to the data set.

`rows` records the place of rows in the file, `times` converts times to seconds, `validity` removes
rows that cannot be events and reports their places in the file, and `columns` completes times and
values of the remaining rows.
"""

"""A text file -> a table of texts, no cell lost or shifted.

Bytes are unpacked (`compression`) and brought to UTF-8 (`encoding`); the way cells are parted and
quoted is found; comments, lines above the names and rows that are none are left out; a table
without a line of names is named by its cells. `delimited` asks all of them, in this order.
"""

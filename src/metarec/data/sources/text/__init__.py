"""Read a text file as a table of text cells; no cell is lost or shifted.

Bytes are decompressed (`compression`) and converted to UTF-8 (`encoding`). The separator and the
quoting are detected, comments, lines above the header and rows that are no data are left out, and a
table without a header is named by its cells. `delimited` calls all of these, in this order.
"""

"""Cells of a column -> values, whatever they were written as; what cannot be read is null.

`parsing` reads numbers, ids and truth values, `units` numbers with what they are numbers of,
`dates` times, and `clocks` numbers that count time in another way than seconds since 1970. None of
them knows what the column is for.
"""

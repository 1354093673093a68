"""Parse the cells of a column, in many notations; unreadable cells become null.

`parsing` parses numbers and ids, `truth` yes and no, `units` numbers with units, `dates` times,
`clocks` converts times of clocks other than seconds since 1970, and `entities` decodes HTML
entities. None of them depends on the purpose of the column.
"""

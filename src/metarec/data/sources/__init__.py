"""Read data of any layout into tables with canonical columns, before cleaning.

`layouts` finds the tables of a source, and `files` and `text` read them without interpreting them.
`canonical_tables` then takes each table through `rows` (one row per event), `columns` (which column
is which), `values` (what cells mean) and `acts` (the kind of each event). Assumptions and omissions
are returned as findings.
"""

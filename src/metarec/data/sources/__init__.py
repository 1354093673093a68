"""From wherever data lie to tables with canonical columns, before cleaning.

`layouts` knows where the tables of a source are, `files` and `text` read them as they are, and
`canonical_tables` takes each through `rows` (a row an event), `columns` (which is which), `values`
(what cells mean) and `acts` (what was done). What was assumed or left out is said in findings.
"""

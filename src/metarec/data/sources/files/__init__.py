"""Files -> raw tables, with the names that their columns have there.

`containers` unpacks what holds several tables (archives, workbooks, dumps of databases),
`single_file` reads one file whatever its form, and `file_roles` says which file of a folder holds
which table; one table may lie in several (`partitions`), and an event in two (`joined_files`).
"""

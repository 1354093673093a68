"""Read files as raw tables, with the column names they have.

`containers` extracts the tables of archives, workbooks and database dumps, `single_file` reads one
file of any format, and `file_roles` decides which file of a folder holds which table. One table may
be in several files (`partitions`), and an event in two (`joined_files`).
"""

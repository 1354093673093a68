"""Find the tables of a source: data folders, TOML files, databases, frames, and layouts of
published data sets.

Each module reads its tables, directly or by `files`, states what it knows of their columns as a
`Reading`, and passes both to `canonical_tables`.
"""

"""Where the tables of a source are: our own folders, TOML files, databases, frames, and layouts in
which data sets are published.

Each reads its tables by `files` or by itself, says what it knows of their columns as a `Reading`,
and hands both to `canonical_tables`.
"""

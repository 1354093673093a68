"""Names of columns and kinds, in English, Chinese and the languages of `languages.toml`.

`column_names` lists the canonical names and their synonyms, `column_matching` finds the canonical
columns of a table by them, and `kind_names` normalizes names of kinds.
"""

"""What columns and kinds are called, in English, Chinese and the languages of `languages.toml`.

`column_names` has the canonical names and those that others use for them, `column_matching` finds
by them which column of a table is which, and `kind_names` brings names of acts to one form.
"""

"""Which column is which, where names alone do not say it, and which belong to items or users.

`id_columns` finds the ids by their cells before columns are renamed. Afterwards titles are given,
columns of items and users in a table of everything become tables of their own, lists of friends
become ties, and the id on which items and users fit the events is chosen (`id_joins`).
"""

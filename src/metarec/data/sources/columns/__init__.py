"""Identify columns whose names are not enough, and separate columns of items and users.

`id_columns` identifies ids by their cells, before columns are renamed. Then titles are found,
columns of events that describe items or users become tables of their own, lists of friends become
ties, and the ids on which events, items and users are joined are chosen (`id_joins`).
"""

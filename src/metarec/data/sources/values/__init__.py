"""Interpret cells: ratings, times, quantities, numbers, truth values and tags.

Of events, ratings are found first (`rating_columns`, `rating_words`, `rating_aspects`), and zeros
that are no ratings become missing. Then times and quantities are read. The remaining columns of any
table are typed (`cell_types`), and numbers that are codes for missing cells are removed
(`missing_codes`).
"""

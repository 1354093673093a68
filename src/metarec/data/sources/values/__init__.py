"""What cells mean: ratings, times, quantities, numbers, truth values and tags.

Of events, ratings are found first (`rating_columns`, in words by `rating_words`), those that stand
for none are left out, then times and quantities are read. What is left of any table is typed
(`cell_types`), and numbers that stand for a gap are taken out (`missing_codes`).
"""

"""Turn raw rows into one row per event.

Log envelopes are opened first (`log_envelopes`) and searches are separated (`queries`). Lists of
items within an order, impressions, surveys and matrices of users and items become one row each
(`event_shapes`), and so do lists of ids within a cell (`id_lists`).
"""

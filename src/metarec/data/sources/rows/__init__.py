"""Raw rows -> a row an event.

Envelopes that programs put around events are opened first; then lists of items within an order,
impressions, surveys and tables with a column for each item become a row each (`event_shapes`), and
so do lists of ids in a cell (`id_lists`).
"""

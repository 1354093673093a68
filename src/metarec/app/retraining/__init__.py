"""The loop closed: `material` joins old and new events, `loop` trains a challenger on them, and
`compare` (on logged slates: `compare_logged`) says whether it may replace the champion.
"""

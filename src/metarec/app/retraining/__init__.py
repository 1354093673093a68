"""Retraining: `round_data` joins old and new events, `loop` trains a challenger on them, and
`compare` (on logged slates: `compare_logged`) measures whether it may replace the champion.
"""

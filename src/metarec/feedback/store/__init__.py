"""The event store: its tables, its single writer, and its reads of one user and of all users."""

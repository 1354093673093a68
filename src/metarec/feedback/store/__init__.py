"""The event store: tables, one writer, and what is read of one user and of everybody."""

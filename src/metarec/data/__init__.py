"""Behavior data -> `Dataset`: the first stage of the journey.

`read` opens a source (`opening`), `sources` reads its tables, `cleaning` takes out what nobody can
have meant, and `dataset` holds what is left; data too large for memory go through `ingest`, and
`cold_users` and `splits` hold users out. Below lie `events`, `kinds`, `names` and `cells`.
"""

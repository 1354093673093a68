"""The HTTP service: parse, call, answer. The recommender thinks, the store remembers.

`run.py` starts it and `application.py` puts it together: a request passes `http/` and `security/`,
its route in `routes/` reads it by `schemas/` and `conversion/`, and `scoring/` answers it with the
model that serves. Beside the answers stand `monitoring/` and `processes/`. Every route holds the
`Service` of `parts.py`; how all of it runs is said in `settings.py`.
"""

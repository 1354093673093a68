"""The HTTP service: parses requests, calls the recommender and the event store, and writes answers.

`run.py` starts it and `application.py` builds the application. A request passes `http/` and
`security/`; its route in `routes/` reads it by `schemas/` and `conversion/`, and `scoring/` answers
it with the served model. `monitoring/` measures the service and `processes/` runs its processes.
Every route holds the `Service` of `parts.py`; `settings.py` has all settings.
"""

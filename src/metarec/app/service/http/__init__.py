"""Steps that every request and answer passes, on any subject: limits on size and rate, ids in
addresses, JSON, errors as one sentence, the language of answers.

This package knows no route and no model; `security/` checks who may ask.
"""

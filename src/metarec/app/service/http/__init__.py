"""What every request and answer passes, whatever it is about: limits on size and rate, ids in
addresses, JSON, errors as one sentence, the language of answers.

It knows no route and no model; who may ask is checked with `security/`.
"""

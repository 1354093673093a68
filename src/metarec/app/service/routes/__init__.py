"""The addresses of the service, a module for each subject.

A subject is a class of `base.Routes` whose methods stand below their addresses; `application.py`
lists them in the order in which they are tried. What slates and the tools for agents share is in
`slate_answers.py`.
"""

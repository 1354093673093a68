"""Routes of the service, one module per subject.

A subject is a class of `base.Routes` whose methods follow their addresses; `application.py` lists
the classes in the order in which they are tried. `slate_answers.py` has what slates and the tools
of agents share.
"""

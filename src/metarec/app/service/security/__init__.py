"""Access and limits: API keys and roles, protection from requests forged through a browser, limits
of each connection, and the log of refusals and changes.
"""

"""Who may ask, and how much: API keys and roles, what browsers may be made to send, what one
connection may take of a worker, and the log of who was refused and who changed what.
"""

"""Stage 2: content, histories, profiles and circumstances as arrays for the models.

`behavior` holds the training data of all models, `users` the users of a request, and `encoders/`
turns texts and pictures into vectors.
"""

"""Stage 2: content, histories, profiles and circumstances as columns that models read.

`behavior` holds what all models are fitted on, `users` what is known of those who ask, and
`encoders/` turns texts and pictures into vectors.
"""

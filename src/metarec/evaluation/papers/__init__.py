"""Published protocols: their splits, their scores, and the models compared with them."""

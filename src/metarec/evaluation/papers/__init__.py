"""Published tables: their splits, their scores, and what is compared with them."""

"""Items with few events or none: who will like them, and how they are reranked among themselves."""

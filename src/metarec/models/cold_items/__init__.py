"""Items with few events or none: who would like them, and where they stand in a ranking."""

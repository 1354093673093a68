"""Order: top k, exploration, diversity, rules and reranking, each in its own module."""

"""Few-shot learning: tasks, inner loop, outer loop, and the learners by name."""

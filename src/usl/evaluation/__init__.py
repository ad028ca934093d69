"""Stage 5, EVALUATION: metrics and comparisons. Only here is the truth read."""

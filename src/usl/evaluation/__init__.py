"""Stage 5, EVALUATION: figures, comparisons and the report. Only here is the truth read."""

"""Stage 4, TRAINING: semi-supervised learning from the picks. A new method is one file."""

"""Stage 2, SELECTION: which items to label. A new method is one file in ``methods/``."""

"""Representation learning without labels. A new method is one file in ``methods/``."""

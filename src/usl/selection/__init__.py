"""Stage 2, SELECTION: which items to label. A new method is one file here; see contract.py."""

from usl.selection.selection import Selection, is_oracle, methods, parameters_of, select

__all__ = ["Selection", "is_oracle", "methods", "parameters_of", "select"]

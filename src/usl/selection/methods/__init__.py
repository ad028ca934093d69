"""Selection methods, one module or folder each with ``pick``: see usl.selection.contract."""

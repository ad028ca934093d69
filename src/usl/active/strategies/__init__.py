"""The query strategies, one file each: see :mod:`usl.active.contract`."""

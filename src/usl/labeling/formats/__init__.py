"""Formats of other tools, one file each: see usl.labeling.exchange.contract."""

"""One file per tool that labels are exchanged with; see :mod:`usl.labeling.exchange.contract`."""

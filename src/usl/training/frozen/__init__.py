"""Methods on frozen features, one file each with ``fit``: see usl.training.contract."""

"""Pre-training methods, one file each with ``build``: see usl.pretraining.contract."""

"""``usl serve-ls``: a machine-learning backend for Label Studio; :mod:`.serve` puts it together."""

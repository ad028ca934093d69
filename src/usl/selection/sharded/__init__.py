"""Selection from shards: the same methods, as tasks that any executor runs."""

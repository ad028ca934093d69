"""The same work on many machines: shards of a table, tasks that make files of them, and Ray."""

"""The same work on many machines: tables in shards, tasks that make files of them, and Ray."""

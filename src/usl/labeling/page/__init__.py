"""The labelling page: a small web server for one run, and its scripts."""

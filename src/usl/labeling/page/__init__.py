"""The labelling page: a small web server for one run, and what the browser needs."""

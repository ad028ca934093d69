"""The run folder: its files, each with one reader and one writer. Nothing else writes in it."""

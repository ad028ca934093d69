"""Shared ground under every stage: errors, files, hashing, finding methods, progress.

Nothing here knows about data sets, labels or the command line.
"""

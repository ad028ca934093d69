"""Shared ground under every stage: neighbours, k-means, hashing, files, errors.

Nothing here knows about data sets, labels or the command line.
"""

"""Rounds after the first: which images to label next, given labels and what a model says."""

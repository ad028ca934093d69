"""Sweep: whole sheets of images that are predicted to be one class, confirmed at a glance."""

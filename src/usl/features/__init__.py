"""Stage 1: encoders, a cache of raw rows per image, and the preprocessing fitted on them.

One file per family of encoders; ``embed`` runs one over a collection, ``Preprocessing`` brings its
raw rows to the unit sphere.
"""

"""Encoders, one file each: from a picture to a raw feature row. See :mod:`usl.features.contract`."""

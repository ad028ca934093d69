"""Encoders, one file each, from a picture to a raw feature row: usl.features.contract."""

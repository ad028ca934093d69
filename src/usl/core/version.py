"""The version of the package, one string that the build reads, too."""

__version__ = "0.1.0"

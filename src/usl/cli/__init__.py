"""The command line, ``usl``: a file for each verb, and what binds them together."""

from usl.cli.app import main

__all__ = ["main"]

"""Stage 3, TRAINING: semi-supervised learning from the picks. A new method is one file here."""

from usl.training.opened import open_run
from usl.training.train import methods, train

__all__ = ["methods", "open_run", "train"]

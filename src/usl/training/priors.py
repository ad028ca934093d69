"""What a method may be told about how frequent the classes are."""

from __future__ import annotations

from typing import Literal

ClassPrior = Literal["uniform", "labels"] | None


def class_shares(): ...
def match_shares(): ...

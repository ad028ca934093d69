"""What USL-T is called in a report, and its symbols and figures there."""

from __future__ import annotations

from usl.selection.methods.usl import EQUATION_3

NAME = "USL-T"
SYMBOLS = {
    "k": ("k", "neighbours that may share a cluster, Eq. 14"),
    "pick_by": ("", "what decides which of a cluster is picked"),
    "spare": ("", "share of clusters beyond the labels asked for; the largest are kept"),
    "propagate": ("", "how many of a cluster may receive the label of its pick"),
    "heads": ("", "sets of clusters trained; the first decides"),
    "tau": ("τ", "confidence from which an item counts in the global loss, Eq. 10"),
    "alpha": ("α", "strength of the logit adjustment, Eq. 11"),
    "t": ("t", "temperature of the sharpening, Eq. 13"),
    "lam": ("λ", "weight of the local loss, Eq. 15"),
    "local": ("", "share of the steps in which the local loss takes part"),
    "momentum": ("μ", "moving average of the mean assignment, Eq. 12"),
    "scale": ("", "of the logits: scale times cosine"),
}
TERMS = {
    "confidence": ("confidence", "how surely it belongs to its cluster", "max ŷ (Eq. 9)"),
    "density": EQUATION_3,
}

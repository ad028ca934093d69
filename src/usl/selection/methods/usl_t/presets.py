"""The settings of USL-T: the paper's Table 9 and the released code's, by the number of items."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from usl.selection.methods.usl_t.step import Training

SMALL = 100_000  # items; above, the paper's ImageNet settings apply


@dataclass(frozen=True)
class Preset:
    """One column of settings: the training, and how picks are drawn from its clusters."""

    k: int = 20
    include_self: bool = False
    pick_by: str = "confidence"
    spare: float = 0.0
    propagate: int = 0
    lengths: bool = False  # the heads see rows with their lengths, where those are known
    training: Training = field(default_factory=Training)

    def clusters(self, n: int, wanted: int) -> int:
        """How many clusters n items are put in, of which ``wanted`` are to be labelled."""
        return min(n, wanted + int(np.ceil(self.spare * wanted)))


MEAN_SIZE = 1_281_167 / 3000  # images a cluster in the released ImageNet run

LARGE = Preset(
    pick_by="density",  # "we instead query the sample with top density in each cluster"
    spare=0.03,  # 3,000 clusters for 2,911 picks, the largest kept
    propagate=20,  # "annotate the 20 samples with max density"
    training=Training(tau=0.0, alpha=2.5, t=0.5, lam=0.5, tail=0.25, steps=3000),
)

PRESETS: dict[str, tuple[Preset, Preset]] = {
    # Table 9 and 6.12; columns: up to 100,000 items, more. The paper trains a network or, large,
    # freezes it; steps, batch and rate are ours for frozen features, and so is the scale. The paper
    # gives no threshold tau: both losses act where it is 0, as it has it where the backbone is
    # frozen (6.12).
    "paper": (Preset(training=Training(tau=0.0)), LARGE),
    # The released code's tau. On frozen features hardly an item is that sure, so that the local
    # loss trains alone.
    "threshold": (Preset(), LARGE),
    # The released code, as far as frozen features go: there are no augmented views, so the
    # pseudo-label and the loss share one image. Its z-bar starts at 1 / C and is used before its
    # update, and its argmin of Eq. 8 is an argmax, as here.
    "released": (
        Preset(
            include_self=True,  # the first k + 1 columns of the table: itself with p = 1/21
            lengths=True,  # its linear heads see the backbone's features as they are
            training=Training(
                heads=3,  # losses summed; clusters of head 0, confidence as the mean over heads
                scale=1.0,
                linear=True,  # nn.Linear with bias, its default start, no unit weights
                reweight="sure",  # class weights n / count in the global loss; CIFAR-100: "batch"
                lr=1e-4,
                weight_decay=1e-4,
                steps=9800,  # 200 epochs of 50,000 at batch 1,024
                tail=0.0,  # centroids are restarted on ImageNet only
            ),
        ),
        Preset(
            include_self=True,
            pick_by="density",
            spare=0.03,
            propagate=20,
            training=Training(
                heads=3,
                tau=0.0,
                alpha=2.5,
                t=0.5,
                lam=0.5,
                scale=40.0,  # NormedLinear's fixed factor
                lr=1e-4,
                weight_decay=1e-4,
                batch_size=2048,
                steps=6250,  # 10 epochs of 1.28 M; a stray break makes it 10 steps as released
                tail=100 / MEAN_SIZE,  # COUNT_EMA_MIN_TH 100, COUNT_EMA_MAX_TH 1000
                head=1000 / MEAN_SIZE,
                restart_from=1251,  # REASSIGN_AFTER_STEPS 1250: more counts than that
                noise=1e-7,  # lost in float32 rounding: the pair separates by chance alone
            ),
        ),
    ),
}

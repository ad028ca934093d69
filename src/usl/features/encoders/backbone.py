"""Our own networks as encoders: a backbone file (:mod:`usl.learning.backbone`), offline.

Such a file comes from a pre-training on the user's own pictures (``encoder.safetensors`` in its
folder), or with the package (``weights/`` beside this file).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.core.hashing import bytes_digest
from usl.features.contract import Encoder, PrecisionName, require_timm
from usl.features.shared.precision import in_precision, of_precision
from usl.features.shared.preparation import Preparation
from usl.features.shared.resize import square_float
from usl.features.shared.torch_threads import full_passes, keep_large_buffers
from usl.learning.backbone_file import find_record, read_record
from usl.learning.sealed_file import check_seal
from usl.numeric.blocks import thread_count

if TYPE_CHECKING:
    from PIL import Image

PRIORITY = 10
FILE_NAME = "encoder.safetensors"  # in the folder of a pre-training or a run
FORM = f"the path of an {FILE_NAME} or of its folder"
SHIPPED = Path(__file__).parents[1] / "weights"
INPUT_VERSION = "v1"  # of everything between the picture and the network's input

# Pictures per forward pass, always filled up, always on one thread: the same shape and the same
# thread count mean the same bits in any company and on any number of cores.
PASS = 32


def names() -> list[str]:
    """Names of the encoders that come with the package."""
    return list(shipped())


def load(name: str) -> Encoder | None:
    """The encoder of the package's file of this name, or of the file or folder of this path."""
    own = shipped()
    if name in own:
        return NetworkEncoder(own[name], name)
    path = backbone_path(name)
    return NetworkEncoder(path) if path else None


class NetworkEncoder(Encoder):
    """The encoder of a backbone file. Torch is imported at the first picture.

    On the GPU if torch sees one; rows then differ from the CPU's by rounding (about 1e-5).
    """

    dtype = np.dtype(np.float32)
    preprocessing: Mapping[str, Any] = {"center": True, "standardize": False, "pca": None}

    def __init__(self, path: Path, name: str | None = None) -> None:
        """Read the record of ``path``; ``name`` is what the user types, by default the path.

        Raises
        ------
        DataError
            the file is missing, damaged, or no backbone file.
        MissingDependencyError
            torch or timm is not installed.
        """
        self.path = path.expanduser().absolute()
        self.name = name or str(self.path)
        require_timm(f"The encoder {self.name!r}")
        record = read_record(self.path)
        self.meta: Mapping[str, Any] = record.meta
        # of the whole file, record included: mean and std change the rows as weights do
        content = self.path.read_bytes()
        check_seal(content, self.path, "Copy it again, or train again.")
        digest = bytes_digest(content)
        self._settle(record.network, record, record.supervision, digest)

    def _settle(self, network: str, measures: Any, supervision: str, digest: str) -> None:
        """What follows from the network, with ``size`` and ``dim`` as of ``measures``."""
        self.size, self.dim, self.supervision = measures.size, measures.dim, supervision
        self._digest = digest
        safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", network)
        self.key = f"{safe}-{self.size}-{INPUT_VERSION}-{digest[:16]}"
        self.batch_size = max(64, PASS * thread_count())
        self.least = 2 * self.size
        self._network: Any = None
        self._device = "cpu"

    def in_precision(self, precision: PrecisionName) -> NetworkEncoder:
        """The same with another precision."""
        if precision == self.precision:
            return self
        import torch

        return of_precision(self, precision, "cuda" if torch.cuda.is_available() else "cpu")

    def prepare(self, image: Image.Image) -> NDArray[np.float32]:
        """Float32 [3, size, size], values 0 to 255; a picture of that size is taken as it is."""
        if image.size == (self.size, self.size):
            pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
            return np.ascontiguousarray(pixels.transpose(2, 0, 1))
        return square_float(image, self.size)

    def forward(self, prepared: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Pooled features in evaluation mode, float32 [b, dim]; on the CPU one pass per core."""
        import torch

        if self._network is None:
            keep_large_buffers()
            self._device = "cuda" if torch.cuda.is_available() else "cpu"
            self._network = self.backbone().eval().to(self._device)

        def pooled(batch: Any) -> Any:
            return in_precision(self._network, batch.to(self._device) / 255, self.precision)

        # TF32 would round inputs to 10 bits: cached rows would depend on the machine
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            side_by_side = self._device == "cpu"
            return full_passes(pooled, prepared, PASS, self.dim, side_by_side=side_by_side)

    def module(self) -> Any:
        """The backbone, which normalises by itself, for values 0 to 255."""
        import torch
        from torch import nn

        backbone = self.backbone().eval()

        class Scaled(nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                network = backbone.network.to(memory_format=torch.contiguous_format)
                self.network = network
                self.register_buffer("mean", 255 * backbone.mean)
                self.register_buffer("std", 255 * backbone.std)

            def forward(self, images: Any) -> Any:
                return self.network((images - self.mean) / self.std)

        return Scaled().eval()

    def preparation(self) -> Preparation:
        """Values 0 to 255."""
        return Preparation("float", self.size)

    def backbone(self) -> Any:
        """A fresh trainable :class:`usl.learning.backbone.Backbone` with the file's weights.

        Raises
        ------
        DataError
            the weights do not fit, or the file is no longer the one that was opened.
        """
        from usl.learning.backbone import load_backbone

        backbone = load_backbone(self.path)[0]
        if bytes_digest(self.path.read_bytes()) != self._digest:  # its rows would get a wrong key
            raise DataError(f"{self.path} was changed while it was in use. Start again.")
        return backbone


def backbone_path(name: str) -> Path | None:
    """The backbone file that ``name`` stands for, if it does: a file, or a folder that holds one.

    A whole ``.safetensors`` file without our record is none.

    Raises
    ------
    DataError
        there is such a file, but it is damaged.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        path /= FILE_NAME
    if path.suffix != ".safetensors" or not path.is_file():
        return None
    return path if find_record(path) else None


def shipped() -> dict[str, Path]:
    """Backbone files that come with the package, by the name of their encoder.

    ``cifar_cld_small.safetensors`` is the encoder ``cifar-cld-small``.
    """
    files = sorted(SHIPPED.glob("*.safetensors"))
    return {file.stem.replace("_", "-"): file for file in files}

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
from usl.features.contract import Encoder, require_timm
from usl.features.shared.resize import square_float
from usl.features.shared.torch_threads import on_every_core
from usl.learning.backbone_file import find_record, read_record
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


def matches(name: str) -> bool:
    """Tell whether the name is that of an encoder of the package, or the path of such a file."""
    return name in shipped() or backbone_path(name) is not None


def load(name: str) -> Encoder:
    """The encoder of the package's file of this name, or of the user's."""
    own = shipped()
    if name in own:
        return NetworkEncoder(own[name], name)
    return NetworkEncoder(backbone_path(name) or Path(name))


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
        self.size, self.dim, self.supervision = record.size, record.dim, record.supervision
        self.meta = record.meta
        # of the whole file, record included: mean and std change the rows as weights do
        self._digest = bytes_digest(self.path.read_bytes())
        safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", record.network)
        self.key = f"{safe}-{self.size}-{INPUT_VERSION}-{self._digest[:16]}"
        self.batch_size = max(64, PASS * thread_count())
        self._network: Any = None
        self._device = "cpu"

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
            self._device = "cuda" if torch.cuda.is_available() else "cpu"
            self._network = self.backbone().eval().to(self._device)
        rows = np.empty((len(prepared), self.dim), dtype=np.float32)

        def one_pass(start: int) -> None:
            part = prepared[start : start + PASS]
            batch = np.zeros((PASS, 3, self.size, self.size), dtype=np.float32)
            batch[: len(part)] = part
            with torch.inference_mode():
                pixels = torch.from_numpy(batch).to(self._device) / 255
                rows[start : start + len(part)] = self._network(pixels)[: len(part)].cpu().numpy()

        starts = range(0, len(prepared), PASS)
        if self._device == "cpu":
            on_every_core(one_pass, starts)
        else:
            # TF32 would round inputs to 10 bits: cached rows would depend on the machine
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                for start in starts:
                    one_pass(start)
        return rows

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

"""Any timm model as an encoder: pooled features, with the preparation its own config asks for.

Pretrained weights are fetched by timm when there is a network and they are not in its cache.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError, did_you_mean
from usl.core.hashing import json_digest
from usl.features.contract import Encoder, PrecisionName, has_timm, require_timm
from usl.features.shared.download import NotFetchedError
from usl.features.shared.hub import HUB, no_pointless_retries, offline
from usl.features.shared.precision import in_precision, of_precision
from usl.features.shared.preparation import Preparation
from usl.features.shared.projection import taken_head
from usl.features.shared.resize import as_rgb
from usl.features.shared.timm_supervision import supervision
from usl.features.shared.torch_threads import on_every_core
from usl.features.shared.weight_names import state_digest
from usl.numeric.blocks import thread_count

if TYPE_CHECKING:
    from PIL import Image

PRIORITY, FORM = 90, "any timm model (timm:NAME; needs usl[torch])"
PREFIX = "timm:"
INPUT_VERSION = "v1"  # of everything between the picture and the network's input
LOCAL = "local-dir:"  # timm's own word before a folder
PASS = 4  # pictures per forward pass on one core

# Parts of timm's names and tags that tell what the weights were trained on, in order of decision.


def fetches(name: str) -> bool:
    """Whether it is a name of timm's: its weights may lie in timm's cache, or have to come."""
    plain = name.removeprefix(PREFIX)
    if name.startswith((LOCAL, PREFIX)) or plain.startswith(HUB):
        return not name.startswith(LOCAL)
    return has_timm() and plain.split(".")[0] in known_names()


def load(name: str, *, fetch: bool = True) -> Encoder | None:
    """The pretrained timm model, or the one in a folder."""
    if name.startswith((LOCAL, PREFIX)):
        require_timm(f"The encoder {name!r}")
    if name.startswith(LOCAL):
        return open_folder(name)
    plain = name.removeprefix(PREFIX)
    # a tag, as in resnet50.a1_in1k, is checked by timm itself
    known = has_timm() and (plain.startswith(HUB) or plain.split(".")[0] in known_names())
    return open_timm(plain, fetch=fetch) if known else None


def near(name: str) -> str:
    """A hint at the architecture of timm whose name is nearest."""
    return did_you_mean(name.removeprefix(PREFIX), known_names()) if has_timm() else ""


class TimmEncoder(Encoder):
    """A timm network without classifier, on the GPU if torch sees one.

    Unlike for EfficientNet-lite, passes are not filled up, so rows may differ by rounding (about
    1e-5) with the number of pictures in a pass. Half precision is used where torch's autocast
    holds it safe. Rows that leave float16's range are computed again in float32.
    """

    dtype = np.dtype(np.float32)
    preprocessing: Mapping[str, Any] = {"center": True, "standardize": True, "pca": None}

    def __init__(
        self,
        name: str,
        folder: str,
        model: Any,
        weights_digest: str,
        supervision: str,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Wrap ``model`` (``num_classes=0``); ``folder`` begins the cache key.

        ``data`` overrides entries of the model's data config (``mean``, ``std``, ``input_size``,
        ``crop_pct``, ``interpolation``).
        """
        import timm.data
        import torch

        self.name = name
        self.supervision = supervision
        self._config = config = {**timm.data.resolve_model_data_config(model), **(data or {})}
        self._transform = timm.data.create_transform(**config, is_training=False)
        prepared = json_digest({key: str(value) for key, value in config.items()})
        safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", folder)[:80]
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self.key = f"{safe}-{INPUT_VERSION}-{prepared[:8]}-{weights_digest[:16]}"
        seen = max(config["input_size"][1:]) / config.get("crop_pct", 1.0)  # of the shorter side
        self.least = 2 * math.ceil(seen)
        self.batch_size = 64 if self._device == "cuda" else max(16, PASS * thread_count())
        self._model = model.eval().to(self._device)
        blank = np.zeros(config["input_size"], dtype=np.float32)
        self.dim = self.forward([blank]).shape[1]

    def in_precision(self, precision: PrecisionName) -> TimmEncoder:
        """The same with another precision."""
        same = precision == self.precision
        return self if same else of_precision(self, precision, self._device)

    def prepare(self, image: Image.Image) -> NDArray[np.float32]:
        """Resized, cropped and normalised as the model's config says: float32 [3, h, w]."""
        prepared: NDArray[np.float32] = self._transform(as_rgb(image)).numpy()
        return prepared

    def forward(self, prepared: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Pooled features, float32 [b, dim]."""
        if self._device != "cpu":
            import torch

            # TF32 would round inputs to 10 bits: cached rows would depend on the machine
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                return self._run(prepared)
        parts = [prepared[start : start + PASS] for start in range(0, len(prepared), PASS)]
        return np.concatenate(on_every_core(self._run, parts))

    def backbone(self) -> Any:
        """A trainable copy, as a :class:`usl.learning.backbone.Backbone` on the CPU."""
        import copy

        from usl.learning.backbone import Backbone
        from usl.learning.blueprint import TIMM, as_trunk

        config = self._config
        network = as_trunk(copy.deepcopy(self._model).cpu())
        name = f"{TIMM}{network.pretrained_cfg['architecture']}"
        size = config["input_size"][-1]
        return Backbone(name, network, size, config["mean"], config["std"]).train()

    def module(self) -> Any:
        """A copy of the network on the CPU, in float32."""
        import copy

        return copy.deepcopy(self._model).cpu().float().eval()

    def preparation(self) -> Preparation:
        """As the model's config says; only square crops from the centre can be exported."""
        config = self._config
        _, height, width = config["input_size"]
        if config.get("crop_mode", "center") != "center" or height != width:
            raise self._not_exported()
        return Preparation(
            "crop",
            width,
            tuple(255 * value for value in config["mean"]),
            tuple(255 * value for value in config["std"]),
            shorter=math.floor(width / config["crop_pct"]),
            interpolation=config["interpolation"],
        )

    def _run(self, prepared: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            batch = torch.from_numpy(np.stack(prepared)).to(self._device)
            found = in_precision(self._pooled, batch, self.precision)
        rows: NDArray[np.float32] = found.float().cpu().numpy()
        return rows

    def _pooled(self, batch: Any) -> Any:
        import torch

        pooled = self._model(batch)
        if not isinstance(pooled, torch.Tensor) or pooled.ndim != 2:
            raise UsageError(f"encoder {self.name!r} gives no single row of features per image.")
        return pooled


def known_names() -> frozenset[str]:
    """Architectures that timm knows."""
    import timm

    return frozenset(timm.list_models())


def open_timm(name: str, *, fetch: bool = True) -> TimmEncoder:
    """A pretrained timm model, with the tag of its weights or without (timm's default then).

    Without ``fetch``, from the caches of the hub and of torch alone.

    Raises
    ------
    UsageError
        there are no such pretrained weights.
    DataError
        the weights cannot be fetched, with the reason.
    NotFetchedError
        they are not on this machine, without ``fetch``.
    """
    import timm

    if not name.startswith(HUB):
        check_pretrained(name)
    # A CLIP transformer's last layer leads to a space, not to classes: it is taken off below.
    kept = name.startswith("vit_") and "clip" in name
    own = {} if kept else {"num_classes": 0}
    try:
        with no_pointless_retries() if fetch else offline(name):
            model = timm.create_model(name, pretrained=True, **own)
    except Exception as error:  # every layer of the download raises its own kind
        if not fetch:
            raise NotFetchedError(name) from error
        reason = str(error).strip().split("\n")[0] or "no message"
        raise DataError(
            f"The weights of {name!r} cannot be fetched ({type(error).__name__}: {reason}). "
            "With a network, timm gets them from the Hugging Face hub; without one, use "
            "efficientnet_lite1, whose weights come with usl[torch], or a copy of the weights: "
            "ARCH@PATH."
        ) from error
    config = getattr(model, "pretrained_cfg", None) or {}
    trained_by = supervision(f"{config.get('architecture', name)}.{config.get('tag') or name}")
    head = taken_head(model, trained_by)
    encoder = TimmEncoder(name, name, model, state_digest(model.state_dict()), trained_by)
    encoder.head = head
    return encoder


def open_folder(name: str) -> TimmEncoder:
    """A model in a folder of the hub's format, ``local-dir:FOLDER``; no network, nothing is run.

    Preparation and architecture are those of its ``config.json``.

    Raises
    ------
    DataError
        the folder, its config or its weights are missing, damaged, or do not fit.
    """
    import timm

    folder = Path(name.removeprefix(LOCAL)).expanduser().absolute()
    try:
        # with its own classes first: asked for none, timm would let missing weights pass
        model = timm.create_model(f"{LOCAL}{folder}", pretrained=True)
        config = model.pretrained_cfg
        trained_by = supervision(f"{config.get('architecture', '')}.{config.get('tag') or ''}")
        head = taken_head(model, trained_by)
    except Exception as error:  # timm, safetensors, JSON and torch raise their own kinds
        reason = str(error).strip().split("\n")[0] or "no message"
        raise DataError(
            f"{folder}: no model could be loaded ({type(error).__name__}: {reason}). The folder "
            "needs config.json and model.safetensors, as timm's models on the Hugging Face hub "
            "have them, of an architecture that this timm knows."
        ) from error
    digest = state_digest(model.state_dict())
    encoder = TimmEncoder(f"{LOCAL}{folder}", folder.name, model, digest, trained_by)
    encoder.head = head
    return encoder


def check_pretrained(name: str) -> None:
    """Refuse a model or a tag without pretrained weights, and say which tags there are."""
    import timm

    arch, _, tag = name.partition(".")
    tags = [
        full.partition(".")[2]
        for full in timm.list_pretrained(f"{arch}*")
        if full.partition(".")[0] == arch
    ]
    if not tags:
        raise UsageError(
            f"encoder {name!r}: timm has no pretrained weights for {arch}. Choose another model, "
            f"or give weights of your own: {arch}@PATH."
        )
    if tag and tag not in tags:
        raise UsageError(
            f"encoder {name!r}: no weights tagged {tag!r}.{did_you_mean(tag, tags)} "
            f"There are: {', '.join(tags)}."
        )

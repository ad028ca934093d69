"""Checkpoints of other projects: recognised by their names, renamed to torchvision's ResNet names.

One function per format: ``(weights) -> Foreign | None``, pure, the format's source named. None
means: not this format. Where a project has copies of the encoder, the one trained by gradient
descent is taken, not its moving average. A head is kept beside the network
(:mod:`usl.features.shared.projection`) where its form is known; queues, copies and other heads are
left out.

The names are those of torchvision and timm: ``conv1, bn1, layer{1..4}.{i}.{conv1, bn1, ...}`` and
``downsample.{0, 1}``; :func:`block_names` turns them into those of ``usl.learning.networks``.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from usl.core.errors import DataError, UslWarning
from usl.features.shared.projection import Layer, Projection, as_array, cld_head, multilayer
from usl.features.shared.weight_names import Weights, best_prefix

# How the projects prepare pictures for evaluation, in timm's words. 0.875 is 224 out of 256 px.
IMAGENET: Mapping[str, Any] = {
    "input_size": (3, 224, 224),
    "crop_pct": 0.875,
    "interpolation": "bilinear",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}
UNSCALED = {**IMAGENET, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
IMAGENET_32 = {**IMAGENET, "input_size": (3, 32, 32), "crop_pct": 1.0}
CIFAR_MEAN = (0.4914, 0.4822, 0.4465)
CLD_CIFAR = {**IMAGENET_32, "mean": CIFAR_MEAN, "std": (0.2023, 0.1994, 0.2010)}
SCAN_CIFAR100 = {
    **IMAGENET_32,
    "mean": (0.5071, 0.4867, 0.4408),
    "std": (0.2675, 0.2565, 0.2761),
}
SOLO_CIFAR10 = {**IMAGENET_32, "mean": CIFAR_MEAN, "std": (0.2470, 0.2435, 0.2616)}
SOLO_CIFAR100 = {
    **IMAGENET_32,
    "mean": (0.5071, 0.4865, 0.4409),
    "std": (0.2673, 0.2564, 0.2762),
}
CLIP = {
    **IMAGENET,
    "crop_pct": 1.0,
    "interpolation": "bicubic",
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}


@dataclass(frozen=True)
class Foreign:
    """A recognised checkpoint.

    ``weights`` by the target's names; ``used``: the names that they have in the file; ``data``
    overrides timm's data config; ``stem_padding``: that of a 3x3 first convolution, where it is
    not the usual 1; ``head``: what the file has over the pooled features, if that is known.
    """

    format: str
    weights: dict[str, Any]
    used: frozenset[str]
    data: Mapping[str, Any] = field(default_factory=dict)
    supervision: str = "unknown"
    stem_padding: int | None = None
    head: Projection | None = None

    def renamed(self, weights: dict[str, Any]) -> Foreign:
        """The same with its weights under other names."""
        return replace(self, weights=weights)


def recognise(weights: Weights, place: str = "") -> Foreign | None:
    """The first format that fits; None for a plain state dict.

    ``place`` : names of the file and of its folder, which may tell what the file does not.

    Raises
    ------
    DataError
        the format is known, its network has no counterpart here.
    """
    formats: tuple[Callable[[Weights], Foreign | None], ...]
    of_scan = partial(scan, place=place)
    formats = (simclrv2, moco, of_scan, clip, lightly, solo_learn, cifar_resnet)
    return next((found for read in formats if (found := read(weights))), None)


def simclrv2(weights: Weights) -> Foreign | None:
    """SimCLRv2 (Chen et al. 2020) as converted to torch: Separius/SimCLRv2-Pytorch, resnet.py.

    Inputs are values 0 to 1 without mean and std (verify.py). The network equals torchvision's
    ResNet: the stride lies in the 3x3 convolution, BN's epsilon is 1e-5. The converted network
    pools after the stem with padding on both sides; the original in TensorFlow pads at the end.
    Whether the weights were fine-tuned on labels cannot be told from the file.
    """
    prefix = best_prefix(weights, ("net.0.0.weight", "net.1.blocks.0.net.0.weight"))
    if prefix is None:
        return None
    if f"{prefix}net.0.2.weight" in weights:
        raise DataError(
            "SimCLRv2 with selective kernels (sk1) has no counterpart in timm. "
            "Use a variant without them, such as r50_1x_sk0."
        )

    def rename(name: str) -> str:
        name = re.sub(r"^net\.0\.0\.", "conv1.", name)
        name = re.sub(r"^net\.0\.1\.0\.", "bn1.", name)
        stage = re.match(r"net\.([1-4])\.blocks\.(\d+)\.(.+)", name)
        if not stage:
            return name
        inside = re.sub(r"^projection\.shortcut\.", "downsample.0.", stage[3])
        inside = re.sub(r"^projection\.bn\.0\.", "downsample.1.", inside)
        if layer := re.match(r"net\.([0-5])\.(.+)", inside):
            # convolution, BN with ReLU, convolution, ...
            which, is_norm = divmod(int(layer[1]), 2)
            rest = layer[2].removeprefix("0.") if is_norm else layer[2]
            inside = f"{'bn' if is_norm else 'conv'}{which + 1}.{rest}"
        return f"layer{stage[1]}.{stage[2]}.{inside}"

    return taken("SimCLRv2", weights, prefix, rename, UNSCALED)


def moco(weights: Weights) -> Foreign | None:
    """MoCo (facebookresearch/moco) and EMAN (amazon-science), moco/builder.py and models/moco.py.

    ``encoder_q`` is what both evaluate. A queue lies beside it, so the training had no labels.
    """
    prefix = best_prefix(weights, ("encoder_q.conv1.weight", "queue"))
    if prefix is None:
        return None
    inside = f"{prefix}encoder_q."
    head = multilayer(weights, f"{inside}fc")
    return taken("MoCo", weights, inside, str, IMAGENET, supervision="none", head=head)


def scan(weights: Weights, place: str = "") -> Foreign | None:
    """SCAN's pretext models (wvangansbeke/Unsupervised-Classification, models/models.py).

    USL-T begins with them. On CIFAR they are SimCLR's, with mean and std of CIFAR-10, or those of
    CIFAR-100 (which SCAN calls cifar-20) if the file or its folder is named so: inside, the file
    does not tell.
    """
    for head in ("contrastive_head.0.weight", "contrastive_head.weight"):
        prefix = best_prefix(weights, ("backbone.conv1.weight", head))
        if prefix is not None:
            break
    else:
        return None
    inside = f"{prefix}backbone."
    data: Mapping[str, Any] = IMAGENET
    if has_small_stem(weights[f"{inside}conv1.weight"]):
        data = SCAN_CIFAR100 if re.search(r"cifar[-_]?(100|20)(?!\d)", place.lower()) else CLD_CIFAR
        if not re.search(r"cifar[-_]?\d", place.lower()):
            warnings.warn(
                f"{place}: SCAN's file does not tell its data set; pictures are normalised as "
                "CIFAR-10's. For CIFAR-100 name the file or its folder so: simclr_cifar-20.pth.tar "
                "or cifar100/checkpoint.pth.",
                UslWarning,
                stacklevel=6,
            )
    return taken(
        "SCAN",
        weights,
        inside,
        lambda name: name.replace(".shortcut.", ".downsample."),
        data,
        supervision="none",
        head=multilayer(weights, f"{prefix}contrastive_head"),
    )


def clip(weights: Weights) -> Foreign | None:
    """CLIP's vision transformer (openai/CLIP, clip/model.py) as timm names it, for 224 px.

    OpenAI's own weights need an architecture with QuickGELU
    (``vit_base_patch16_clip_quickgelu_224``): which one a file needs it does not tell.
    """
    prefix = best_prefix(weights, ("visual.class_embedding", "visual.proj"))
    if prefix is None:
        return None
    places = (
        *(("conv1.", "patch_embed.proj."), ("transformer.resblocks.", "blocks.")),
        *(("ln_pre.", "norm_pre."), ("ln_post.", "norm."), (".ln_", ".norm")),
        *((".in_proj_", ".qkv."), (".out_proj.", ".proj.")),
        *((".mlp.c_fc.", ".mlp.fc1."), (".mlp.c_proj.", ".mlp.fc2.")),
    )
    renamed: dict[str, Any] = {}
    inside = f"{prefix}visual."
    for name, value in weights.items():
        if not name.startswith(inside) or name == f"{inside}proj":
            continue
        new = name.removeprefix(inside)
        for old, ours in places:
            new = new.replace(old, ours)
        renamed[new] = value
    renamed["cls_token"] = renamed.pop("class_embedding")[None, None]
    renamed["pos_embed"] = renamed.pop("positional_embedding")[None]
    head = Projection((Layer(as_array(weights[f"{inside}proj"]).T.copy()),))
    # the text tower is a part of the format, which has no place here
    every = frozenset(weights)
    told = "image-text pairs"
    return Foreign("CLIP", renamed, every, CLIP, supervision=told, head=head)


def lightly(weights: Weights) -> Foreign | None:
    """lightly: a ResNet's children in an ``nn.Sequential``, so that numbers stand for names.

    torchvision's ResNet has its four stages at 4 to 7 (ReLU and pooling lie between), lightly's
    own CIFAR ResNet (models/resnet.py) at 2 to 5. Both are fed ImageNet's mean and std, also on
    CIFAR (benchmarks/cifar10_benchmark.py).
    """
    for start in (2, 4):  # the shorter first: it has a stage at 4, too
        anchors = ("0.weight", "1.running_mean", f"{start}.0.conv1.weight")
        prefix = best_prefix(weights, anchors)
        if prefix is not None:
            break
    else:
        return None
    places = {"0": "conv1", "1": "bn1"} | {str(start + i): f"layer{i + 1}" for i in range(4)}

    def rename(name: str) -> str:
        place, _, rest = name.partition(".")
        return f"{places.get(place, place)}.{rest}".replace(".shortcut.", ".downsample.")

    data = IMAGENET_32 if has_small_stem(weights[f"{prefix}0.weight"]) else IMAGENET
    return taken("lightly", weights, prefix, rename, data)


def solo_learn(weights: Weights) -> Foreign | None:
    """solo-learn (vturrisi/solo-learn, methods/base.py): torchvision's ResNet in ``backbone``.

    For CIFAR its first convolution is 3x3 with a padding of 2, and mean and std are those of
    CIFAR-10 or CIFAR-100 (data/pretrain_dataloader.py), told apart by the online classifier.
    """
    for inside in ("backbone.", "encoder."):  # the second in its first versions
        prefix = best_prefix(weights, (f"{inside}conv1.weight", f"{inside}bn1.running_mean"))
        if prefix is not None:
            break
    else:
        return None
    own = ("projector.", "classifier.", "momentum_backbone.", "momentum_projector.")
    if not any(name.startswith(tuple(prefix + part for part in own)) for name in weights):
        return None
    prefix_inside = prefix + inside
    if not has_small_stem(weights[f"{prefix_inside}conv1.weight"]):
        return taken("solo-learn", weights, prefix_inside, str, IMAGENET)
    classes = weights.get(f"{prefix}classifier.weight")
    data = SOLO_CIFAR100 if classes is not None and len(classes) == 100 else SOLO_CIFAR10
    return taken("solo-learn", weights, prefix_inside, str, data, stem_padding=2)


def cifar_resnet(weights: Weights) -> Foreign | None:
    """The CIFAR ResNet of CLD (frank-xwang/CLD-UnsupervisedLearning, models/resnet_cifar.py).

    The names, and CIFAR's mean and std, are those of many CIFAR projects; blocks call their
    projection ``shortcut`` or, as in torchvision, ``downsample``. CLD alone has ``groupDis``, the
    head of its loss between groups, so then the training had no labels.
    """
    prefix = best_prefix(weights, ("conv1.weight", "layer1.0.conv1.weight"))
    if prefix is None or not has_small_stem(weights[f"{prefix}conv1.weight"]):
        return None
    is_cld = any(name.startswith(f"{prefix}groupDis.") for name in weights)

    def rename(name: str) -> str:
        return name.replace(".shortcut.", ".downsample.")

    told = "none" if is_cld else "unknown"
    name = "CLD" if is_cld else "CIFAR ResNet"
    head = cld_head(weights, prefix) if is_cld else None
    return taken(name, weights, prefix, rename, CLD_CIFAR, supervision=told, head=head)


def taken(
    format: str,
    weights: Weights,
    prefix: str,
    rename: Callable[[str], str],
    data: Mapping[str, Any],
    **more: Any,
) -> Foreign:
    """The ResNet below ``prefix``, with statistics of split batch normalisation averaged."""
    names = {name: rename(name.removeprefix(prefix)) for name in weights if name.startswith(prefix)}
    body = {old: new for old, new in names.items() if re.match(r"(conv1|bn1|layer[1-4])\.", new)}
    renamed = {new: weights[old] for old, new in body.items()}
    return Foreign(format, merged_splits(renamed), frozenset(body), data, **more)


def merged_splits(weights: Weights) -> dict[str, Any]:
    """Running statistics kept k times over, [k * c], as their mean [c].

    lightly's batch normalisation in k parts (models/batchnorm.py) stores them so until it is
    evaluated, with the same mean.
    """
    merged = dict(weights)
    for name, value in weights.items():
        layer, _, kind = name.rpartition(".")
        scale = weights.get(f"{layer}.weight")
        if kind not in ("running_mean", "running_var") or scale is None:
            continue
        channels = scale.shape[0]
        if value.shape[0] > channels and value.shape[0] % channels == 0:
            merged[name] = value.view(-1, channels).mean(0)
    return merged


def block_names(weights: Weights, depth: int) -> dict[str, Any]:
    """Names of torchvision as those of ``usl.learning.residual``; others are kept.

    ``depth`` is the number of blocks in a stage.
    """

    def rename(name: str) -> str:
        if place := re.match(r"layer([1-4])\.(\d+)\.(.+)", name):
            block = (int(place[1]) - 1) * depth + int(place[2])
            return f"blocks.{block}.{place[3]}".replace(".downsample.", ".shortcut.")
        return re.sub(r"^bn1\.", "stem.1.", re.sub(r"^conv1\.", "stem.0.", name))

    return {rename(name): value for name, value in weights.items()}


def has_small_stem(kernel: Any) -> bool:
    """Whether a first convolution, [out, in, h, w], is 3x3, as for pictures of 32 px."""
    return tuple(kernel.shape[2:]) == (3, 3)

"""SimCLRv2: fine-tune a pretrained network on the labels, then distil it on all images.

Source: T. Chen, S. Kornblith, K. Swersky, M. Norouzi, G. Hinton, "Big self-supervised models are
strong semi-supervised learners", NeurIPS 2020, Eq. 2-3. Pretraining, its first step, is that of
the encoder the training starts from; pictures are normalised as that encoder's are.

The paper fine-tunes from the first layer of a three-layer projection head. The encoders of this
program are kept without their heads, so such a layer starts from random weights here
(``head_layers``); a caller that has a trained one hands it to :class:`SimCLRv2`. What is kept is
always linear on the backbone, so a training with such a layer has to end in a distillation, whose
student has none, as in the paper.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from usl.core.errors import UsageError
from usl.core.parameters import Between, Positive
from usl.learning.augment import Augmentation, MoCoV2, ResizedCropFlip, view_of
from usl.learning.loop import Views
from usl.learning.optim import Optimizer
from usl.learning.precision import full_precision
from usl.learning.recipe import Recipe
from usl.training.networks.simclrv2_cld import OPTIMIZER as LINEAR
from usl.training.networks.simclrv2_cld import SimCLRv2CLD
from usl.training.shared.student import Classifier, Student, labeled_loss

# 6.12: batches of 512, rate 0.16, no weight decay. 60 epochs over the 12,820 labels of 1% are 1,500
# steps; 240 over those of 0.2%, without decay of the rate, 1,200. Views as in the code released
# with it; no distillation.
ONE_PERCENT = Recipe(
    Optimizer("lars", lr=0.16, weight_decay=0.0),
    batch_size=512,
    steps=1500,
    parameters={"jitter": True, "distill_share": 0.0},
    network="resnet50",
    whole=True,
)
FEW = Recipe(
    Optimizer("lars", lr=0.16, weight_decay=0.0, schedule="constant"),
    batch_size=512,
    steps=1200,
    parameters={"jitter": True, "distill_share": 0.0},
    network="resnet50",
    whole=True,
)
RECIPES = {
    "cpu": Recipe(Optimizer("lars", lr=0.3, weight_decay=0.0), batch_size=32, ratio=4, steps=900),
    # The code released with the paper, semisup-simclrv2-cld with USE_CLD: False: a linear layer on
    # a frozen ResNet-18 that SimCLR has trained, 5 epochs over the labels, each 100 times: with 40
    # labels 5 x 31 batches of 128. With 250 labels it would be --steps 975.
    "cifar": Recipe(
        LINEAR,
        batch_size=128,
        steps=155,
        parameters={"linear": True, "jitter": True, "distill_share": 0.0},
        network="resnet18",
    ),
    "imagenet": ONE_PERCENT,
    "imagenet-few": FEW,
}


def build(
    backbone: Any,
    n_classes: int,
    *,
    seed: int = 0,
    head_layers: Literal[0, 1] = 0,
    distill_share: Annotated[float, Between(0, 1, below=True)] = 0.5,
    alpha: Annotated[float, Between(0, 1)] = 0.5,
    temperature: Annotated[float, Positive] = 1.0,
    jitter: bool = False,
    flip: bool = True,
    linear: bool = False,
) -> Student:
    """SimCLRv2's second and third step on a pretrained ``backbone``.

    Parameters
    ----------
    seed : of the initial weights of the additional layer.
    head_layers : 0 for a linear layer on the backbone; 1 puts linear, batch normalisation and ReLU
        between while fine-tuning, from random weights. Needs distillation.
    distill_share : of the steps, the last ones: the fine-tuned network teaches a student that
        starts as the backbone started. 0 keeps the fine-tuned network. Needs unlabelled images
        (ratio).
    alpha : share of distillation in the student's loss, the rest is for the labels; the paper
        takes 1.
    temperature : of teacher and student in the distillation; the paper takes 0.1 for a student of
        its teacher's size, 1 for a smaller one.
    jitter : change colours and blur, too; otherwise views are random crops and flips.
    flip : mirror half of the views; off where left and right matter, as in digits and letters.
    linear : train a linear layer on the frozen network and nothing else, as ``simclrv2_cld`` does,
        from torch's initial weights.

    Raises
    ------
    UsageError
        a layer without distillation, or either with ``linear``.
    """
    size = backbone.size
    weak = MoCoV2(size, flip=flip) if jitter else ResizedCropFlip(size, flip=flip)
    if linear:
        if head_layers or distill_share:
            raise UsageError(
                f"linear: nothing but a linear layer is trained, but head_layers is {head_layers} "
                f"and distill_share {distill_share}. Use 0 for both."
            )
        return SimCLRv2CLD(backbone, n_classes, weak, seed=seed, uniform_head=True)
    return SimCLRv2(
        backbone,
        n_classes,
        seed=seed,
        layer=hidden_layer(backbone.dim, seed) if head_layers else None,
        distill_share=distill_share,
        alpha=alpha,
        temperature=temperature,
        weak=weak,
    )


def hidden_layer(width: int, seed: int) -> nn.Sequential:
    """Linear, batch normalisation and ReLU, [b, width] to [b, width]."""
    linear = nn.utils.skip_init(nn.Linear, width, width, bias=False)
    nn.init.kaiming_normal_(linear.weight, generator=torch.Generator().manual_seed(seed))
    return nn.Sequential(linear, nn.BatchNorm1d(width), nn.ReLU())


class SimCLRv2(Student):
    """First a classifier that is fine-tuned; then it is the teacher, and its place a student's.

    No moving average. ``teacher`` holds the initial classifier until the first part ends; then the
    two change places. The optimiser is not told: its momentum is that of the last, smallest
    fine-tuning steps, and forgotten within some ten of the student's.

    Attributes
    ----------
    layer, layer_of_teacher : what stands between backbone and head in the first part, with
        ``dim`` inputs and outputs; the identity without.
    """

    def __init__(
        self,
        backbone: Any,
        n_classes: int,
        *,
        seed: int,
        layer: nn.Module | None,
        distill_share: float,
        alpha: float,
        temperature: float,
        weak: Augmentation,
    ) -> None:
        if layer is not None and distill_share == 0:
            raise UsageError(
                "head_layers: what is kept is linear on the backbone, so a network with a layer "
                "between has to be distilled. Give distill_share, such as 0.5, or head_layers 0."
            )
        super().__init__(backbone, n_classes, seed=seed, weak=weak)
        for classifier in (self.classifier, self.teacher):
            nn.init.zeros_(classifier.head.weight)
        self.layer = nn.Identity() if layer is None else layer
        self.layer_of_teacher = copy.deepcopy(self.layer).requires_grad_(False)
        self.distill_share, self.alpha, self.temperature = distill_share, alpha, temperature
        self.first_of_student: int | None = None

    @property
    def kept(self) -> Classifier:
        """The classifier in training: the fine-tuned one, or the student."""
        return self.classifier

    @property
    def distilling(self) -> bool:
        """Whether the student is being trained."""
        return self.first_of_student is not None and int(self.steps) >= self.first_of_student

    def prepare(self, *, images: int, unlabeled: int, steps: int) -> None:
        """Divide the steps; fine-tuning has at least one."""
        if self.distill_share:
            self.first_of_student = max(1, round((1 - self.distill_share) * steps))

    def train(self, mode: bool = True) -> SimCLRv2:
        """The teacher and its layer never leave evaluation mode."""
        super().train(mode)
        self.layer_of_teacher.eval()
        return self

    def views(self, batch: Mapping[str, Any], generator: torch.Generator) -> Views:
        """As in :class:`Student`; for the student also a view of the ``unlabeled`` images."""
        views = super().views(batch, generator)
        if self.distill_share and "unlabeled" not in batch:
            raise UsageError(
                "ratio: 0 leaves nothing to distil on. Use at least 1, or distill_share 0."
            )
        if self.distilling:
            views["unlabeled"] = view_of(batch, "unlabeled", self.weak, generator)
        return views

    def forward(self, views: Views) -> tuple[Tensor, dict[str, Tensor]]:
        """L_x; for the student (1 - alpha) L_x + alpha L_distill."""
        classes, weights = views["classes"], views["weights"]
        if "unlabeled" not in views:
            logits = through(self.classifier, self.layer, views["labeled"])
            loss = labeled_loss(logits, classes, weights)
            return loss, {"labeled_loss": loss.detach(), "distillation": torch.zeros_like(loss)}
        with torch.no_grad():
            taught = through(self.teacher, self.layer_of_teacher, views["unlabeled"])
        parts = [views["labeled"], views["unlabeled"]]
        labeled, own = self.classifier(torch.cat(parts)).split([len(part) for part in parts])
        supervised = labeled_loss(labeled, classes, weights)
        distilled = distillation_loss(own, taught, self.temperature)
        loss = (1 - self.alpha) * supervised + self.alpha * distilled
        # Over several processes every parameter has to be part of every loss.
        loss = loss + 0 * sum(parameter.sum() for parameter in self.layer.parameters())
        return loss, {"labeled_loss": supervised.detach(), "distillation": distilled.detach()}

    def after_step(self) -> None:
        """Count; after the last step of fine-tuning let teacher and student change places."""
        self.steps += 1
        if self.first_of_student is None or int(self.steps) != self.first_of_student:
            return
        tuned = {name: value.clone() for name, value in self.classifier.state_dict().items()}
        self.classifier.load_state_dict(self.teacher.state_dict())
        self.teacher.load_state_dict(tuned)
        self.layer_of_teacher.load_state_dict(self.layer.state_dict())


def through(classifier: Any, layer: nn.Module, images: Tensor) -> Tensor:
    """Logits float32 [b, C] of a classifier with a layer before its head."""
    features = classifier.backbone(images)
    with torch.autocast(images.device.type, enabled=False):
        return classifier.head(layer(features.float()))


@full_precision
def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Eq. 2: mean over the images of - sum over c of P_T(c) log P_S(c), P = softmax(z / t).

    Parameters
    ----------
    student, teacher : logits [b, C]; no gradient goes through the teacher's; temperature : t.
    """
    told = (teacher.detach() / temperature).softmax(1)
    return -(told * (student / temperature).log_softmax(1)).sum(1).mean()

"""The numbers of the presets are those of the sources that are named here."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from usl.learning.augment import MoCoV2, SimCLR  # noqa: E402
from usl.pretraining.methods import cld, moco, simclr  # noqa: E402


def task_of(method, preset, backbone):
    backbone.mean = torch.tensor([0.4914, 0.4822, 0.4465]).view(1, 3, 1, 1)
    backbone.std = torch.tensor([0.2023, 0.1994, 0.2010]).view(1, 3, 1, 1)
    parameters = {**method.RECIPES[preset].parameters, "queue": 8}
    if method is simclr:
        del parameters["queue"]
    return method.build(backbone, **parameters)


def names(head):
    return [type(layer).__name__ for layer in head]


def test_simclr_on_cifar(tiny):
    # google-research/simclr, README: --train_batch_size=512 --train_epochs=1000
    # --learning_rate=1.0 (per 256) --weight_decay=1e-4 --temperature=0.5 --use_blur=False
    # --color_jitter_strength=0.5; run.py: warmup_epochs 10, momentum 0.9, proj_out_dim 128.
    recipe = simclr.RECIPES["cifar"]
    chosen = recipe.optimizer
    assert (recipe.batch_size, recipe.epochs) == (512, 1000)
    assert (chosen.name, chosen.lr, chosen.weight_decay) == ("lars", 1.0 * 512 / 256, 1e-4)
    assert (chosen.momentum, chosen.schedule, chosen.warmup) == (0.9, "cosine", 10 / 1000)
    task = task_of(simclr, "cifar", tiny(0))
    assert task.temperature == 0.5
    # data_util.py: area_range=(0.08, 1.0); model_util.py: use_bn in every layer.
    assert task.augmentation == SimCLR(8, scale=(0.08, 1.0), tensorflow=True)
    # data_util.py, preprocess_image: convert_image_dtype, 0 to 1, and nothing more.
    assert (task.backbone.mean == 0).all()
    assert (task.backbone.std == 1).all()
    assert names(task.head) == ["Linear", "BatchNorm1d", "ReLU", "Linear", "ScaledBatchNorm"]
    assert task.head[-1].num_features == 128


def test_simclr_on_imagenet(tiny):
    # Chen et al. 2020, section 2.2: LARS, 0.3 * 4096 / 256, decay 1e-6, 10 epochs of warm-up.
    recipe = simclr.RECIPES["imagenet"]
    chosen = recipe.optimizer
    assert (recipe.batch_size, chosen.weight_decay) == (4096, 1e-6)
    assert chosen.lr == pytest.approx(0.3 * 4096 / 256)
    task = task_of(simclr, "imagenet", tiny(0))
    assert task.temperature == 0.1
    imagenet = SimCLR(8, strength=1.0, blur=True, scale=(0.08, 1.0), tensorflow=True)
    assert task.augmentation == imagenet
    assert names(task.head)[-1] == "ScaledBatchNorm"


def test_moco_on_cifar(tiny):
    # facebookresearch/moco, moco_cifar10_demo.ipynb: batch_size=512, bn_splits=8, cos=True,
    # epochs=200, lr=0.06, moco_dim=128, moco_k=4096, moco_m=0.99, moco_t=0.1, symmetric=False,
    # wd=0.0005.
    recipe = moco.RECIPES["cifar"]
    chosen = recipe.optimizer
    assert (recipe.batch_size, recipe.epochs, recipe.parameters["queue"]) == (512, 200, 4096)
    assert (chosen.name, chosen.lr, chosen.weight_decay) == ("sgd", 0.06, 0.0005)
    assert (chosen.momentum, chosen.nesterov, chosen.schedule) == (0.9, False, "cosine")
    task = task_of(moco, "cifar", tiny(0))
    encoder = task.contrast.encoder
    assert (encoder.momentum, encoder.bn, encoder.splits) == (0.99, "split", 8)
    assert (task.contrast.temperature, task.symmetric) == (0.1, False)
    assert names(task.head) == ["Linear"]
    assert task.head[0].out_features == 128
    # RandomResizedCrop(32), ColorJitter(0.4, 0.4, 0.4, 0.1), no blur.
    assert task.augmentation == MoCoV2(8, blur=False, scale=(0.08, 1.0))


def test_moco_on_imagenet(tiny):
    # amazon-science's EMAN, README: MoCoEMAN, --warmup-epoch 10, --moco-t 0.2, --cos; main_moco.py:
    # -b 256, --lr 0.03, --wd 1e-4, --moco-k 65536, --moco-m 0.999; the paper, 6.8: 800 epochs.
    recipe = moco.RECIPES["imagenet"]
    chosen = recipe.optimizer
    assert (recipe.batch_size, recipe.epochs) == (256, 800)
    assert (chosen.lr, chosen.weight_decay, chosen.schedule) == (0.03, 1e-4, "cosine")
    assert chosen.warmup == 10 / 800
    task = task_of(moco, "imagenet", tiny(0))
    assert (task.contrast.encoder.momentum, task.contrast.encoder.bn) == (0.999, "eman")
    assert task.contrast.temperature == 0.2
    assert task.augmentation == MoCoV2(8, blur=True, scale=(0.2, 1.0))


def test_cld_on_cifar(tiny):
    # frank-xwang/CLD-UnsupervisedLearning, scripts/cifar/train_cifar10_moco_cld.sh and
    # train_cifar_moco_cld.py: bs=256, bs_lr=0.03 per 128, --warmup-epoch 5 of 200, cosine,
    # weightdecay=8e-4, lambda=0.8, cld_t=0.2, nce_t=0.07, nce_k=12288, clusters=200,
    # --num-iters 5, --normlinear, --aug-plus, --erasing, alpha 0.999, low-dim 128.
    recipe = cld.RECIPES["cifar"]
    chosen = recipe.optimizer
    assert (recipe.batch_size, recipe.epochs, recipe.parameters["queue"]) == (256, 200, 12288)
    assert (chosen.name, chosen.lr, chosen.weight_decay) == ("sgd", 0.03 * 256 / 128, 8e-4)
    assert (chosen.warmup, chosen.schedule, chosen.nesterov) == (5 / 200, "cosine", False)
    task = task_of(cld, "cifar", tiny(0))
    assert (task.lam, task.clusters, task.iterations) == (0.8, 200, 5)
    assert (task.temperature, task.group_temperature) == (0.07, 0.2)
    assert (task.contrast.encoder.momentum, task.contrast.encoder.bn) == (0.999, "plain")
    assert names(task.instance_head) == names(task.group_head) == ["NormalizedLinear"]
    # datasets/dataloader.py, aug_plus: MoCo v2's, and RandomErasing of what is normalised: 0.
    mean = tuple(torch.tensor([0.4914, 0.4822, 0.4465]).tolist())
    assert task.augmentation == MoCoV2(8, blur=True, scale=(0.2, 1.0), erase=mean)


def test_cld_on_imagenet(tiny):
    # scripts/imagenet/train_imagenet_mocov2_cld.sh and main_imagenet_moco_cld.py, on 8 devices:
    # lr=0.2, --batch-size 512, --moco-k 65536, --Lambda 0.25, --aug-plus --cos --mlp, --moco-t 0.2,
    # --cld-t 0.4, --num-iters 5, --clusters 120, --normlinear, epochs 200, wd 1e-4, moco-m 0.999.
    recipe = cld.RECIPES["imagenet"]
    chosen = recipe.optimizer
    assert (recipe.batch_size, recipe.epochs) == (512, 200)
    assert (chosen.lr, chosen.weight_decay, chosen.warmup) == (0.2, 1e-4, 0)
    task = task_of(cld, "imagenet", tiny(0))
    assert (task.lam, task.clusters, task.iterations) == (0.25, 120, 5)
    assert (task.temperature, task.group_temperature) == (0.2, 0.4)
    encoder = task.contrast.encoder
    assert (encoder.momentum, encoder.bn, encoder.splits) == (0.999, "split", 8)
    assert task.parts == 8  # every device looks for clusters among its own images
    # models/ResNet.py: fc, linear and ReLU, before instDis and groupDis.
    assert names(task.hidden) == ["Linear", "ReLU"]
    assert names(task.instance_head) == names(task.group_head) == ["NormalizedLinear"]
    # ColorJitter(0.4, 0.4, 0.4, 0.1), "not strengthened", and no erasing.
    assert task.augmentation == MoCoV2(8, blur=True, scale=(0.2, 1.0))


def test_what_was_tuned_for_a_processor_stays(tiny):
    task = task_of(simclr, "cpu", tiny(0))
    assert task.augmentation == SimCLR(8, scale=(0.2, 1.0))
    assert names(task.head) == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
    assert task_of(moco, "cpu", tiny(0)).augmentation == MoCoV2(8, blur=False, scale=(0.2, 1.0))
    backbone = tiny(0)
    assert cld.build(backbone).augmentation == SimCLR(8, scale=(0.2, 1.0))

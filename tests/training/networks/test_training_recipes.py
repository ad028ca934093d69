"""The numbers of the presets are those of the sources that are named here."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from students import Loop, Tiny  # noqa: E402
from usl.core.errors import UsageError  # noqa: E402
from usl.learning.augment import (  # noqa: E402
    EMAN,
    FIXMATCH,
    FIXMATCH_PYTORCH,
    USB,
    InnerCrop,
    ResizedCropFlip,
    SimCLR,
    Strong,
    Weak,
)
from usl.training.networks import (  # noqa: E402
    comatch,
    debiaspl,
    fixmatch,
    flexmatch,
    freematch,
    mixmatch,
    simclrv2,
    simclrv2_cld,
    softmatch,
    supervised,
)

INCEPTION = (0.08, 1.0)
OF_USB = (flexmatch, freematch, softmatch)


def task_of(method, preset):
    return method.build(Tiny(), 10, **method.RECIPES[preset].parameters)


@pytest.mark.parametrize("method", [fixmatch, debiaspl])
def test_views_on_imagenet_are_emans(method):
    # amazon-science, main_fixmatch.py: --weak-type DefaultTrain, --strong-type RandAugment;
    # data/transforms.py: RandomResizedCrop(224), flip, RandAugment(n=2, m=10), no cutout.
    task = task_of(method, "imagenet")
    assert task.weak == ResizedCropFlip(8, INCEPTION)
    assert task.strong == Strong(8, ops=2, cutout=0, policy=EMAN, scale=INCEPTION)
    # data/randaugment.py, imagenet_augment_pool: 16 operations, levels randint(1, 10).
    assert (EMAN.operations, EMAN.levels, EMAN.probability) == (16, (1, 9), 1.0)
    assert (EMAN.enhance, EMAN.posterize, EMAN.rotate) == ((0.1, 1.8), (4, 4), 30)
    assert (EMAN.shear, EMAN.translate, EMAN.solarize_add) == (0.3, 0.45, 110)


@pytest.mark.parametrize("method", [fixmatch, debiaspl])
def test_batches_on_imagenet_are_emans(method):
    # main_fixmatch.py: -b 64, --mu 5, --lambda-u 10, --ema-m 0.999, --wd 1e-4, no nesterov;
    # train_99p_index.csv for the unlabelled ones; 50 epochs of 1.28 M / 320 steps, 5 of warm-up.
    recipe, task = method.RECIPES["imagenet"], task_of(method, "imagenet")
    chosen = recipe.optimizer
    assert (recipe.batch_size, recipe.ratio, recipe.labeled_in_unlabeled) == (64, 5, False)
    assert (task.lam, task.ema, task.eman) == (10, 0.999, True)
    assert (chosen.weight_decay, chosen.nesterov, chosen.warmup) == (1e-4, False, 0.1)


def test_fixmatch_on_imagenet():
    # The paper, 6.12: lr 0.03, times 0.1 at 30 and 40 of 50 epochs; --threshold 0.7.
    chosen = fixmatch.RECIPES["imagenet"].optimizer
    assert (chosen.lr, chosen.schedule, chosen.milestones) == (0.03, "steps", (0.6, 0.8))
    assert task_of(fixmatch, "imagenet").tau == 0.7


def test_debiaspl_on_imagenet():
    # scripts/0.2perc-ssl/train_DebiasPL.sh: --lr 0.003 --cos --threshold 0.8 --tau 0.4
    # --qhat_m 0.99 --multiviews --CLDLoss --lambda-cld 0.1.
    chosen, task = debiaspl.RECIPES["imagenet"].optimizer, task_of(debiaspl, "imagenet")
    assert (chosen.lr, chosen.schedule) == (0.003, "cosine")
    assert (task.tau, task.t, task.habit.momentum) == (0.8, 0.4, 0.99)
    assert (task.pairs, task.group) == (2, 0.1)


@pytest.mark.parametrize("method", OF_USB)
def test_views_on_cifar_are_usbs(method):
    # microsoft/Semi-supervised-learning, cv_datasets/cifar.py: RandAugment(3, 5) after the weak
    # view; augmentation/randaugment.py: any strength, always, Cutout of random() * 0.5.
    task = task_of(method, "cifar")
    assert task.weak == Weak(8)
    assert task.strong == Strong(8, ops=3, cutout=0.5, policy=USB)
    assert (USB.operations, USB.levels, USB.continuous) == (14, (0, 10), True)
    assert (USB.probability, USB.random_cutout) == (1.0, True)
    assert (USB.enhance, USB.posterize, USB.solarize) == ((0.05, 0.9), (4, 4), (256, -256))
    assert (USB.rotate, USB.shear, USB.translate) == (30, 0.3, 0.3)
    assert USB.cutout_fill == (125 / 255, 123 / 255, 114 / 255)


@pytest.mark.parametrize("method", OF_USB)
def test_views_on_imagenet_are_usbs(method):
    # cv_datasets/imagenet.py: Resize(256, 256), RandomCrop(224), flip; the strong one
    # RandomResizedCropAndInterpolation (0.08 to 1), flip, RandAugment(3, 10).
    task = task_of(method, "imagenet")
    assert task.weak == InnerCrop(8)
    assert task.strong == Strong(8, ops=3, policy=USB, scale=INCEPTION)


@pytest.mark.parametrize("method", OF_USB)
def test_batches_on_cifar_are_usbs(method):
    # config/classic_cv/*/*_cifar10_40_0.yaml: batch_size 64, uratio 7, num_train_iter 1048576,
    # lr 0.03, momentum 0.9, weight_decay 0.0005, ema_m 0.999, ulb_loss_ratio 1.0.
    recipe, task = method.RECIPES["cifar"], task_of(method, "cifar")
    chosen = recipe.optimizer
    assert (recipe.batch_size, recipe.ratio, recipe.steps) == (64, 7, 1048576)
    assert (chosen.lr, chosen.momentum, chosen.weight_decay) == (0.03, 0.9, 0.0005)
    assert recipe.optimizer_for(100).weight_decay == 0.001  # *_cifar100_400_0.yaml
    assert (task.ema, task.lam) == (0.999, 1.0)


def test_own_numbers_on_cifar_are_usbs():
    # p_cutoff 0.95 and thresh_warmup; ema_p 0.999 and ent_loss_ratio 0.001; ema_p 0.999, n_sigma 2
    # and dist_align.
    flex, free, soft = (task_of(method, "cifar") for method in OF_USB)
    assert (flex.tau, flex.warmup) == (0.95, True)
    assert (free.confidence.momentum, free.fairness) == (0.999, 0.001)
    assert (soft.mean.momentum, soft.n_sigma, soft.align) == (0.999, 2, True)


def test_comatchs_views():
    # salesforce/CoMatch: datasets/cifar.py, trans_strong1, and imagenet/Train_CoMatch.py, all with
    # RandomResizedCrop(scale=(0.2, 1.)) and ColorJitter(0.4, 0.4, 0.4, 0.1), without blur.
    assert task_of(comatch, "cifar").strong[1] == SimCLR(8, strength=0.5, scale=(0.2, 1.0))
    large = task_of(comatch, "imagenet")
    assert large.strong == [SimCLR(8, strength=0.5, scale=(0.2, 1.0))] * 2
    assert large.weak == ResizedCropFlip(8, (0.2, 1.0))


def test_supervised_on_imagenet_sees_emans_weak_view():
    assert task_of(supervised, "imagenet").weak == ResizedCropFlip(8, INCEPTION)


@pytest.mark.parametrize("method", [fixmatch, debiaspl, *OF_USB])
def test_what_was_tuned_for_a_processor_stays(method):
    task = task_of(method, "cpu")
    assert (task.weak, task.strong) == (Weak(8), Strong(8))


@pytest.mark.parametrize("method", OF_USB)
@pytest.mark.parametrize("views", ["usb", "usb-large", "eman"])
def test_views_are_a_choice(method, views):
    loop = Loop(method.build(Tiny(), 3, views=views, flip=False))
    assert loop.task.strong.flip is False
    assert torch.isfinite(loop.step(0)[0])
    with pytest.raises(UsageError, match=r"views: 'usbb' is unknown.*usb"):
        method.build(Tiny(), 3, views="usbb")


@pytest.mark.parametrize("method", [fixmatch, debiaspl])
def test_views_on_cifar_are_those_of_the_pytorch_code(method):
    # kekmodel/FixMatch-pytorch, which the paper's release took: FixMatch's, but for the cutout.
    task = task_of(method, "cifar")
    assert (task.weak, task.strong) == (Weak(8), Strong(8, policy=FIXMATCH_PYTORCH))
    assert replace(FIXMATCH_PYTORCH, filled_ends=False) == FIXMATCH


@pytest.mark.parametrize("preset", ["cifar", "imagenet"])
@pytest.mark.parametrize("method", [fixmatch, debiaspl, supervised, mixmatch, comatch, *OF_USB])
def test_the_teacher_of_the_literature_moves_evenly(method, preset):
    # main_fixmatch.py, --ema-m 0.999, and the EMA of FixMatch, MixMatch, CoMatch on CIFAR and USB
    # are constant, however short the training. CoMatch, imagenet/Train_CoMatch.py: 0.99 in the
    # first epoch, then 0.996.
    parameters = method.RECIPES[preset].parameters
    task = method.build(Tiny(), 3, **parameters)
    found = [task.momentum_of(step) for step in (1, 5, 1981, 1982, 2**20)]
    large = method is comatch and preset == "imagenet"
    assert found == ([0.99] * 3 + [0.996] * 2 if large else [0.999] * 5)


@pytest.mark.parametrize(
    ("method", "preset"),
    [
        (fixmatch, "imagenet"),  # EMAN and DebiasPL, models/fixmatch.py: nn.Linear as it is
        (debiaspl, "imagenet"),
        (supervised, "imagenet"),
        (comatch, "imagenet"),  # imagenet/resnet.py
        (simclrv2_cld, "cifar"),  # semisup-simclrv2-cld: the same
        (simclrv2, "cifar"),
    ],
)
def test_last_layers_begin_as_torchs(method, preset):
    width = Tiny.dim
    head = method.build(Tiny(), 1000, **method.RECIPES[preset].parameters).classifier.head
    for numbers in (head.weight, head.bias):
        assert numbers.abs().max().item() == pytest.approx(width**-0.5, rel=0.01)
        assert numbers.std().item() == pytest.approx((width * 3) ** -0.5, rel=0.05)


def test_the_teacher_of_a_short_training_starts_faster():
    loop = Loop(fixmatch.build(Tiny(), 3, **fixmatch.RECIPES["cpu"].parameters))
    before = loop.task.teacher.head.weight.clone()
    loop.step(0)
    quick = 2 / 11 * before + 9 / 11 * loop.task.classifier.head.weight
    torch.testing.assert_close(loop.task.teacher.head.weight, quick)
    even = Loop(fixmatch.build(Tiny(), 3, ema_warmup=False))
    even.step(0)
    moved = 0.999 * before + 0.001 * even.task.classifier.head.weight
    torch.testing.assert_close(even.task.teacher.head.weight, moved)


def test_comatchs_first_epochs_on_imagenet():
    # imagenet/Train_CoMatch.py: lam_c = min(epoch + 1, args.lam_c), smoothing from the second epoch
    # on; 8 devices draw 1,268,347 unlabelled images, 80 each a step, the last batch too.
    epoch = math.ceil(math.ceil((1_281_167 - 12_820) / 8) / 80)
    recipe, task = comatch.RECIPES["imagenet"], task_of(comatch, "imagenet")
    assert (recipe.steps, task.smooth_from) == (400 * epoch, epoch)
    weights = []
    for step in (0, epoch - 1, epoch, 2 * epoch - 1, 7 * epoch - 1, 9 * epoch, 399 * epoch):
        task.steps.fill_(step)
        weights.append(task.lam_c * task.risen())
    assert weights == [1, 1, 2, 2, 7, 10, 10]
    # Model.py, is_eval: the encoder is evaluated; on CIFAR, Train_CoMatch.py, the moving average.
    assert task.kept is task.classifier
    small = task_of(comatch, "cifar")
    assert small.kept is small.teacher

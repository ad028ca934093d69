from __future__ import annotations

import copy
from collections import deque

import pytest

torch = pytest.importorskip("torch")

from students import Tiny  # noqa: E402
from two_processes import needs_gloo, on_two_processes  # noqa: E402
from usl.core.errors import UsageError  # noqa: E402
from usl.learning.ring import Ring  # noqa: E402
from usl.training.contract import NETWORKS  # noqa: E402
from usl.training.networks import comatch  # noqa: E402
from usl.training.shared import comatch_losses  # noqa: E402
from usl.training.shared.comatch_memory import PseudoLabels  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
CLASSES = 3


def make(seed=0, **options):
    small = {"projection": 4, "queue": 10, "tau": 0.4, "edge": 0.3, **options}
    return comatch.build(Tiny(seed), CLASSES, seed=seed, **small).train()


def views(task, step, labeled=2, unlabeled=3):
    generator = torch.Generator().manual_seed(100 + step)

    def pictures(count):
        return torch.randint(0, 256, (count, 3, 8, 8), generator=generator).byte()

    batch = {
        "images": pictures(labeled),
        "classes": torch.randint(0, CLASSES, (labeled,), generator=generator),
        "weights": torch.rand(labeled, generator=generator),
        "unlabeled": pictures(unlabeled),
    }
    with torch.no_grad():
        return task.views(batch, generator)


class Driver:
    """The loop in a few lines, with plain SGD."""

    def __init__(self, task):
        self.task = task
        trained = [p for p in task.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(trained, lr=0.1)

    def step(self, number):
        loss, figures = self.task(views(self.task, number))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            self.task.after_step()
        return loss.detach(), figures


def draws(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def unit(rows):
    return rows / rows.norm(dim=1, keepdim=True)


def shares(seed, *shape):
    return draws(seed, *shape).mul(2).softmax(1)


def close(found, wanted, tolerance=1e-9):
    torch.testing.assert_close(found, wanted, atol=tolerance, rtol=tolerance)


# The equations


def test_alignment():
    p, mean = shares(0, 4, CLASSES), shares(1, 1, CLASSES)[0]
    found = comatch_losses.aligned(p, mean)
    for row, old in zip(found, p, strict=True):
        ratios = [old[c] / mean[c] for c in range(CLASSES)]
        close(row, torch.stack([ratio / sum(ratios) for ratio in ratios]))
    # Repeated, on the mean of the same predictions, it makes the classes equally frequent.
    for _ in range(200):
        p = comatch_losses.aligned(p, p.mean(0))
    close(p.mean(0), torch.full((CLASSES,), 1 / CLASSES).double(), 1e-6)
    # A class that is predicted by nobody stays so.
    gone = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
    found = comatch_losses.aligned(gone, gone.mean(0))
    assert torch.equal(found[:, 2], torch.zeros(2))
    assert torch.isfinite(found).all()


def test_smoothing():
    p, z = shares(0, 4, CLASSES), unit(draws(1, 4, 5))
    keys, q = unit(draws(2, 7, 5)), shares(3, 7, CLASSES)
    found = comatch_losses.smoothed(p, z, keys, q, 0.8, 0.3)
    for i in range(4):
        near = [torch.exp(sum(z[i] * key) / 0.3) for key in keys]
        for c in range(CLASSES):
            memory = sum(a * row[c] for a, row in zip(near, q, strict=True)) / sum(near)
            close(found[i, c], 0.8 * p[i, c] + 0.2 * memory)


@pytest.mark.parametrize("earlier", [0, 4])
def test_graph_and_its_loss(earlier):
    p, past_p = shares(0, 5, CLASSES), shares(1, earlier, CLASSES)
    graph = comatch_losses.pseudo_label_graph(p, past_p, 0.4)
    assert graph.shape == (5, 5 + earlier)
    everyone = [*p, *past_p]
    for i in range(5):
        row = []
        for j, other in enumerate(everyone):
            similar = 1.0 if i == j else float(sum(a * b for a, b in zip(p[i], other, strict=True)))
            row.append(similar if similar >= 0.4 else 0.0)
        close(graph[i], torch.tensor(row).double() / sum(row), 1e-6)
    assert 5 < (graph > 0).sum() < graph.numel()

    rows = [unit(draws(seed, 5, 6)) for seed in (2, 3)]
    past = unit(draws(4, earlier, 6))
    found, wanted = ([r.clone().requires_grad_() for r in rows] for _ in range(2))
    loss = comatch_losses.graph_loss(*found, past, graph, 0.2)
    total = 0.0
    first, second = wanted
    for i in range(5):
        near = [torch.exp(torch.dot(first[i], key) / 0.2) for key in [*second, *past]]
        for j, exponential in enumerate(near):
            total = total - graph[i, j] * torch.log(exponential / sum(near)) / 5
    close(loss, total)
    loss.backward()
    total.backward()
    for mine, theirs in zip(found, wanted, strict=True):
        close(mine.grad, theirs.grad)


def test_soft_labels():
    strong, p = draws(0, 5, CLASSES), shares(1, 5, CLASSES)
    tau = p.max(1).values.sort().values[2].item()  # three of five are sure, one by equality
    found, wanted = (strong.clone().requires_grad_() for _ in range(2))
    loss, counted = comatch_losses.soft_label_loss(found, p, tau)
    total = 0.0
    for row, label in zip(wanted, p, strict=True):
        if max(label) >= tau:
            below = sum(torch.exp(value) for value in row)
            for value, share in zip(row, label, strict=True):
                total = total - share * torch.log(torch.exp(value) / below) / 5
    close(loss, total)
    assert counted.item() == pytest.approx(0.6)
    loss.backward()
    total.backward()
    close(found.grad, wanted.grad)


def test_nobody_sure():
    strong = draws(0, 5, CLASSES).requires_grad_()
    loss, counted = comatch_losses.soft_label_loss(strong, shares(1, 5, CLASSES), 1.1)
    loss.backward()
    assert loss == counted == 0
    assert torch.equal(strong.grad, torch.zeros(5, CLASSES).double())


# The memories


@pytest.mark.parametrize("length", [1, 3, 5, 7, 12])
def test_a_ring_holds_the_latest_rows(length):
    ring, latest = Ring(5, 2), deque(maxlen=5)
    for step in range(6):
        assert ring.full == (len(latest) == 5)
        assert sorted(ring.written.tolist()) == sorted(latest)
        rows = torch.arange(2.0 * length).view(length, 2) + 100 * step
        ring.push(rows)
        latest.extend(rows.tolist())
    assert sorted(ring.written.tolist()) == sorted(latest)
    assert set(ring.state_dict()) == {"rows", "pushed"}


@pytest.mark.parametrize("alignment", [False, True])
def test_pseudo_labels_over_several_steps(alignment):
    """Against lists: the window, the memory with weights, and smoothing once it is full."""
    options = {"queue": 11, "alpha": 0.7, "temperature": 0.3, "window": 3}
    labels = PseudoLabels(CLASSES, 4, alignment=alignment, **options)
    history, memory = [], []
    for step in range(7):
        logits, rows = draws(step, 5, CLASSES).float(), unit(draws(50 + step, 5, 4)).float()
        classes, weights = torch.tensor([1, 1]), torch.tensor([1.0, 0.25])
        found = labels(logits, rows, classes, weights)
        labels.after_step()

        p = logits.softmax(1)
        history.append(p[2:].mean(0))
        if alignment:
            p = p / torch.stack(history[-3:]).mean(0)
            p = p / p.sum(1, keepdim=True)
        expected = p[2:]
        if len(memory) >= 11:
            keys = torch.stack([key for key, _ in memory[-11:]])
            known = torch.stack([label for _, label in memory[-11:]])
            near = torch.exp(rows[2:] @ keys.T / 0.3)
            expected = 0.7 * expected + 0.3 * (near / near.sum(1, keepdim=True)) @ known
        assert (len(memory) >= 11) == (step >= 3)
        close(found, expected, 1e-5)
        close(found.sum(1), torch.ones(3), 1e-5)
        kept = [torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 0.25, 0.0]) + 0.75 * p[1], *p[2:]]
        memory += list(zip(rows, kept, strict=True))
    held = {tuple(row) for row in labels.memory.written.mul(1e4).round().tolist()}
    latest = {tuple(torch.cat(pair).mul(1e4).round().tolist()) for pair in memory[-11:]}
    assert held == latest
    close(labels.means.written.sum(0), torch.stack(history[-2:]).sum(0), 1e-5)


def test_the_released_cifar_run_smooths_from_the_seventh_step_on(monkeypatch):
    """Train_CoMatch.py: ``it > args.queue_batch`` with queue_batch 5 and it from 0."""
    asked = []
    driver = Driver(make(smooth_from=comatch.RECIPES["cifar"].parameters["smooth_from"]))
    patched = driver.task.labels.forward

    def watched(*given, smooth):
        asked.append(smooth)
        return patched(*given, smooth=smooth)

    monkeypatch.setattr(driver.task.labels, "forward", watched)
    for number in range(8):
        driver.step(number)
    assert asked == [False] * 6 + [True] * 2


def test_a_full_memory_is_not_used_too_early():
    labels = PseudoLabels(
        CLASSES, 4, queue=5, alpha=0.5, temperature=0.2, alignment=False, window=4
    )
    logits, rows = draws(0, 5, CLASSES).float(), unit(draws(1, 5, 4)).float()
    given = logits, rows, torch.tensor([0]), torch.ones(1)
    labels(*given)
    labels.after_step()
    close(labels(*given, smooth=False), logits[1:].softmax(1), 1e-6)
    assert (labels(*given, smooth=True) - logits[1:].softmax(1)).abs().max() > 1e-3


def test_the_projection_of_the_release_leaks():
    """WideResNet.py: fc1, LeakyReLU(0.1), fc2; imagenet/resnet.py has ReLU."""
    leaks, stops = (
        make(slope=comatch.RECIPES[name].parameters.get("slope", 0)).classifier.projection
        for name in ("cifar", "imagenet")
    )
    rows = draws(0, 3, leaks[0].in_features).float()
    hidden = leaks[0](rows)
    close(leaks(rows), leaks[2](torch.where(hidden > 0, hidden, 0.1 * hidden)), 1e-6)
    hidden = stops[0](rows)
    close(stops(rows), stops[2](hidden.clamp(min=0)), 1e-6)


def test_micro_batches_count_as_one_batch():
    labels = PseudoLabels(
        CLASSES, 4, queue=30, alpha=0.9, temperature=0.2, alignment=True, window=4
    )
    logits, rows = draws(0, 6, CLASSES).float(), unit(draws(1, 6, 4)).float()
    for part in (slice(0, 3), slice(3, 6)):
        labels(logits[part], rows[part], torch.tensor([0]), torch.ones(1))
    labels.after_step()
    assert labels.means.pushed == 1
    wanted = torch.cat([logits[1:3], logits[4:6]]).softmax(1).mean(0)
    close(labels.means.written[0], wanted, 1e-6)
    assert labels.memory.pushed == 6


# The method


@pytest.mark.parametrize("momentum_encoder", [False, True])
def test_the_loss_of_a_step(momentum_encoder):
    """From the outputs of each network on each view, after the memories have filled."""
    options = {"alignment": True, "lam": 2.0, "lam_c": 3.0, "ramp": 8, "tau": 0.3}
    driver = Driver(make(momentum_encoder=momentum_encoder, **options))
    for number in range(3):
        driver.step(number)
    task, seen = driver.task, views(driver.task, 3)
    labels, past = copy.deepcopy(task.labels), task.past.written.clone()
    assert labels.memory.full
    assert len(past) == (9 if momentum_encoder else 0)

    def outputs(classifier, names):
        copied = copy.deepcopy(classifier)
        features = copied.backbone(torch.cat([seen[name] for name in names]))
        sizes = [len(seen[name]) for name in names]
        rows = unit(copied.projection(features))
        return (
            dict(zip(names, whole.split(sizes), strict=True))
            for whole in (copied.head(features), rows)
        )

    if momentum_encoder:
        logits, rows = outputs(task.classifier, ["labeled", "first"])
        steady, keys = outputs(task.teacher, ["labeled", "weak", "second"])
        second = keys["second"]
    else:
        logits, rows = outputs(task.classifier, ["labeled", "weak", "first", "second"])
        steady, keys, second = logits, rows, rows["second"]
    both = [torch.cat([found["labeled"], found["weak"]]) for found in (steady, keys)]
    p = labels(*both, seen["classes"], seen["weights"])
    graph = comatch_losses.pseudo_label_graph(p, past[:, 4:], 0.3)
    entropy = torch.nn.functional.cross_entropy(
        logits["labeled"], seen["classes"], reduction="none"
    )
    supervised = (entropy * seen["weights"]).sum() / 2
    unsupervised, _ = comatch_losses.soft_label_loss(logits["first"], p, 0.3)
    contrast = comatch_losses.graph_loss(rows["first"], second, past[:, :4], graph, 0.2)
    loss, figures = task(seen)
    close(loss, supervised + 2.0 * unsupervised + 3.0 * 4 / 8 * contrast, 1e-5)
    assert figures["above_tau"] > 0
    assert figures["graph_loss"] > 0


def test_gradients_reach_both_strong_views_but_no_pseudo_label():
    task = make()
    seen = {name: value.requires_grad_(value.is_floating_point())
            for name, value in views(task, 0).items()}  # fmt: skip
    task.classifier.eval()  # in training mode batch statistics join all views
    task(seen)[0].backward()
    for name in ("labeled", "first", "second"):
        assert seen[name].grad.abs().max() > 0
    assert seen["weak"].grad is None or not seen["weak"].grad.any()


def test_the_momentum_encoder_takes_no_gradient_and_follows_with_its_projection():
    driver = Driver(make(momentum_encoder=True, ema=0.5))
    task = driver.task
    kept = {name: value.clone() for name, value in task.teacher.state_dict().items()}
    for number in range(3):
        driver.step(number)
        momentum = min(0.5, (2 + number) / (11 + number))
        for name, value in task.classifier.state_dict().items():
            if not value.is_floating_point():
                kept[name] = value.clone()
                continue
            kept[name] = momentum * kept[name] + (1 - momentum) * value
    assert "projection.0.weight" in kept
    for name, value in task.teacher.state_dict().items():
        close(value, kept[name], 1e-5)
    assert all(parameter.grad is None for parameter in task.teacher.parameters())
    assert not task.teacher.training


def test_a_split_momentum_encoder_normalises_shuffled_eighths():
    """imagenet/Model.py on 8 devices: model.train(), and _batch_shuffle_ddp before m_encoder."""
    task = make(momentum_encoder=True, bn="split")
    assert task.teacher.training
    assert not task.eval().teacher.training
    task.train()
    seen = views(task, 0, labeled=2, unlabeled=15)  # 32 images, 4 on a device
    images = torch.cat([seen[name] for name in ("labeled", "weak", "second")])
    logits, rows = torch.empty(32, CLASSES), torch.empty(32, 4)
    for device in seen["order"].split(4):
        own = copy.deepcopy(task.teacher)
        features = own.backbone(images[device])
        logits[device], rows[device] = own.head(features), unit(own.projection(features))
    found = task.look(seen)
    close(found.steady, logits[:17], 1e-5)
    close(found.embeddings, rows[:17], 1e-5)
    close(found.second, rows[17:], 1e-5)


def test_the_queue_of_strong_views():
    driver = Driver(make(momentum_encoder=True, queue=7))
    latest = deque(maxlen=7)
    for number in range(4):
        seen = views(driver.task, number)
        teacher, labels = copy.deepcopy((driver.task.teacher, driver.task.labels))
        with torch.no_grad():
            features = teacher.backbone(torch.cat([seen["labeled"], seen["weak"]]))
            p = labels(
                teacher.head(features),
                unit(teacher.projection(features)),
                seen["classes"],
                seen["weights"],
            )
            rows = unit(teacher.projection(teacher.backbone(seen["second"])))
        latest.extend(torch.cat([rows, p], 1))
        driver.step(number)
    held = driver.task.past.written
    apart = torch.cdist(held, torch.stack(tuple(latest))).min(1).values
    assert len(held) == 7
    assert apart.max() < 1e-5


def test_labels_of_one_class_and_a_single_unlabelled_image():
    task = make(alignment=True)
    seen = views(task, 0, labeled=3, unlabeled=1)
    seen["classes"][:] = 2
    loss, figures = task(seen)
    loss.backward()
    assert torch.isfinite(loss)
    assert figures["edges"] == 1
    assert figures["graph_loss"].item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("momentum_encoder", [False, True])
def test_the_state_is_whole(momentum_encoder):
    options = {"momentum_encoder": momentum_encoder, "alignment": True, "ramp": 5}
    kept, renewed = (Driver(make(seed, **options)) for seed in (0, 5))
    for number in range(3):
        kept.step(number)
    renewed.task.load_state_dict(copy.deepcopy(kept.task.state_dict()))
    losses = [each.step(3)[0] for each in (kept, renewed)]
    assert torch.equal(*losses)
    one, two = (each.task.state_dict() for each in (kept, renewed))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert one["labels.means.pushed"] == 4


def test_classes_are_taken_for_equally_frequent_in_the_literatures_presets_only():
    assert not make().labels.alignment
    asked = {name: recipe.parameters.get("alignment") for name, recipe in comatch.RECIPES.items()}
    assert asked == {"cpu": None, "cifar": True, "imagenet": True}
    for recipe in comatch.RECIPES.values():
        comatch.build(Tiny(0), CLASSES, **recipe.parameters)


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": 0}, {"alpha": 1.5}, {"edge": 2}, {"queue": 0}, {"window": 1}, {"lam_c": -1}],
)
def test_parameters_out_of_range(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        NETWORKS.check("comatch", comatch, wrong)


def test_without_flips():
    task = make(flip=False)
    assert not any(view.flip for view in (task.weak, *task.strong))


# Two processes


def shared_loss(part):
    """Loss, gradient and memory of three steps on a part of the images."""
    layer = torch.nn.Linear(6, 4).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(3))
    model = layer
    if torch.distributed.is_initialized():
        model = torch.nn.parallel.DistributedDataParallel(layer)
    options = {"queue": 24, "alpha": 0.7, "temperature": 0.3, "window": 3}
    labels = PseudoLabels(CLASSES, 4, alignment=True, **options).double()
    losses = []
    for step in range(3):
        labeled, images, noise = (
            part(draws(10 * step + number, 4 * count, 6)) for number, count in enumerate((1, 2, 2))
        )
        logits = torch.cat([labeled[:, :CLASSES], images[:, :CLASSES]])
        first, second = unit(model(torch.cat([images, images + 0.3 * noise]))).chunk(2)
        weak = torch.cat([unit(labeled[:, 2:]), unit(images[:, 2:])])
        classes = torch.zeros(len(labeled), dtype=torch.int64)
        p = labels(logits, weak, classes, torch.ones(len(labeled)))
        graph = comatch_losses.pseudo_label_graph(p, shares(9, 2, CLASSES), 0.3)
        loss = comatch_losses.graph_loss(first, second, unit(draws(8, 2, 4)), graph, 0.2)
        loss.backward()
        losses.append(loss.detach())
        assert labels.memory.full == (step == 2)
        labels.after_step()
    return {
        "losses": torch.stack(losses),
        "gradient": layer.weight.grad,
        "state": labels.state_dict(),
    }


def work(number):
    return shared_loss(lambda rows: rows.chunk(2)[number])


@pytest.mark.slow
@needs_gloo
def test_two_processes(tmp_path):
    one, two = on_two_processes(work, tmp_path)
    alone = shared_loss(lambda rows: rows)
    close((one["losses"] + two["losses"]) / 2, alone["losses"], 1e-6)
    assert torch.equal(one["gradient"], two["gradient"])
    close(one["gradient"], alone["gradient"], 1e-6)
    for name, value in one["state"].items():
        assert torch.equal(value, two["state"][name])
    close(one["state"]["means.rows"], alone["state"]["means.rows"], 1e-6)
    assert one["state"]["memory.pushed"] == alone["state"]["memory.pushed"] == 36
    held, wanted = (found["state"]["memory.rows"] for found in (one, alone))
    apart = torch.cdist(held, wanted).min(1)
    assert sorted(apart.indices.tolist()) == list(range(24))  # in another order within a step
    assert apart.values.max() < 1e-6

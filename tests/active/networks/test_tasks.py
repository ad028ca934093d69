"""What strategies train on pictures: their losses by the papers' formulas, and that they fall."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from students import Loop, check_round_trip  # noqa: E402
from usl.active.networks import revival, tod  # noqa: E402
from usl.active.tasks import TASKS  # noqa: E402
from usl.core.errors import UsageError  # noqa: E402
from usl.core.methods import parameter_help  # noqa: E402
from usl.learning.backbone import new_backbone  # noqa: E402
from usl.learning.recipe import recipe_of  # noqa: E402
from usl.training.networks.fixmatch import FixMatch  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
FALLING = {
    "llal": "pair_loss",
    "mcdal": "auxiliary_loss",
    "revival": "labeled_loss",
    "tod": "consistency_loss",
    "vaal": "autoencoder_loss",
}
SMALL = {"vaal": {"width": 4}}


def make(name, seed=0, **parameters):
    backbone = new_backbone("compact", size=8, seed=seed)
    return TASKS.load(name).build(backbone, 3, seed=seed, **{**SMALL.get(name, {}), **parameters})


@pytest.fixture
def views_of():
    """The views of one batch of a task, always the same."""
    return lambda task: Loop(task).views(0)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def cross_entropies(logits, classes):
    return -np.log(softmax(logits)[np.arange(len(classes)), classes])


def arrays(*tensors):
    return [tensor.detach().double().numpy() for tensor in tensors]


def test_every_task_is_tested():
    assert set(FALLING) == set(TASKS.names())


@pytest.mark.parametrize("name", FALLING)
def test_every_option_of_a_task_has_a_help_text(name):
    module = TASKS.load(name)
    assert TASKS.parameters(module).keys() <= parameter_help(module.build).keys()


@pytest.mark.parametrize("name", FALLING)
def test_the_loss_that_it_adds_falls(name, views_of):
    task = make(name)
    views = views_of(task)
    # The losses that LLAL predicts change while the network learns: here it stays as it is.
    learns = task.prediction if name == "llal" else task
    optimizer = torch.optim.Adam(learns.parameters(), lr=2e-3)
    told = []
    for _ in range(12):
        loss, figures = task(views)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            task.after_step()
        told.append(float(figures[FALLING[name]]))
    assert np.mean(told[-3:]) < np.mean(told[:3])


@pytest.mark.parametrize("name", FALLING)
def test_it_goes_on_from_its_state(name):
    check_round_trip(lambda seed: make(name, seed), after=2, lr=1e-4)


@pytest.mark.parametrize("name", FALLING)
def test_the_published_preset_makes_steps(name):
    recipe = recipe_of(TASKS.load(name), name, "cifar")
    backbone = new_backbone(recipe.network, size=8, seed=0)
    loop = Loop(
        TASKS.load(name).build(backbone, 3, seed=0, **recipe.parameters), labeled=2, ratio=1
    )
    loop.optimizer = recipe.optimizer.build(loop.task)
    for step in range(2):
        assert torch.isfinite(loop.step(step)[0])


@pytest.mark.parametrize(
    ("name", "rates"),  # of each tenth of the training, as the papers and releases have it
    [
        ("llal", [0.1] * 8 + [0.01] * 2),
        ("tod", [0.1] * 8 + [0.01] * 2),
        ("mcdal", [0.1] * 3 + [0.02] * 3 + [0.004] * 2 + [0.0008] * 2),
        ("vaal", [5e-4] * 10),
    ],
)
def test_the_published_rates(name, rates):
    optimizer = TASKS.load(name).RECIPES["cifar"].optimizer
    assert [optimizer.rate(step, 10) for step in range(10)] == pytest.approx(rates)


def test_llal_adds_the_pair_loss_of_its_predictions(views_of):
    task = make("llal", lam=0.7, margin=0.5)
    views = views_of(task)
    views["classes"] = torch.tensor([0, 1, 2, 0])
    stages = task.classifier.backbone.stages(views["labeled"])
    logits, predicted = arrays(task.classifier(views["labeled"]), task.prediction(stages))
    losses = cross_entropies(logits, views["classes"].numpy())
    pairs = [
        max(0, -(1 if losses[i] > losses[3 - i] else -1) * (predicted[i] - predicted[3 - i]) + 0.5)
        for i in (0, 1)
    ]
    loss = task(views)[0].item()
    np.testing.assert_allclose(loss, losses.mean() + 0.7 * np.mean(pairs), 1e-4)


@pytest.mark.parametrize("step", [5, 6])
def test_llal_moves_the_network_by_its_predictions_until_60_percent(step, views_of):
    moved = []
    for lam in (0.0, 50.0):
        task = make("llal", lam=lam)
        views = views_of(task)  # of a training of 10 steps
        task.steps += step
        task(views)[0].backward()
        moved.append(task.classifier.backbone.network.stem[0].weight.grad)
    assert torch.equal(*moved) == (step >= 6)


def test_llal_needs_a_network_that_tells_its_stages():
    backbone = new_backbone("compact", size=8, seed=0)
    backbone.network = torch.nn.Identity()
    with pytest.raises(UsageError, match="Take compact, resnet18 or wrn28_2"):
        TASKS.load("llal").build(backbone, 3, seed=0)


def test_mcdal_learns_labels_and_drives_the_two_apart(views_of):
    task = make("mcdal")
    views = views_of(task)
    both = torch.cat([views["labeled"], views["weak"]])
    features = task.classifier.backbone(both)
    logits = arrays(task.classifier.classify(features), *task.others(features))
    classes = views["classes"].numpy()
    entropies = [cross_entropies(one[:4], classes).mean() for one in logits]
    p = [softmax(one[4:]) for one in logits]
    apart = sum(np.abs(p[i] - p[j]).mean() for i, j in ((0, 1), (0, 2), (1, 2)))
    wanted = entropies[0] + 2 * (entropies[1] + entropies[2]) - apart
    np.testing.assert_allclose(task(views)[0].item(), wanted, 1e-4)


def test_mcdal_wants_the_largest_sum_of_distances(views_of):
    task = make("mcdal").eval()
    images = views_of(task.eval())["weak"]
    task.eval()
    features = task.classifier.backbone(images)
    p = [softmax(one) for one in arrays(task.classifier.classify(features), *task.others(features))]
    naive = [
        sum(abs(p[a][i, c] - p[b][i, c]) for a, b in ((0, 1), (0, 2), (1, 2)) for c in range(3))
        for i in range(len(images))
    ]
    np.testing.assert_allclose(task.wanted(images).numpy(), naive, 1e-4)


def test_the_two_classifiers_of_mcdal_do_not_move_the_network(views_of):
    task = make("mcdal")
    views = views_of(task)
    features = task.classifier.backbone(torch.cat([views["labeled"], views["weak"]]))
    loss = torch.nn.functional.cross_entropy(
        task.classifier.classify(features)[:4], views["classes"]
    )
    weight = task.classifier.backbone.network.stem[0].weight
    (alone,) = torch.autograd.grad(loss, weight)
    task.load_state_dict(make("mcdal").state_dict())
    task(views)[0].backward()
    torch.testing.assert_close(weight.grad, alone, rtol=1e-4, atol=1e-6)


def test_tod_holds_the_outputs_together():
    rng = np.random.default_rng(0)
    z, held, average = rng.normal(size=(3, 5, 4))
    naive = np.mean((z - held) ** 2) + np.mean((held - average) ** 2)
    tensors = [torch.from_numpy(one) for one in (z, held, average)]
    np.testing.assert_allclose(float(tod.consistency(*tensors)), naive)


def test_tod_keeps_the_network_and_not_its_average(views_of):
    task = make("tod", lam=0.5)
    views = views_of(task)
    loss, figures = task(views)
    np.testing.assert_allclose(
        loss.item(), float(figures["labeled_loss"]) + 0.5 * float(figures["consistency_loss"])
    )
    assert task.kept is task.classifier


def test_vaal_trains_the_two_against_each_other(views_of):
    task = make("vaal")
    views = views_of(task)
    loss, figures = task(views)
    rest = {name: float(value) for name, value in figures.items()}
    np.testing.assert_allclose(loss.item(), sum(rest.values()), 1e-5)
    codes = []
    for name in ("", "_unlabeled"):
        pictures = task.autoencoder.scaled(views[f"plain{name}"])
        codes.append(task.autoencoder.code(pictures)[0])
    d = [1 / (1 + np.exp(-one)) for one in arrays(*(task.discriminator(code) for code in codes))]
    hidden = -np.log(d[0]).mean() - np.log(d[1]).mean()
    told = -np.log(d[0]).mean() - np.log(1 - d[1]).mean()
    np.testing.assert_allclose([rest["hiding_loss"], rest["telling_loss"]], [hidden, told], 1e-3)
    wanted = task.eval().wanted(views["plain_unlabeled"])
    code = task.autoencoder.code(task.autoencoder.scaled(views["plain_unlabeled"]))[0]
    (logits,) = arrays(task.discriminator(code))
    np.testing.assert_allclose(wanted.numpy(), 1 - 1 / (1 + np.exp(-logits)), 1e-4)


def test_the_discriminator_of_vaal_learns_in_every_second_step(views_of):
    task = make("vaal")
    views = views_of(task)
    parameters = [*task.discriminator.parameters()]
    for step in range(2):
        task.zero_grad(set_to_none=True)
        task.steps.fill_(step)
        task(views)[0].backward()
        assert all((one.grad is None) == (step == 1) for one in parameters)
        assert task.autoencoder.mean.weight.grad is not None


def test_virtual_labels_are_the_limit_of_spreading():
    rng = np.random.default_rng(0)
    features, told = rng.normal(size=(7, 4)), softmax(rng.normal(size=(7, 3)))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    edges = np.exp(unit @ unit.T / 0.3)
    np.fill_diagonal(edges, 0)
    degrees = edges.sum(axis=1)
    graph = edges / np.sqrt(np.outer(degrees, degrees))
    handed = told.copy()
    for _ in range(200):  # Zhou et al. 2004, section 2, step 3
        handed = 0.6 * graph @ handed + 0.4 * told
    found = revival.virtual_labels(torch.from_numpy(features), torch.from_numpy(told), 0.6, 0.3)
    np.testing.assert_allclose(found.numpy(), handed / handed.sum(axis=1, keepdims=True), 1e-6)


def test_without_spreading_revival_is_fixmatch(views_of):
    task = make("revival", spread=0.0, tau=0.4)
    plain = FixMatch(new_backbone("compact", size=8, seed=0), 3, seed=0, tau=0.4)
    views = views_of(task)
    torch.testing.assert_close(task(views)[0], plain.train()(views)[0])


def test_the_average_of_tod_begins_as_the_network_and_keeps_its_statistics(views_of):
    task = make("tod")
    before = {name: value.clone() for name, value in task.teacher.state_dict().items()}
    pictures = views_of(task)["weak"]
    torch.testing.assert_close(task.averaged(pictures), task.classifier(pictures))
    assert all(
        torch.equal(before[name], value) for name, value in task.teacher.state_dict().items()
    )
    assert not any(module.training for module in task.teacher.modules())

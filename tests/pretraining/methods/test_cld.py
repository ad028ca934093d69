from __future__ import annotations

import inspect

import pytest

torch = pytest.importorskip("torch")

from usl.core.errors import UsageError  # noqa: E402
from usl.core.methods import parameter_help  # noqa: E402
from usl.pretraining import grouping  # noqa: E402
from usl.pretraining.contract import METHODS  # noqa: E402
from usl.pretraining.methods import cld, moco, simclr  # noqa: E402


def small(backbone, **options):
    chosen = {"projection": 4, "clusters": 2, "queue": 8, "momentum": 0.9, **options}
    return cld.build(backbone, **chosen)


def unit(rows):
    return rows / rows.norm(dim=1, keepdim=True)


def written_out(rows, clusters, iterations):
    """k-means by loops over lists: labels, and the members of each cluster."""
    points = rows.tolist()
    centres = [list(point) for point in points[:clusters]]
    for _ in range(iterations):
        labels = []
        for point in points:
            distances = [
                sum((a - b) ** 2 for a, b in zip(point, centre, strict=True)) for centre in centres
            ]
            labels.append(distances.index(min(distances)))
        for number in range(clusters):
            members = [p for p, label in zip(points, labels, strict=True) if label == number]
            if members:
                centres[number] = [sum(column) / len(members) for column in zip(*members)]  # noqa: B905
    return labels, [
        [i for i, label in enumerate(labels) if label == number] for number in range(clusters)
    ]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("iterations", [1, 5])
def test_kmeans(draws, seed, iterations):
    rows = unit(draws(seed, 40, 3))
    labels, centroids, counts = grouping.kmeans(rows, 6, iterations)
    expected, members = written_out(rows, 6, iterations)
    assert labels.tolist() == expected
    assert counts.tolist() == [len(each) for each in members]
    for number, each in enumerate(members):
        torch.testing.assert_close(centroids[number], rows[each].mean(0))
    assert (centroids.norm(dim=1) < 1).all()  # not scaled back to unit length


def test_an_empty_cluster_waits_and_is_no_choice():
    # The second start equals the first, which wins every tie: cluster 1 never has a member.
    angles = torch.tensor([0.0, 0.0, 1.5, 0.0, 1.6], dtype=torch.float64)
    rows = torch.stack([angles.cos(), angles.sin()], 1).requires_grad_()
    labels, centroids, counts = grouping.kmeans(rows, 3, 5)
    assert labels.tolist() == [0, 0, 2, 0, 2]
    assert counts.tolist() == [3, 0, 2]
    assert torch.equal(centroids[1], torch.zeros(2))
    three = grouping.group_loss(rows, rows, 3, 5, 0.4)[0]
    logits = rows.detach() @ torch.stack([rows[[0, 1, 3]].mean(0), rows[[2, 4]].mean(0)]).T / 0.4
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 0, 1, 0, 1]))
    torch.testing.assert_close(three, expected)
    three.backward()
    assert rows.grad.isfinite().all()


def test_gradients_flow_through_centroids(draws):
    rows = unit(draws(0, 12, 3)).requires_grad_()
    labels, centroids, counts = grouping.kmeans(rows, 4, 5)
    weights = draws(1, 4, 3)
    (centroids * weights).sum().backward()
    expected = torch.stack([weights[label] / counts[label] for label in labels])
    torch.testing.assert_close(rows.grad, expected)


def group_by_hand(first, second, clusters, temperature):
    """1/2 [CE(g1 C2^T / T, l2) + CE(g2 C1^T / T, l1)], term by term; the share of hits."""
    total, hits = 0.0, 0
    one, other = unit(first), unit(second)
    for rows, seen in ((one, other), (other, one)):
        labels, members = written_out(seen, clusters, 5)
        centroids = [sum(seen[i] for i in each) / len(each) if each else None for each in members]
        for row, label in zip(rows, labels, strict=True):
            scores = {
                number: torch.dot(row, centroid) / temperature
                for number, centroid in enumerate(centroids)
                if centroid is not None
            }
            below = sum(torch.exp(score) for score in scores.values())
            total = total - torch.log(torch.exp(scores[label]) / below)
            hits += max(scores, key=lambda number: scores[number].item()) == label
    return total / (2 * len(first)), hits / (2 * len(first))


@pytest.mark.parametrize("temperature", [0.4, 0.1])
def test_group_loss_and_gradient(draws, temperature):
    first = draws(0, 14, 5)
    second = first + 0.6 * draws(1, 14, 5)
    one = [first.clone().requires_grad_(), second.clone().requires_grad_()]
    two = [first.clone().requires_grad_(), second.clone().requires_grad_()]
    loss, accuracy = grouping.group_loss(*one, 4, 5, temperature)
    expected, share = group_by_hand(*two, 4, temperature)
    assert loss.dtype == torch.float64
    assert loss.item() == pytest.approx(expected.item(), abs=1e-9)
    assert 0 < share < 1
    assert accuracy.item() == pytest.approx(share, abs=1e-6)
    loss.backward()
    expected.backward()
    for found, wanted in zip(one, two, strict=True):
        torch.testing.assert_close(found.grad, wanted.grad, atol=1e-9, rtol=1e-9)


def test_sum_of_terms_with_simclr(tiny, drive):
    driver = drive(small(tiny(0), lam=0.7), batch=6)
    task, views = driver.task, driver.views(0)
    assert set(views) == {"first", "second"}
    features = task.backbone(torch.cat([views["first"], views["second"]]))
    instance = simclr.nt_xent(*task.instance_head(features).chunk(2), 0.2)[0]
    group = grouping.group_loss(*task.group_head(features).chunk(2), 2, 5, 0.4)[0]
    loss, figures = driver.step(0)
    torch.testing.assert_close(loss, (instance + 0.7 * group).detach())
    torch.testing.assert_close(figures["instance_loss"], instance.detach())
    torch.testing.assert_close(figures["group_loss"], group.detach())
    assert not any(figure.requires_grad for figure in figures.values())


def test_sum_of_terms_with_moco(tiny, drive):
    driver = drive(small(tiny(0), instance="moco", lam=0.7))
    task, views = driver.task, driver.views(0)
    queue = task.contrast.queue.rows.clone()
    features = torch.cat([task.backbone(views[name]) for name in ("first", "second")])
    key = task.contrast.encoder(views["third"])
    terms = [
        moco.info_nce(query, key, queue, 0.2)[0] for query in task.instance_head(features).chunk(2)
    ]
    group = grouping.group_loss(*task.group_head(features).chunk(2), 2, 5, 0.4)[0]
    loss, _ = driver.step(0)
    torch.testing.assert_close(loss, ((terms[0] + terms[1]) / 2 + 0.7 * group).detach())
    torch.testing.assert_close(task.contrast.queue.rows, torch.cat([key, queue[4:]]))
    assert task.contrast.queue.pushed == 4


@pytest.mark.parametrize("instance", ["simclr", "moco"])
def test_both_branches_train_the_backbone(tiny, drive, instance):
    driver = drive(small(tiny(0), instance=instance))
    driver.task(driver.views(0))[0].backward()
    for module in (driver.task.backbone, driver.task.instance_head, driver.task.group_head):
        assert all(p.grad.abs().sum() > 0 for p in module.parameters() if p.ndim > 1)
    moved = driver.task.contrast
    assert moved is None or not any(p.requires_grad for p in moved.parameters())


@pytest.mark.parametrize("instance", ["simclr", "moco"])
@pytest.mark.parametrize("normalized", [False, True])
def test_round_trip(tiny, round_trip, instance, normalized):
    round_trip(
        lambda seed: small(
            tiny(seed), seed=seed, instance=instance, normalized=normalized, layers=1
        )
    )
    round_trip(lambda seed: small(tiny(seed), seed=seed, instance=instance, shared=True))


def test_the_hidden_layer_may_be_shared(tiny, drive):
    task = small(tiny(0), instance="moco", shared=True, normalized=True, bn="plain")
    assert [type(layer).__name__ for layer in task.hidden] == ["Linear", "ReLU"]
    heads = (task.instance_head, task.group_head, task.contrast.encoder.network[-1])
    for head in heads:
        assert [type(layer).__name__ for layer in head] == ["NormalizedLinear"]
    driver = drive(task)
    views, queue = driver.views(0), task.contrast.queue.rows.clone()
    rows = torch.cat([task.hidden(task.backbone(views[name])) for name in ("first", "second")])
    key = task.contrast.encoder(views["third"])
    instance = moco.info_nce(task.instance_head(rows), key.tile(2, 1), queue, 0.2)[0]
    group = grouping.group_loss(*task.group_head(rows).chunk(2), 2, 5, 0.4)[0]
    loss, _ = driver.step(0)
    torch.testing.assert_close(loss, (instance + 0.25 * group).detach())
    kept = [task.contrast.encoder.network[1].weight.clone(), task.hidden[0].weight]
    assert not torch.equal(*kept)  # the key's hidden layer follows
    task.contrast.after_step(torch.nn.Sequential(task.backbone, *task.hidden, task.instance_head))
    assert not torch.equal(task.contrast.encoder.network[1].weight, kept[0])


def test_groups_may_be_looked_for_in_parts(tiny):
    """As on two devices of three images: no more clusters than these, the mean of both."""
    task = cld.build(tiny(0), clusters=5, parts=2)
    first, second = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))
    each = [grouping.group_loss(first[i : i + 3], second[i : i + 3], 3, 5, 0.4) for i in (0, 3)]
    for found, wanted in zip(task.grouped(first, second), zip(*each, strict=True), strict=True):
        torch.testing.assert_close(found, torch.stack(wanted).mean())


def test_split_shuffles_the_third_view(tiny, drive):
    driver = drive(small(tiny(0), instance="moco", bn="split", splits=2), batch=8)
    assert driver.views(0)["order"].sort().values.tolist() == list(range(8))
    assert torch.isfinite(driver.step(0)[0])


def test_erased_boxes_have_the_mean_colour(tiny):
    backbone = tiny(0)
    backbone.mean = torch.tensor([0.25, 0.5, 0.75]).view(1, 3, 1, 1)
    assert small(backbone, instance="moco", erase=True).augmentation.erase == (0.25, 0.5, 0.75)
    assert small(backbone, instance="moco").augmentation.erase is None


def test_more_clusters_than_images(tiny, drive):
    with pytest.raises(UsageError, match=r"clusters: 5 .* 4 images"):
        drive(small(tiny(0), clusters=5)).step(0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("lam", -1), ("clusters", 1), ("iterations", 0), ("group_temperature", 0), ("instance", "x")],
)
def test_parameters_out_of_range(name, value):
    with pytest.raises(UsageError, match=f"{name}: "):
        METHODS.check("cld", cld, {name: value})


@pytest.mark.parametrize("module", [cld, moco, simclr])
def test_every_parameter_has_help(module):
    annotated = set(inspect.signature(module.build).parameters) - {"backbone"}
    assert set(parameter_help(module.build)) == annotated

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from usl.core.errors import UsageError  # noqa: E402
from usl.pretraining.contract import METHODS  # noqa: E402
from usl.pretraining.methods import moco  # noqa: E402
from usl.pretraining.momentum import KeyEncoder, KeyQueue, fitting_queue, in_parts  # noqa: E402


def small(backbone, **options):
    return moco.build(backbone, **{"projection": 4, "queue": 8, "momentum": 0.9, **options})


def unit(rows):
    return rows / rows.norm(dim=1, keepdim=True)


def test_loss_and_gradient(draws):
    query, noise, queue = draws(0, 5, 4), draws(1, 5, 4), unit(draws(2, 7, 4))
    temperature = 0.2
    found, wanted = (query.clone().requires_grad_() for _ in range(2))
    key = query + 0.8 * noise
    loss, accuracy = moco.info_nce(found, key, queue, temperature)
    total, hits = 0.0, 0
    for q, k in zip(wanted, key, strict=True):
        q, k = q / q.norm(), k / k.norm()
        own = torch.dot(q, k)
        others = [torch.dot(q, row) for row in queue]
        below = sum(torch.exp(value / temperature) for value in [own, *others])
        total = total - torch.log(torch.exp(own / temperature) / below)
        hits += own.item() > max(value.item() for value in others)
    assert loss.dtype == torch.float64
    assert loss.item() == pytest.approx(total.item() / 5, abs=1e-9)
    assert 0 < hits < 5
    assert accuracy.item() == pytest.approx(hits / 5)
    loss.backward()
    (total / 5).backward()
    torch.testing.assert_close(found.grad, wanted.grad, atol=1e-9, rtol=1e-9)


def test_queue_begins_with_unit_rows_and_is_part_of_the_state():
    queue = KeyQueue(50, 6, torch.Generator().manual_seed(0))
    torch.testing.assert_close(queue.rows.norm(dim=1), torch.ones(50))
    assert set(queue.state_dict()) == {"rows", "pushed"}
    assert queue.state_dict()["pushed"].dtype == torch.int64


def test_queue_holds_the_latest_keys_and_wraps_around():
    queue = KeyQueue(6, 2, torch.Generator().manual_seed(0))
    start = queue.rows.clone()

    def batch(step):
        return torch.tensor([[2.0 * step, 0.0], [2.0 * step, 1.0]])

    queue.push(batch(1))
    assert torch.equal(queue.rows, torch.cat([batch(1), start[2:]]))
    assert queue.pushed == 2
    for step in (2, 3, 4):
        queue.push(batch(step))
    assert torch.equal(queue.rows, torch.cat([batch(4), batch(2), batch(3)]))
    assert queue.pushed % 6 == 2


def test_a_queue_of_a_former_checkpoint_goes_on_where_it_was():
    queue = KeyQueue(6, 2, torch.Generator().manual_seed(0))
    queue.load_state_dict({"rows": torch.zeros(6, 2), "pointer": torch.tensor(4)})
    queue.push(torch.ones(3, 2))
    assert queue.rows[:, 0].tolist() == [1, 0, 0, 0, 1, 1]


def test_the_task_queues_the_keys_of_the_second_view(tiny, drive):
    driver = drive(small(tiny(0), bn="plain"))
    contrast = driver.task.contrast
    expected = contrast.queue.rows.clone()
    for step in range(3):
        views = driver.views(step)
        place = 4 * (step % 2)
        with torch.no_grad():
            expected[place : place + 4] = unit(contrast.encoder.network(views["second"]))
        driver.step(step)
        torch.testing.assert_close(contrast.queue.rows, expected)
        assert contrast.queue.pushed == 4 * (step + 1)


def test_the_loss_is_against_the_queue_before_the_step(tiny, drive):
    driver = drive(small(tiny(0), bn="plain"))
    driver.step(0)
    task, views = driver.task, driver.views(1)
    with torch.no_grad():
        query, key = (
            task.head(task.backbone(views["first"])),
            task.contrast.encoder(views["second"]),
        )
    expected = moco.info_nce(query, key, task.contrast.queue.rows.clone(), 0.2)[0]
    torch.testing.assert_close(driver.step(1)[0], expected)


def test_eman_averages_weights_and_statistics(tiny, drive):
    driver = drive(small(tiny(0), momentum=0.75))
    task = driver.task
    names = list(tiny(0).state_dict())
    kept = {name: value.clone().double() for name, value in task.backbone.state_dict().items()}
    for step in range(3):
        driver.step(step)
        for name, value in task.backbone.state_dict().items():
            kept[name] = value if "tracked" in name else 0.75 * kept[name] + 0.25 * value.double()
    found = task.contrast.encoder.network[0].state_dict()
    assert names == list(found)
    assert not torch.allclose(found["normalisation.running_mean"], torch.zeros(6))
    assert found["normalisation.num_batches_tracked"] == 3
    for name in names:
        torch.testing.assert_close(found[name].double(), kept[name].double(), atol=1e-6, rtol=1e-5)
    for mine, theirs in zip(
        task.contrast.encoder.network[1].parameters(), task.head.parameters(), strict=True
    ):
        assert not torch.equal(mine, theirs)


def test_the_key_encoder_takes_no_gradient(tiny, drive):
    driver = drive(small(tiny(0)))
    driver.task(driver.views(0))[0].backward()
    assert all(p.grad is None for p in driver.task.contrast.parameters())
    assert all(p.grad is not None for p in driver.task.backbone.parameters())


def test_eman_keys_do_not_depend_on_the_batch(tiny):
    encoder = KeyEncoder(tiny(0), 0.9, "eman", 8).train()
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(encoder(images)[:1], encoder(images[:1]))
    assert not encoder.network.normalisation.training
    plain = KeyEncoder(tiny(0), 0.9, "plain", 8).train()
    assert not torch.allclose(plain(images)[:2], plain(images[:2]), atol=1e-3)


def test_split_normalises_in_parts(tiny):
    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    split = KeyEncoder(tiny(0), 0.9, "split", 3).train()
    plain = KeyEncoder(tiny(0), 0.9, "plain", 3).train()
    expected = torch.cat([plain(images[start : start + 2]) for start in (0, 2, 4)])
    torch.testing.assert_close(split(images), expected)
    with pytest.raises(UsageError, match=r"splits: .*4 images in 3 parts.* 6 or more"):
        split(images[:4])


def test_split_normalises_the_queries_in_parts_too(tiny, drive):
    driver = drive(small(tiny(0), bn="split", splits=2), batch=8)
    task, views = driver.task, driver.views(0)
    queue = task.contrast.queue.rows.clone()
    fresh = tiny(0).train()
    queries = torch.cat([task.head(fresh(part)) for part in views["first"].split(4)])
    shuffled = views["second"][views["order"]]
    keys = unit(torch.cat([task.head(fresh(part)) for part in shuffled.split(4)]).detach())
    keys = keys[[views["order"].tolist().index(i) for i in range(8)]]
    expected = moco.info_nce(queries, keys, queue, 0.2)[0]
    torch.testing.assert_close(driver.step(0)[0], expected.detach())
    torch.testing.assert_close(task.contrast.queue.rows, keys)


def test_the_order_is_a_shuffle_of_each_step(tiny, drive):
    driver = drive(small(tiny(0), bn="split", splits=2), batch=8)
    orders = [driver.views(step)["order"] for step in range(2)]
    assert all(order.sort().values.tolist() == list(range(8)) for order in orders)
    assert not torch.equal(*orders)
    assert torch.equal(orders[0], driver.views(0)["order"])
    assert "order" not in drive(small(tiny(0), bn="plain")).views(0)
    both = drive(small(tiny(0), bn="split", splits=2, symmetric=True)).views(0)
    assert len(both["order"]) == 8


def test_running_statistics_are_the_mean_of_the_parts(tiny):
    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    network = tiny(0).train()
    in_parts(network, images, 3)
    found = []
    for part in images.split(2):
        alone = tiny(0).train()
        alone(part)
        found.append(alone.normalisation)
    norm = network.normalisation
    means = torch.stack([each.running_mean for each in found]).mean(0)
    torch.testing.assert_close(norm.running_mean, means)
    variances = torch.stack([each.running_var for each in found]).mean(0)
    torch.testing.assert_close(norm.running_var, variances)


def test_one_layer(tiny):
    assert [type(layer).__name__ for layer in small(tiny(0), layers=1).head] == ["Linear"]


def test_evaluation_and_back(tiny):
    task = small(tiny(0), bn="plain")
    task.eval()
    assert not task.contrast.encoder.network[0].normalisation.training
    task.train()
    assert task.contrast.encoder.network[0].normalisation.training


def test_symmetric(tiny, drive):
    driver = drive(small(tiny(0), symmetric=True))
    task, views = driver.task, driver.views(0)
    queue = task.contrast.queue.rows.clone()
    queries = task.head(task.backbone(torch.cat([views["first"], views["second"]])))
    keys = [task.contrast.encoder(views[name]) for name in ("second", "first")]
    halves = [
        moco.info_nce(query, key, queue, 0.2)[0]
        for query, key in zip(queries.chunk(2), keys, strict=True)
    ]
    torch.testing.assert_close(driver.step(0)[0], (halves[0] + halves[1]).detach() / 2)
    torch.testing.assert_close(task.contrast.queue.rows, torch.cat(keys))


@pytest.mark.parametrize("bn", ["eman", "split", "plain"])
def test_round_trip(tiny, round_trip, bn):
    round_trip(lambda seed: small(tiny(seed), seed=seed, bn=bn, splits=2))


@pytest.mark.parametrize(
    ("queue", "batch", "nearest"), [(10, 4, 12), (9, 4, 8), (2, 4, 4), (65536, 96, 65568)]
)
def test_queue_that_does_not_fit(tiny, drive, queue, batch, nearest):
    driver = drive(small(tiny(0), queue=queue), batch=batch)
    with pytest.raises(UsageError, match=f"queue: {queue} .* {batch} keys.*queue={nearest}"):
        driver.step(0)
    drive(small(tiny(0), queue=nearest), batch=batch).step(0)


def test_symmetric_needs_twice_the_batch(tiny, drive):
    with pytest.raises(UsageError, match="8 keys a step"):
        drive(small(tiny(0), queue=12, symmetric=True)).step(0)


def test_fitting_queue_is_no_larger_than_the_collection():
    assert fitting_queue(65536, 256) == 65536
    assert fitting_queue(65536, 256, images=50_000) == 49_920
    assert fitting_queue(65536, 256, images=100) == 256
    for queue in range(1, 40):
        distances = {abs(queue - 7 * times): 7 * times for times in range(1, 10)}
        assert fitting_queue(queue, 7) == distances[min(distances)]


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", 0), ("momentum", 1.0), ("momentum", math.nan), ("queue", 0), ("bn", "emam")],
)
def test_parameters_out_of_range(name, value):
    with pytest.raises(UsageError, match=f"{name}: "):
        METHODS.check("moco", moco, {name: value})

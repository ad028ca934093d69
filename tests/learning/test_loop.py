"""The loop: steps, resume to the bit, interruption, records, and what goes wrong."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors import safe_open  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from usl.core.errors import DataError, TrainingFailedError, UsageError, UslWarning  # noqa: E402
from usl.learning.batches import Shuffled, part_of, step_generator  # noqa: E402
from usl.learning.ema import follow, teacher_of  # noqa: E402
from usl.learning.hardware import Hardware  # noqa: E402
from usl.learning.log import METRICS, read_records  # noqa: E402
from usl.learning.loop import Task, run_loop  # noqa: E402
from usl.learning.loop_options import CHECKPOINT, LoopOptions  # noqa: E402
from usl.learning.optim import Optimizer  # noqa: E402

CPU = Hardware("cpu", "32")


class Regression(Task):
    """A small network with batch normalisation, a teacher and a queue, trained on noisy views."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(0)
            self.net = torch.nn.Sequential(
                torch.nn.Linear(6, 8),
                torch.nn.BatchNorm1d(8),
                torch.nn.ReLU(),
                torch.nn.Linear(8, 1),
            )
        self.teacher = teacher_of(self.net)
        self.register_buffer("queue", torch.zeros(16))

    def views(self, batch, generator):
        noise = torch.randn(batch["x"].shape, generator=generator)
        return {"x": batch["x"] + 0.1 * noise, "y": batch["y"]}

    def forward(self, views):
        out = self.net(views["x"])[:, 0]
        self.queue.copy_(torch.cat([out.detach(), self.queue])[:16])
        loss = (out - views["y"]).square().mean()
        return loss, {"spread": out.detach().std()}

    def after_step(self):
        follow(self.teacher, self.net, 0.9, buffers="average")


class Data:
    """Batches of a fixed linear problem."""

    def __init__(self, n=64, batch=16, poison=None):
        rng = np.random.default_rng(3)
        self.x = torch.from_numpy(rng.standard_normal((n, 6)).astype(np.float32))
        self.y = self.x @ torch.arange(6.0) / 6
        self.order = Shuffled(n, batch, seed=5)
        self.poison = poison

    def __call__(self, step, rank, ranks):
        rows = part_of(self.order.rows(step), rank, ranks)
        x = self.x[rows].clone()
        if step == self.poison:
            x[0] = torch.inf
        return {"x": x, "y": self.y[rows], "rows": torch.from_numpy(rows)}


def train(steps=24, folder=None, optimizer=None, task=None, data=None, **more):
    task = task or Regression()
    options, more = LoopOptions.taken_from({"hardware": CPU, **more})
    records = run_loop(
        task,
        data or Data(),
        steps=steps,
        optimizer=optimizer or Optimizer("sgd", lr=0.05, warmup=0.1),
        seed=1,
        folder=folder,
        options=options,
        log_every=4,
        **more,
    )
    return task, records


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a)


def test_the_loss_falls_and_is_recorded(tmp_path):
    _, records = train(80, tmp_path)
    assert [record["step"] for record in records] == list(range(4, 84, 4))
    assert records[-1]["loss"] < 0.5 * records[0]["loss"]
    assert {"spread", "lr", "seconds", "wait_share", "augment_share", "keep_share"} <= {*records[0]}
    lines = (tmp_path / METRICS).read_text().splitlines()
    assert [json.loads(line) for line in lines] == records


class StopsAt(Data):
    """Sends this process a signal while the batch after a given step is loaded."""

    def __init__(self, step):
        super().__init__()
        self.stop = step

    def __call__(self, step, rank, ranks):
        if step == self.stop:
            os.kill(os.getpid(), signal.SIGINT)
        return super().__call__(step, rank, ranks)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "lars"])
@pytest.mark.parametrize("stop", [1, 7, 20])  # a signal during the last step would stop nothing
def test_stopping_and_resuming_changes_nothing(tmp_path, name, stop):
    optimizer = Optimizer(name, lr=0.02, weight_decay=1e-3)
    whole, records = train(optimizer=optimizer)
    with pytest.raises(KeyboardInterrupt):
        train(folder=tmp_path, optimizer=optimizer, data=StopsAt(stop))
    resumed, later = train(folder=tmp_path, optimizer=optimizer, resume=True)
    assert same(whole, resumed)
    assert later[-1]["loss"] == pytest.approx(records[-1]["loss"], rel=0.5)
    assert [r["step"] for r in later] == sorted({r["step"] for r in later})


def test_a_stopped_training_says_how_it_goes_on_if_it_can(tmp_path):
    with pytest.raises(KeyboardInterrupt, match=r"Stopped at step \d+ of 24; .* Say please."):
        train(folder=tmp_path, data=StopsAt(5), go_on="Say please.")
    with pytest.raises(KeyboardInterrupt, match=r"Stopped at step \d+ of 24\.$"):
        train(data=StopsAt(5), go_on="Say please.")


def test_equal_seeds_give_equal_weights():
    assert same(train()[0], train()[0])


def test_the_former_signal_handler_is_back(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    train(4)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_loss_that_is_not_finite_names_step_images_and_checkpoint(tmp_path):
    data = Data(poison=9)
    ids = [f"photo{row}.jpg" for row in range(64)]
    with pytest.raises(TrainingFailedError) as error:
        train(folder=tmp_path, data=data, ids=ids, checkpoint_minutes=0)
    message = str(error.value)
    first = ids[int(data(9, 0, 1)["rows"][0])]
    assert "step 10" in message
    assert first in message
    assert str(tmp_path / CHECKPOINT) in message
    resumed, _ = train(folder=tmp_path, resume=True)  # from the last good step, on good data
    assert all(torch.isfinite(value).all() for value in resumed.state_dict().values())


def test_accumulated_micro_batches_give_the_gradient_of_the_whole():
    class Plain(Regression):  # batch normalisation and noise depend on the division
        def views(self, batch, generator):
            return batch

        def forward(self, views):
            loss = (self.net[3](views["x"] @ torch.ones(6, 8)) - views["y"][:, None]).square()
            return loss.mean(), {}

    whole, parts = train(3, task=Plain())[0], train(3, task=Plain(), accumulate=4)[0]
    torch.testing.assert_close(whole.net[3].weight, parts.net[3].weight, rtol=1e-5, atol=1e-6)


def test_clipping_bounds_the_step():
    start = Regression().net[0].weight.detach().clone()
    optimizer = Optimizer("sgd", lr=1.0, momentum=0.0, weight_decay=0.0, schedule="constant")
    task, _ = train(1, optimizer=optimizer, clip=1e-3)
    moved = (task.net[0].weight - start).norm()
    assert 0 < moved <= 1.01e-3


def test_the_monitor_sees_evaluation_mode_and_joins_the_record():
    modes = []

    def monitor(task):
        modes.append(task.training)
        return {"watched": 1.0}

    task, records = train(8, monitor=monitor, monitor_every=4)
    assert modes == [False, False]
    assert [r["watched"] for r in records] == [1.0, 1.0]
    assert not task.training


def test_a_training_that_another_processor_began_is_told_of(tmp_path, monkeypatch, recwarn):
    from usl.learning import checkpoint

    train(2, tmp_path)
    train(2, tmp_path, resume=True)
    assert not [one for one in recwarn if issubclass(one.category, UslWarning)]
    monkeypatch.setattr(checkpoint, "kernel", lambda: {"blas": ["openblas 0 Zen"], "torch": "AVX"})
    with pytest.warns(UslWarning, match=r"safetensors: the training began on .* kind .*Zen now"):
        train(2, tmp_path, resume=True)


def test_another_training_cannot_be_resumed(tmp_path):
    train(4, tmp_path, settings={"method": "a"})
    with pytest.raises(UsageError, match="method is 'a', now it would be 'b'"):
        train(4, tmp_path, settings={"method": "b"}, resume=True)


def test_damaged_or_missing_checkpoints_are_named(tmp_path):
    with pytest.raises(DataError, match="no checkpoint to resume from"):
        train(4, tmp_path, resume=True)
    train(4, tmp_path)
    file = tmp_path / CHECKPOINT
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(DataError, match="damaged"):
        train(4, tmp_path, resume=True)


def test_no_flipped_bit_of_a_checkpoint_is_trained_on(tmp_path):
    train(steps=8, folder=tmp_path)
    file = tmp_path / CHECKPOINT
    content = file.read_bytes()
    name = content.index(b'"checksum"')
    for place in [*range(9, len(content), len(content) // 100), *range(name, name + 45, 3)]:
        other = bytearray(content)
        other[place] ^= 1
        file.write_bytes(other)
        with pytest.raises(DataError, match="is damaged"):
            train(steps=8, folder=tmp_path, resume=True)


def test_a_checkpoint_without_a_checksum_is_gone_on_with(tmp_path):
    train(steps=8, folder=tmp_path)
    file = tmp_path / CHECKPOINT
    with safe_open(file, framework="pt") as stored:
        metadata = stored.metadata()
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    assert "checksum" in metadata
    save_file(tensors, file, metadata={"usl": metadata["usl"]})
    train(steps=8, folder=tmp_path, resume=True)


def test_a_damaged_line_ends_the_records(tmp_path):
    records = tmp_path / METRICS
    records.write_bytes(b'{"step": 1}\n{"step": 2, "loss": \xff}\n{"step": 3}\n')
    assert read_records(records) == [{"step": 1}]
    for line in (b"[1]", b"5", b'{"loss": 1}', b"[" * 100_000, b'{"step": "2"}'):
        records.write_bytes(b'{"step": 1}\n' + line)
        assert read_records(records) == [{"step": 1}]


def test_an_interrupted_write_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    train(4, tmp_path)
    before = (tmp_path / CHECKPOINT).read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("usl.core.files.os.fsync", full)
    with pytest.raises(DataError, match="disk is full"):
        train(8, tmp_path)
    monkeypatch.undo()
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert not list(tmp_path.glob("*.tmp"))


def test_unknown_devices_and_precisions_are_refused():
    with pytest.raises(UsageError, match="precision"):
        Hardware("cpu", "8").fabric()
    with pytest.raises(UsageError, match="device"):
        Hardware("gpus", "32").fabric()


def test_tensorboard_events_are_written(tmp_path):
    pytest.importorskip("tensorboard")
    train(8, tmp_path, tensorboard=True)
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_rows_of_an_epoch_are_all_different():
    order = Shuffled(10, 3, seed=0)
    assert order.per_epoch == 3
    epoch = np.concatenate([order.rows(step) for step in range(3)])
    assert len(np.unique(epoch)) == 9
    assert not np.array_equal(order.rows(0), order.rows(3))
    np.testing.assert_array_equal(order.rows(1), Shuffled(10, 3, seed=0).rows(1))


@pytest.mark.parametrize(("n", "batch"), [(1, 1), (5, 6), (5, 1)])
def test_batches_that_cannot_be_are_refused(n, batch):
    with pytest.raises(UsageError):
        Shuffled(n, batch, seed=0)
    with pytest.raises(UsageError, match="divided among 2"):
        part_of(np.arange(3), 0, 2)


def test_generators_differ_by_step_and_rank():
    draws = {
        float(torch.rand((), generator=step_generator(s, step, rank)))
        for s in (0, 1)
        for step in (0, 1)
        for rank in (0, 1)
    }
    assert len(draws) == 8


def test_follow_moves_by_hand_and_treats_buffers_as_told():
    student = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    teacher = teacher_of(student)
    old = {name: value.clone() for name, value in teacher.state_dict().items()}
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(1.0)
        student(torch.randn(8, 2) * 3 + 1)
    follow(teacher, student, 0.75, buffers="average")
    new = student.state_dict()
    for name, value in teacher.state_dict().items():
        expected = new[name] if "num" in name else 0.75 * old[name] + 0.25 * new[name]
        torch.testing.assert_close(value, expected)
    follow(teacher, student, 0.75, buffers="copy")
    assert torch.equal(teacher[1].running_mean, student[1].running_mean)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("cosine", [1.0, 0.5 * (1 + np.cos(np.pi / 2)), 0.5 * (1 + np.cos(0.99 * np.pi))]),
        ("fixmatch", [1.0, np.cos(7 * np.pi / 32), np.cos(0.99 * 7 * np.pi / 16)]),
        ("steps", [1.0, 0.1, 0.01]),
        ("fifths", [1.0, 0.2, 0.04]),
        ("constant", [1.0, 1.0, 1.0]),
    ],
)
def test_schedules(schedule, expected):
    optimizer = Optimizer(lr=1.0, schedule=schedule, milestones=(0.3, 0.8))
    assert [optimizer.rate(s, 100) for s in (0, 50, 99)] == pytest.approx(expected)
    rising = [Optimizer(lr=1.0, warmup=0.1).rate(s, 100) for s in range(12)]
    assert rising == sorted(rising[:11]) + rising[11:]


def test_everything_decays_where_a_release_has_it_so():
    module = Regression()
    groups = Optimizer("sgd", weight_decay=0.1, decay_all=True).build(module).param_groups
    assert {group["weight_decay"] for group in groups} == {0.1}
    every = [one for one in module.parameters() if one.requires_grad]
    assert sum(len(group["params"]) for group in groups) == len(every)


def test_biases_and_normalisation_do_not_decay():
    groups = Optimizer("lars", weight_decay=0.1).build(Regression()).param_groups
    assert groups[0]["weight_decay"] == 0.1
    assert groups[0]["always_adapt"] is True
    assert groups[1]["weight_decay"] == 0
    assert groups[1]["always_adapt"] is False
    assert all(p.ndim > 1 for p in groups[0]["params"])
    assert sum(len(g["params"]) for g in groups) == 6  # the teacher takes no gradient


def test_lars_scales_by_the_trust_ratio_even_without_decay():
    layer = torch.nn.Linear(3, 2)
    start = layer.weight.detach().clone()
    stepper = Optimizer("lars", lr=0.5, weight_decay=0.0, momentum=0.0).build(layer)
    layer.weight.grad = torch.full((2, 3), 4.0)
    layer.bias.grad = torch.full((2,), 4.0)
    bias = layer.bias.detach().clone()
    stepper.step()
    ratio = 0.001 * start.norm() / layer.weight.grad.norm()
    torch.testing.assert_close(layer.weight.detach(), start - 0.5 * ratio * 4.0)
    torch.testing.assert_close(layer.bias.detach(), bias - 0.5 * 4.0)

"""How a training runs on this machine, among the keywords of a training."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys

import pytest

from usl.core.errors import UsageError
from usl.core.methods import parameter_help
from usl.learning.hardware import Hardware
from usl.learning.loop_options import LoopOptions


def test_options_are_taken_from_the_keywords_and_others_are_left():
    given = {"accumulate": 2, "tau": 0.5, "resume": True, "queue": 8}
    options, rest = LoopOptions.taken_from(given)
    assert options == LoopOptions(accumulate=2, resume=True)
    assert rest == {"tau": 0.5, "queue": 8}
    assert given["accumulate"] == 2  # as it was
    assert LoopOptions.taken_from({}) == (LoopOptions(), {})


def test_hardware_gives_device_and_precision():
    options, rest = LoopOptions.taken_from({"hardware": Hardware("cpu", "32"), "clip": 1.0})
    assert options == LoopOptions(device="cpu", precision="32", clip=1.0)
    assert options.hardware == Hardware("cpu", "32")
    assert rest == {}
    assert LoopOptions.taken_from({"hardware": None})[0].hardware == Hardware()


def test_hardware_and_a_device_are_too_many():
    with pytest.raises(UsageError, match="device: given by hardware already"):
        LoopOptions.taken_from({"hardware": Hardware("cpu"), "device": "cuda"})


def test_they_are_keywords_that_do_not_change():
    with pytest.raises(TypeError):
        LoopOptions("cpu")
    with pytest.raises(dataclasses.FrozenInstanceError):
        LoopOptions().accumulate = 2
    assert parameter_help(LoopOptions).keys() == inspect.signature(LoopOptions).parameters.keys()


def test_the_command_line_reads_them_without_torch():
    code = (
        "import sys, usl.learning.loop_options, usl.learning.recipe, usl.pretraining.pretrain\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_batch_statistics_of_all_processes_need_gpus():
    from types import SimpleNamespace

    import torch
    from torch import nn

    from usl.core.errors import UsageError
    from usl.learning.loop import synchronise

    task = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyBatchNorm1d())
    task(torch.rand(2, 3, 5, 5))
    with pytest.raises(UsageError, match="sync_bn: needs GPUs, this training runs on cpu"):
        synchronise(task, SimpleNamespace(device=torch.device("cpu")))
    before = {name: value.clone() for name, value in task.state_dict().items()}
    images = torch.rand(2, 3, 5, 5)
    expected = task.eval()(images)
    synchronise(task, SimpleNamespace(device=torch.device("cuda")))
    assert isinstance(task[1], nn.SyncBatchNorm)
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())
    torch.testing.assert_close(task.eval()(images), expected)

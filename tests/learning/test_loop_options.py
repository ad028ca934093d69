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

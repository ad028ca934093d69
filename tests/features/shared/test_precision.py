"""--precision: refused where the hardware has no such instructions, told apart where it has."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from usl.core.errors import UsageError  # noqa: E402
from usl.data.collection import Collection  # noqa: E402
from usl.features.embed import embed  # noqa: E402
from usl.features.open_encoder import as_recorded, open_encoder  # noqa: E402
from usl.features.shared import precision  # noqa: E402
from usl.features.space import open_space  # noqa: E402

NETWORKS = ["efficientnet_lite1", "cifar-cld-small"]


@pytest.fixture
def any_hardware(monkeypatch):
    monkeypatch.setattr(precision, "has_instructions", lambda *_: True)


@pytest.fixture
def pictures(make_collection, make_picture):
    return make_collection([make_picture(row, (40, 30)) for row in range(5)])


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("kind", ["bf16", "fp16"])
def test_rows_of_half_precision_are_near_and_kept_apart(any_hardware, pictures, name, kind):
    single, half = embed(pictures, name), embed(pictures, name, precision=kind)
    assert half.computed == 5
    assert half.rows.dtype == np.float32
    assert half.encoder.precision == kind
    assert half.encoder.key != single.encoder.key
    a, b = (found.rows / np.linalg.norm(found.rows, axis=1)[:, None] for found in (single, half))
    assert not np.array_equal(a, b)
    assert (a * b).sum(axis=1).min() > 0.99
    assert embed(pictures, name, precision=kind).computed == 0


@pytest.mark.usefixtures("one_thread")
def test_a_record_brings_the_precision_back(any_hardware, pictures):
    space = open_space(pictures, NETWORKS[1], precision="bf16")
    record = space.record()
    assert record["precision"] == "bf16"
    encoder = as_recorded(open_encoder(NETWORKS[1]), record)
    assert (encoder.key, encoder.least) == (record["key"], 64)
    assert "precision" not in open_space(pictures, NETWORKS[1]).record()


def test_records_of_before_keep_what_they_had(any_hardware):
    encoder = as_recorded(open_encoder(NETWORKS[1]), {"key": "resnet50-v1-0a-0b-f16"})
    assert (encoder.precision, encoder.least) == ("fp16", None)
    encoder = as_recorded(open_encoder(NETWORKS[1]), {"key": "pixels-32-v1"})
    assert (encoder.precision, encoder.least) == ("fp32", None)


@pytest.mark.parametrize("kind", ["bf16", "fp16"])
def test_a_processor_without_instructions_refuses(monkeypatch, pictures, kind):
    monkeypatch.setattr(precision, "has_instructions", lambda *_: False)
    for name in NETWORKS:
        with pytest.raises(UsageError, match=rf"precision: '{name}' cannot compute in {kind} here"):
            embed(pictures, name, precision=kind)


def test_what_has_no_precision_refuses(pictures):
    with pytest.raises(UsageError, match=r"precision: the encoder 'pixels' computes in fp32 alone"):
        embed(pictures, "pixels", precision="bf16")
    given = Collection(np.array(["a"]), np.array(["train"]), features=np.ones((1, 2)), source="f")
    with pytest.raises(UsageError, match="precision: bf16 given, but f holds features"):
        embed(given, precision="bf16")
    with pytest.raises(UsageError, match="precision: 'bf61' given; use fp32, bf16, fp16"):
        embed(pictures, NETWORKS[0], precision="bf61")


def test_what_linux_says_of_a_processor_is_believed(monkeypatch):
    says = {"avx512_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: says, raising=False)
    monkeypatch.setattr(precision.Path, "read_text", lambda self: "flags : sse2 avx2")
    precision.has_instructions.cache_clear()
    try:
        assert not precision.has_instructions("bf16", "cpu")
        monkeypatch.setattr(precision.Path, "read_text", lambda self: "flags : amx_bf16")
        precision.has_instructions.cache_clear()
        assert precision.has_instructions("bf16", "cpu")
        assert not precision.has_instructions("fp16", "cpu")
    finally:
        precision.has_instructions.cache_clear()

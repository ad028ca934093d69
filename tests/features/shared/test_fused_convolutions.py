"""Convolutions and what clips them in one step, against torch's own layers one by one."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
layers = pytest.importorskip("timm.layers")

from torch import nn  # noqa: E402

from usl.features.shared.fused_convolutions import can_fuse, fuse_convolutions  # noqa: E402

CONVOLUTIONS = {
    "1 x 1": lambda: nn.Conv2d(8, 16, 1),
    "without bias": lambda: nn.Conv2d(8, 16, 3, padding=1, bias=False),
    "depthwise, dilated": lambda: nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8),
    "padded as TensorFlow does": lambda: layers.Conv2dSame(8, 8, 3, stride=2, groups=8),
    "and of an even kernel": lambda: layers.Conv2dSame(8, 16, 4, stride=2),
}


@pytest.mark.skipif(not can_fuse(), reason="oneDNN does not compute here")
@pytest.mark.parametrize("activation", [nn.ReLU6, nn.ReLU])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_fused_layers_give_what_the_layers_give(name, activation):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Sequential(CONVOLUTIONS[name](), activation()), nn.Identity())
    maps = 20 * torch.randn(2, 8, 13, 10).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected = network(maps)
        fuse_convolutions(network)
        found = network(maps)
    assert not any(isinstance(layer, nn.Conv2d | nn.ReLU6) for layer in network.modules())
    assert expected.max() > 5.9  # or nothing would be clipped
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)

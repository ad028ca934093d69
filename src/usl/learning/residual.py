"""The basic residual block of He et al. (2016), and the initialisation of its networks.

Source: K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016,
figure 2 and section 4.2 (projection where the shape changes: option B).
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn import functional


class Convolution(nn.Conv2d):  # type: ignore[misc]
    """A convolution that passes over a map of one pixel without a stride: the result is the same.

    With a stride torch 2.14 leaves parts of the weights' gradient unset there, in bfloat16 on
    processors with matrix units (AMX): training differs from run to run, and may end in NaN.
    """

    def forward(self, x: Any) -> Any:
        """Maps [b, inputs, h, w] to [b, outputs, h/s, w/s]."""
        if x.shape[-2:] == (1, 1):
            return functional.conv2d(x, self.weight, self.bias, 1, self.padding)
        return super().forward(x)


class BasicBlock(nn.Module):  # type: ignore[misc]
    """relu(bn(conv3(relu(bn(conv3(x))))) + x); [b, inputs, h, w] to [b, outputs, h/s, w/s]."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = Convolution(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Sequential()  # the identity
        if stride != 1 or inputs != outputs:
            self.shortcut.append(nn.Conv2d(inputs, outputs, 1, stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(outputs))

    def forward(self, x: Any) -> Any:
        """One block."""
        inside = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(inside)) + self.shortcut(x))


class ResNet(nn.Module):  # type: ignore[misc]
    """A stem, stages of basic blocks (stride 2 from the second stage on) and mean pooling.

    Attributes
    ----------
    dim : width of the features, that of the last stage.
    widths : channels of every stage.
    """

    def __init__(self, stem: nn.Conv2d, widths: tuple[int, ...], depth: int) -> None:
        """``depth`` blocks in each stage; ``stem`` is followed by BN and ReLU."""
        super().__init__()
        self.dim, self.widths, self.depth = widths[-1], widths, depth
        self.stem = nn.Sequential(stem, nn.BatchNorm2d(stem.out_channels), nn.ReLU(inplace=True))
        blocks = []
        before = stem.out_channels
        for stage, width in enumerate(widths):
            for block in range(depth):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(BasicBlock(before, width, stride))
                before = width
        self.blocks = nn.Sequential(*blocks)
        initialise(self)

    def forward(self, x: Any) -> Any:
        """Normalised pictures [b, 3, h, w] to features [b, dim]."""
        return self.stages(x)[-1].mean((2, 3))

    def stages(self, x: Any) -> list[Any]:
        """The maps at the end of every stage, [b, width, h, w]; features are the last's mean."""
        maps, x = [], self.stem(x)
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            if number % self.depth == 0:
                maps.append(x)
        return maps


def initialise(network: nn.Module) -> None:
    """Convolutions from N(0, 2 / fan_out) (He et al., ICCV 2015, section 2.2: backward case).

    Batch normalisations keep torch's start: scale 1, shift 0.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            # relu's gain sqrt(2) also for LeakyReLU(0.1), as FixMatch's own code has it
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

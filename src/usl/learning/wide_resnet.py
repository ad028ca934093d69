"""Wide residual networks as FixMatch trains them.

Sources: S. Zagoruyko, N. Komodakis, "Wide residual networks", BMVC 2016, table 1 and figure 1(c);
K. Sohn et al., "FixMatch", NeurIPS 2020, whose code has LeakyReLU(0.1), batch normalisations that
keep 0.999 of their running figures at every step (epsilon 0.001), and a first group whose shortcut
is taken after the activation.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from usl.learning.residual import initialise

STEM = 16  # channels
GROUPS = 3  # of blocks, at full, half and quarter resolution


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """FixMatch's."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=1e-3)


class PreActivationBlock(nn.Module):  # type: ignore[misc]
    """x + conv3(act(bn(conv3(act(bn(x)))))); [b, inputs, h, w] to [b, outputs, h/s, w/s].

    Where the shape changes, x goes through a 1x1 convolution; with ``activate_before_residual``
    it is act(bn(x)) that does.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, activate_before_residual: bool
    ) -> None:
        super().__init__()
        self.activate_before_residual = activate_before_residual
        self.bn1 = batch_norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = batch_norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.relu = nn.LeakyReLU(0.1, inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Any) -> Any:
        """One block."""
        active = self.relu(self.bn1(x))
        inside = self.conv2(self.relu(self.bn2(self.conv1(active))))
        return inside + self.shortcut(active if self.activate_before_residual else x)


class WideResNet(nn.Module):  # type: ignore[misc]
    """WRN-``depth``-``width``: a 3x3 stem, three groups of blocks, BN, activation, mean pooling.

    Attributes
    ----------
    dim : width of the features, 64 times ``width``.
    widths : channels of every group.
    """

    def __init__(self, depth: int, width: int) -> None:
        """``depth`` is 6 n + 4 for n blocks in a group."""
        super().__init__()
        each, rest = divmod(depth - 4, 2 * GROUPS)
        assert rest == 0, "depth must be 6 n + 4"
        self.stem = nn.Conv2d(3, STEM, 3, 1, 1, bias=False)
        blocks = []
        before = STEM
        for group in range(GROUPS):
            outputs = STEM * width << group
            for block in range(each):
                first = block == 0
                stride = 2 if first and group > 0 else 1
                blocks.append(PreActivationBlock(before, outputs, stride, first and group == 0))
                before = outputs
        self.blocks = nn.Sequential(*blocks)
        self.bn = batch_norm(before)
        self.relu = nn.LeakyReLU(0.1, inplace=True)
        self.dim, self.each = before, each
        self.widths = tuple(STEM * width << group for group in range(GROUPS))
        initialise(self)

    def forward(self, x: Any) -> Any:
        """Normalised pictures [b, 3, h, w] to features [b, dim]."""
        return self.stages(x)[-1].mean((2, 3))

    def stages(self, x: Any) -> list[Any]:
        """The maps at the end of every group, the last one after BN and activation.

        They are [b, width, h, w]; the features are the last's mean.
        """
        maps, x = [], self.stem(x)
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            if number % self.each == 0:
                maps.append(x)
        maps[-1] = self.relu(self.bn(x))
        return maps

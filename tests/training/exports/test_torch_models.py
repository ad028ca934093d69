"""Models, preprocessing and encoders as torch modules: what NumPy computes, in float32."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from support import unit  # noqa: E402
from usl.core.errors import UsageError  # noqa: E402
from usl.features.head_encoder import HeadEncoder  # noqa: E402
from usl.features.open_encoder import open_encoder  # noqa: E402
from usl.features.preprocessing import Preprocessing  # noqa: E402
from usl.features.shared.projection import Layer, Projection  # noqa: E402
from usl.learning.backbone import new_backbone, save_backbone  # noqa: E402
from usl.training.contract import FROZEN  # noqa: E402
from usl.training.models import (  # noqa: E402
    MODELS,
    LinearModel,
    MixtureModel,
    NeighborModel,
    SupportModel,
)
from usl.training.shared.torch_models import Fitted, as_module  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
SIZES = [(90, 61), (61, 90), (33, 33), (700, 1100), (1, 40), (32, 32)]


def shares(rng, n, classes):
    found = rng.random((n, classes))
    return found / found.sum(axis=1, keepdims=True)


def models():
    """One model of each kind, and the odd ones among them."""
    rng = np.random.default_rng(0)
    train, weight, bias = (
        unit(rng.normal(size=(60, 9))),
        rng.normal(size=(4, 9)),
        rng.normal(size=4),
    )
    scores = shares(rng, 60, 4)
    yield LinearModel(weight, bias)
    yield NeighborModel(train, scores)
    yield NeighborModel(train[:3], scores[:3], k=10, power=1.0)  # fewer items than neighbours
    mixture = {"weight": weight, "bias": bias, "graph": 0.7, "temperature": 0.4}
    yield MixtureModel(train, scores, **mixture)
    own = {"center": rng.normal(size=9).astype("f"), "projection": rng.normal(size=(9, 5))}
    yield MixtureModel(train, scores, **(mixture | own | {"weight": rng.normal(size=(4, 5))}))
    yield SupportModel(
        rng.normal(size=(9, 6)).astype("f"),
        unit(rng.normal(size=(7, 6))),
        rng.normal(size=7).astype("f"),
        shares(rng, 7, 4).astype("f"),
        0.1,
    )


@pytest.mark.parametrize("model", list(models()), ids=lambda model: type(model).__name__)
def test_every_kind_of_model_gives_the_same_probabilities(model):
    rng = np.random.default_rng(1)
    rows = unit(rng.normal(size=(40, 9))).astype(np.float32)
    if not isinstance(model, NeighborModel):  # all items are as far from zero: any may be taken
        rows[0] = 0
    rows[1] = -getattr(model, "train", rows)[1]  # far from an item: no weight is left
    found = as_module(model).eval()(torch.from_numpy(rows)).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, model.probabilities(rows), atol=1e-5)


def test_no_kind_of_model_is_left_out():
    assert {type(model) for model in models()} == set(MODELS.values())

    class Other:
        pass

    with pytest.raises(UsageError, match="A Other cannot be exported; these can: MixtureModel"):
        as_module(Other())


@pytest.mark.parametrize("name", FROZEN.names())
def test_every_method_on_features_can_be_exported(name, blobs):
    features, classes = blobs
    given = np.where(np.arange(600) < 40, classes, -1)
    model = FROZEN.load(name).fit(features, given, np.ones(600), 6)
    new = unit(features + np.random.default_rng(0).normal(scale=0.2, size=features.shape))
    new = new[:200].astype(np.float32)
    found = as_module(model).eval()(torch.from_numpy(new)).numpy()
    np.testing.assert_allclose(found, model.probabilities(new), atol=1e-4)


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("pca", [None, 5])
def test_fitted_preprocessing(center, standardize, pca):
    rng = np.random.default_rng(2)
    rows = (rng.normal(size=(50, 12)) * 40 + 100).astype(np.float32)
    rows[:, 3] = 7.0  # never varies
    fitted = Preprocessing.fit(rows, center=center, standardize=standardize, pca=pca)
    found = Fitted(fitted)(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(found, fitted.transform(rows), atol=2e-5)


def test_features_of_a_network_keep_their_length():
    fitted = Preprocessing(4, unit=False)
    rows = torch.arange(8.0).reshape(2, 4)
    assert torch.equal(Fitted(fitted)(rows), rows)


@pytest.fixture(params=["pixels", "efficientnet_lite0", "own", "head", "timm"])
def encoder(request, tmp_path):
    if request.param == "own":
        backbone = new_backbone(
            "compact", size=24, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.1), seed=0
        )
        save_backbone(tmp_path / "own.safetensors", backbone)
        return open_encoder(str(tmp_path / "own.safetensors"))
    if request.param in ("head", "timm"):
        timm = pytest.importorskip("timm")
        from usl.features.encoders.timm_model import TimmEncoder

        torch.manual_seed(0)
        network = timm.create_model("test_resnet", pretrained=False, num_classes=0)
        data = {"crop_pct": 0.875, "interpolation": "bicubic", "input_size": (3, 56, 56)}
        made = TimmEncoder("test", "test", network, "0" * 16, "none", data)
        if request.param == "timm":
            return made
        rng = np.random.default_rng(0)
        first = Layer(rng.normal(size=(8, made.dim)).astype("f"), rng.normal(size=8).astype("f"))
        made.head = Projection((first, Layer(rng.normal(size=(5, 8)).astype("f"), relu=True)))
        return HeadEncoder(made)
    return open_encoder(request.param)


def test_every_encoder_as_a_module(encoder):
    rng = np.random.default_rng(0)
    pictures = [
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        for width, height in SIZES
    ]
    preparation = encoder.preparation()
    size = preparation.size
    mean, std = (np.reshape(v, (3, 1, 1)) for v in (preparation.mean, preparation.std))
    rows = []
    for picture in pictures:
        known = {
            "Image": Image,
            "np": np,
            "image": picture,
            "size": size,
            "told": preparation.record(),
        }
        exec(preparation.lines(), known)
        made = ((known["pixels"] - mean) / std).astype(np.float32)
        assert made.shape == (3, size, size)
        wanted = np.asarray(encoder.prepare(picture), dtype=np.float32)
        if wanted.ndim == 1:  # pixels, channels last
            wanted = wanted.reshape(size, size, 3).transpose(2, 0, 1)
        np.testing.assert_allclose(made, wanted, atol=1e-4)
        rows.append(made)
    with torch.inference_mode():
        found = encoder.module()(torch.from_numpy(np.stack(rows))).numpy()
    wanted = encoder.encode(pictures)
    scale = np.abs(wanted.astype(np.float64)).max()
    np.testing.assert_allclose(found, wanted, atol=2e-5 * scale)


def test_a_timm_model_that_is_prepared_otherwise_is_refused(encoder):
    if encoder.name != "test":
        pytest.skip("about timm models")
    encoder._config["crop_mode"] = "border"
    with pytest.raises(UsageError, match=r"'test' cannot be exported\. Those that can: pixels"):
        encoder.preparation()

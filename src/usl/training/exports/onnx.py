"""ONNX: ``model.onnx``, from the prepared picture to the probabilities, in one file.

Beside it lie ``preprocessing.json``, which says how a picture is prepared and what the columns
are, and ``predict.py``, which does it without this package. Every classifier on frozen features
and every network can be exported, neighbours included: their table is part of the file. Where
neighbours tie to the last digit of float32, others may be taken than by ``usl predict``.
"""

from __future__ import annotations

import json
import logging
import shlex
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from usl.core.errors import DataError, UslError, missing_extra
from usl.core.version import __version__
from usl.training.export_model import ExportedModel

MODEL, TOLD, SCRIPT = "model.onnx", "preprocessing.json", "predict.py"
INPUT, OUTPUT = "images", "probabilities"
MOST = 1_900_000_000  # bytes of one ONNX file: Protobuf ends at 2 GiB
CLOSE = 1e-4  # of a probability, between PyTorch's result and ONNX Runtime's
HEAD = '''\
"""Label pictures: python predict.py PICTURE ...; needs numpy, onnxruntime and pillow alone."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

here = Path(__file__).parent
told = json.loads((here / "{told}").read_text("utf-8"))
size, mean, std = told["size"], *np.float32([told["mean"], told["std"]])[..., None, None]
session = onnxruntime.InferenceSession(here / "{model}")

for path in sys.argv[1:]:
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
'''
TAIL = """\
    found = session.run(None, {"images": ((pixels - mean) / std)[None]})[0][0]
    print(path, told["classes"][found.argmax()], f"{found.max():.4f}", sep="\\t")
"""


def write(exported: ExportedModel, out: Path) -> list[str]:
    """Write the model, how to prepare a picture, and a script; the result is run and compared.

    Raises
    ------
    DataError
        the model does not fit into one file, or ONNX Runtime finds other probabilities.
    MissingDependencyError
        torch, onnx, onnxscript or onnxruntime is not installed.
    """
    for package in ("torch", "onnx", "onnxscript", "onnxruntime"):
        if not find_spec(package):
            raise missing_extra(package, "onnx", "The export to ONNX")
    table = sum(np.asarray(one).nbytes for one in exported.model.arrays().values())
    if table > MOST:
        raise DataError(
            f"The {exported.about['method']} model has {table / 1e9:.1f} GB of neighbours, and one "
            "ONNX file holds 2 GB. Train one without them: usl train RUN --method logistic"
        )
    preparation = exported.encoder.preparation()
    network = whole(exported)
    size = preparation.size
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 3, size, size))
    mean, std = (np.array(v).reshape(3, 1, 1) for v in (preparation.mean, preparation.std))
    images = ((pixels - mean) / std).astype(np.float32)
    export(network, images, out / MODEL)
    check(network, images, out / MODEL)
    told = {
        **preparation.record(),
        "input": INPUT,
        "output": OUTPUT,
        "classes": exported.classes,
        **exported.about,
        "usl": __version__,
    }
    text = json.dumps(told, ensure_ascii=False, indent=1) + "\n"
    (out / TOLD).write_text(text, encoding="utf-8")
    (out / SCRIPT).write_text(script(preparation.lines()), encoding="utf-8")
    return [f"Try it, without usl: python {shlex.quote(str(exported.home / SCRIPT))} PICTURE"]


def script(lines: str) -> str:
    """The script with these lines of preparation."""
    body = "".join(f"    {line}\n" for line in lines.splitlines())
    return HEAD.replace("{told}", TOLD).replace("{model}", MODEL) + body + TAIL


def whole(exported: ExportedModel) -> Any:
    """Encoder, preprocessing and classifier as one ``torch.nn.Module``, in evaluation mode."""
    from torch import nn

    from usl.training.shared.torch_models import Fitted, as_module

    parts = [exported.encoder.module(), Fitted(exported.preprocessing), as_module(exported.model)]
    return nn.Sequential(*parts).float().cpu().eval()


def export(network: Any, images: Any, path: Path) -> None:
    """Write an ONNX file that takes any number of pictures at once."""
    import torch

    batch = torch.export.Dim("batch", min=1)
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                (torch.from_numpy(images),),
                path,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: batch},),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except UslError:
        raise
    except Exception as error:  # the exporter raises nearly anything
        first = str(error).strip().split("\n")[0]
        raise DataError(
            f"This network cannot be written as ONNX ({type(error).__name__}: {first}). Export one "
            "on another encoder, such as efficientnet_lite1."
        ) from error
    finally:
        logging.getLogger("torch.onnx").setLevel(level)


def check(network: Any, images: Any, path: Path) -> None:
    """Refuse a file whose probabilities are not those of the network, for one or several images."""
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        wanted = network(torch.from_numpy(images)).numpy()
    for count in (1, len(images)):
        found = session.run(None, {INPUT: images[:count]})[0]
        apart = float(np.abs(found - wanted[:count]).max())
        if not apart <= CLOSE:
            raise DataError(
                f"ONNX Runtime's probabilities differ by {apart:.1g} from PyTorch's, more than "
                f"{CLOSE:g}. Nothing was written. Another version of onnxruntime may do."
            )

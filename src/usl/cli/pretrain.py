"""``usl pretrain``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from usl.cli.shared import Flag, report_unreadable
from usl.console import bars, per_cent, print_json, say


def pretrain(
    source: str,
    /,
    *,
    out: Path,
    method: str = "cld",
    preset: str = "cpu",
    network: str | None = None,
    init: str | None = None,
    size: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    weight_decay: float | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    accumulate: int = 1,
    clip: float | None = None,
    checkpoint_minutes: float = 5.0,
    monitor_epochs: int = 5,
    probe: Flag = False,
    tensorboard: Flag = False,
    resume: Flag = False,
    overwrite: Flag = False,
    json: Flag = False,
    **method_params: Any,
) -> None:
    """Train an encoder of your own on unlabelled images; needs usl[torch].

    Stop it with Ctrl-C at any time and go on with --resume. The result is used as
    --model OUT by embed and select.

    Parameters
    ----------
    source
        As for select. Only the subset train is trained on.
    out
        Folder for the encoder, its checkpoint and its record.
    method
        How to learn without labels. {methods}
    preset
        Recipe of the method: cpu, or one of the literature's (cifar, imagenet).
    network
        compact (made for CPUs), resnet18, wrn28_2, wrn28_8, resnet50; the default is the recipe's
        (cpu: compact).
    init
        Begin with the weights of this encoder.
    size
        Side of the pictures in pixels; the default is the network's.
    epochs
        Passes over the images; the default is the recipe's.
    batch_size
        Images per step; the default is the recipe's, or half the images if there are fewer.
    lr
        Peak learning rate; the default is the recipe's.
    weight_decay
        The default is the recipe's.
    seed
        Of every random draw.
    device
        auto, cpu, cuda or mps. Under torchrun every process takes one device.
    precision
        auto (bfloat16 where the processor has it), 32, bf16 or 16.
    accumulate
        Micro-batches per step, for less memory.
    clip
        Greatest norm of the gradient.
    checkpoint_minutes
        Time between checkpoints.
    monitor_epochs
        Epochs between looks at the representation.
    probe
        Measure nearest-neighbour accuracy on the way. Labels are read for nothing else.
    tensorboard
        Write TensorBoard events too.
    resume
        Go on with the training in --out.
    overwrite
        Replace the training in --out.
    json
        Print the result as JSON.
    """
    from usl.features.contract import require_torch

    require_torch("usl pretrain")
    from usl.evaluation.probe import knn_probe
    from usl.learning.hardware import Hardware
    from usl.pretraining.pretrain import pretrain as pretrain_source

    with bars() as progress:
        done = pretrain_source(
            source,
            out,
            method=method,
            preset=preset,
            network=network,
            init=init,
            size=size,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            weight_decay=weight_decay,
            seed=seed,
            hardware=Hardware(device, precision),
            accumulate=accumulate,
            clip=clip,
            checkpoint_minutes=checkpoint_minutes,
            monitor_epochs=monitor_epochs,
            probe=knn_probe if probe else None,
            tensorboard=tensorboard,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
            **method_params,
        )
    if int(os.environ.get("RANK", "0")):  # under torchrun the first process speaks for all
        return
    report_unreadable(done.info["unreadable"])
    if json:
        print_json({"out": str(done.path), "encoder": str(done.encoder), **done.info})
        return
    settings, result = done.info["settings"], done.info["result"]
    say(
        f"Trained {settings['network']} by {settings['method']} on {done.info['images']:,} images, "
        f"{settings['epochs']} epochs in {done.info['seconds'] / 60:,.1f} minutes."
    )
    say(
        f"Effective rank {result['effective_rank']:.0f}; a changed view finds its own image among "
        f"others in {per_cent(result['retrieval'])}% of cases."
    )
    if "knn_accuracy" in result:
        say(f"Nearest-neighbour accuracy: {per_cent(result['knn_accuracy'])}%.")
    say(f"Next: usl select {source} --budget 40 --model {done.path} --out run")

"""Train an encoder of your own on unlabelled images; needs usl[torch].

Stop it with Ctrl-C at any time and go on with --resume. The result is used as --model OUT by embed
and select.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

from usl.cli.options import verb
from usl.cli.shared import Json, report_unreadable
from usl.console import bars, per_cent, print_json, say
from usl.core.words import counted, quoted
from usl.features.contract import require_torch
from usl.learning.loop_options import LoopOptions
from usl.pretraining.contract import METHODS
from usl.pretraining.pretrain import pretrain as pretrain_source


@verb(
    pretrain_source,
    choice="method",
    kinds=[METHODS] if find_spec("torch") else [],
    also=[LoopOptions],
)
def pretrain(source: str, /, *, probe: bool = False, json: Json = False, **options: Any) -> None:
    """Print how well the encoder tells images apart.

    Parameters
    ----------
    probe : measure nearest-neighbour accuracy on the way. Labels are read for nothing else.
    """
    require_torch("usl pretrain")
    from usl.evaluation.probe import knn_probe

    with bars() as progress:
        done = pretrain_source(
            source, probe=knn_probe if probe else None, **options, progress=progress
        )
    if int(os.environ.get("RANK", "0")):  # under torchrun the first process speaks for all
        return
    report_unreadable(done.info["unreadable"])
    if json:
        print_json({"out": str(done.path), "encoder": str(done.encoder), **done.info})
        return
    settings, result = done.info["settings"], done.info["result"]
    images, epochs = counted(done.info["images"], "image"), counted(settings["epochs"], "epoch")
    say(
        f"Trained {settings['network']} by {settings['method']} on "
        f"{images}, {epochs} in {done.info['seconds'] / 60:,.1f} minutes."
    )
    say(
        f"Effective rank {result['effective_rank']:.0f}; a changed view finds its own image among "
        f"others in {per_cent(result['retrieval'])}% of cases."
    )
    if "knn_accuracy" in result:
        say(f"Nearest-neighbour accuracy: {per_cent(result['knn_accuracy'])}%.")
    start = f"usl select {quoted(source)} --budget 40 --model {quoted(done.path)}"
    say(f"Next: {start} --out run")

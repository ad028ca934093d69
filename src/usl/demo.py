"""``usl demo``: the whole pipeline on 6,000 Fashion-MNIST images that come with the package.

The known answers stand in for the person who labels, and afterwards measure the result. Nothing
else is special: the same functions run on a folder of one's own.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from usl.console import bars, note_step, per_cent, print_table, say
from usl.core.files import write_json
from usl.core.progress import Progress, silent
from usl.data.collection import Collection
from usl.evaluation.compare import Comparison, compare
from usl.evaluation.evaluate import evaluate
from usl.evaluation.truth import known_answers
from usl.report.facts.records import COMPARISON
from usl.report.report import write_report
from usl.run.folder import Run
from usl.run.identity import writing
from usl.run.split_csv import rewrite
from usl.selection.contract import DEFAULT
from usl.selection.start_run import start_run
from usl.training.open_run import open_run
from usl.training.train import train

SOURCE, BUDGET, ENCODER = "builtin:fashion_mnist", 40, "pixels"


def run_demo(out: str | os.PathLike[str], *, seeds: int = 10, seed: int = 0) -> Run:
    """Select 40 of 5,000 images, label them from the answers, train, evaluate, compare, report.

    Parameters
    ----------
    out : run folder to write; one that is there already is replaced.
    seeds : paired seeds of the comparison with USL, random and stratified selection.
    seed : of the run itself.
    """
    began = time.perf_counter()
    with bars() as progress:
        note_step(f"1/5  select  {BUDGET} of 5,000 Fashion-MNIST images by {DEFAULT}, on {ENCODER}")
        run = start_run(
            SOURCE, BUDGET, out, model=ENCODER, seed=seed, overwrite=True, progress=progress
        )
        note_step("2/5  label   from the known answers, in place of a person")
        answer_requests(run)
        note_step("3/5  train   accord from these 40 labels")
        run = train(run, progress=progress)
        figures = evaluate(run, progress=progress)
    print_run(figures)
    say()
    note_step(f"4/5  compare with USL and chance, {seeds} paired seeds")
    with bars() as progress:
        comparison = compare_with_chance(run, seeds, progress)
    print_comparison(comparison)
    say()
    note_step("5/5  report")
    with bars() as progress:
        report = write_report(run, progress=progress)
    say(
        f"This run: {per_cent(figures['test']['accuracy'])}% of {figures['test']['n']:,} test "
        f"images right from {BUDGET} labels."
    )
    say(f"Report: {report}   ({time.perf_counter() - began:.0f} s in all)")
    return run


def answer_requests(run: Run, collection: Collection | None = None) -> None:
    """Fill in the split file as a person would, from the answers of the source."""
    collection, split = collection or run.collection(), run.split()
    assert collection.labels is not None
    answers = dict(zip(collection.ids.tolist(), collection.labels.tolist(), strict=True))
    requested = split.requested()
    rewrite(split.with_labels(requested, [answers[i] for i in split.ids[requested].tolist()]))


def compare_with_chance(run: Run, seeds: int, progress: Progress = silent) -> Comparison:
    """The default, the paper's and two baselines at the run's budget, over paired seeds."""
    opened = open_run(run)
    truth, _ = known_answers(opened)
    classes = np.unique(truth.astype(str), return_inverse=True)[1]
    train_rows, test_rows = opened.subsets == "train", opened.subsets == "test"
    comparison = compare(
        opened.space.features[train_rows],
        classes[train_rows],
        opened.space.features[test_rows],
        classes[test_rows],
        budget=BUDGET,
        methods={DEFAULT: {}, "usl": {}, "random": {}, "stratified": {}},
        seeds=range(seeds),
        progress=progress,
    )
    with writing(run.path, run.identity):
        write_json(run.path / COMPARISON, comparison.record())
    return comparison


def print_run(figures: dict[str, Any]) -> None:
    """The table of the run itself: how many images of each subset are right."""
    picks = figures["picks"]
    found = sum(count > 0 for count in picks["counts"].values())
    say(
        f"{figures['labels']} labels of {found} of {len(picks['counts'])} classes, picked by "
        f"{DEFAULT}; learned by {figures['method']}:"
    )
    say()
    shown = {"train": "the others of the 5,000", "test": "test images, never seen"}
    rows = [
        [name, f"{figures[subset]['n']:,}", per_cent(figures[subset]["accuracy"])]
        for subset, name in shown.items()
    ]
    print_table(["images", "number", "right %"], rows)


def print_comparison(comparison: Comparison) -> None:
    """The table of the comparison: mean and sd over the seeds, and the paired differences."""
    n = len(comparison.values(DEFAULT))
    names = {"stratified": "stratified *"}
    rows = []
    for method in comparison.methods():
        accuracy = 100 * comparison.values(method)
        cells = [f"{accuracy.mean():.1f}", f"{accuracy.std(ddof=1):.1f}" if n > 1 else "-"]
        cells.append(per_cent(comparison.values(method, "coverage").mean()))
        if method == DEFAULT:
            cells.append("")
        else:
            gain = comparison.difference(DEFAULT, method)
            cells.append(f"{100 * gain.mean:+.1f}  [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]")
        rows.append([names.get(method, method), *cells])
    say(f"Test accuracy after {comparison.budget} labels ({comparison.learner}, {n} paired seeds):")
    say()
    header = ["selection", "mean %", "sd", "classes covered %", f"{DEFAULT} gains, 95% interval"]
    print_table(header, rows)
    say()
    say("  * an oracle: it needs every label to draw equal numbers of each class")

"""``usl evaluate``: accuracy of the picks and the classifier, where answers are known.

Only this room reads the ground truth. Accuracies say what they are: *out of sample* for images
the training never saw (subset test, or val), *transductive* for the unlabelled train images, which
it saw without their labels.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.core.files import write_json
from usl.core.progress import Progress, silent
from usl.core.words import quoted
from usl.data.collection import Collection
from usl.evaluation.last_epochs import last_epochs_figures
from usl.evaluation.metrics import balance, classification_figures, coverage
from usl.evaluation.rounds import round_figures
from usl.evaluation.truth import known_answers, strangers
from usl.labeling.answers.audit import accuracy_of_collection, audit_in_words
from usl.labeling.answers.called_now import names_now, parts_now, predictions_now
from usl.labeling.answers.store import Store, store_path
from usl.run.folder import Run
from usl.run.identity import writing
from usl.run.model_changes import settle_models
from usl.run.models import EVALUATION, STAMP, TrainedModel, active_model
from usl.run.picks import picked_ids
from usl.run.split import Split
from usl.run.split_csv import by_people
from usl.training.doubts import known_doubts
from usl.training.models import Model, open_model
from usl.training.open_run import Opened, open_run
from usl.training.predict import judge_points, judge_rows
from usl.training.told import fitted_classes


def evaluate(
    run: Run | str | os.PathLike[str],
    *,
    collection: Collection | None = None,
    source: str | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measure a trained run against known answers; writes and returns ``evaluation.json``.

    Answers come from the source (class folders, a label column), else from labels a person gave
    to val or test images in the split file. Keys: ``test``, ``val`` (out of sample) and ``train``
    (transductive), each as in
    :func:`usl.evaluation.metrics.classification_figures` where there are answers; ``picks``:
    ``coverage``, ``balance`` and ``counts`` per class; ``collection``: ``counts`` per class;
    ``audit``, where people have judged predictions: what it says of all labels, see
    :func:`audit_figures`;
    ``rounds``, of a run with later ones: how right it was before each
    (:func:`usl.evaluation.rounds.round_figures`);
    ``last_epochs``, of a training that has kept them: accuracies, their mean and median;
    ``doubts``: the sentences that the training told about its model.

    Parameters
    ----------
    run : run folder, trained.
    collection : the images, where they live in memory.
    source : where the images are now, if they have moved.

    Raises
    ------
    DataError : the run is not trained, or no answer is known and no audit made.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    trained, model, class_names = open_model(run.path)
    opened = open_run(run, collection=collection, source=source, trained=trained, progress=progress)
    truth, from_source = known_answers(opened)
    names = class_names + sorted(set(truth[truth != None].tolist()) - set(class_names))  # noqa: E711
    numbers = {name: number for number, name in enumerate(names)}
    classes = np.array([numbers.get(name, -1) for name in truth], dtype=np.int64)

    given = by_people(opened.split.sources[opened.split_rows()])
    parts = parts_now(class_names, names_now(run.path))
    predicted = parts[predicted_classes(opened, model, class_names)]
    figures: dict[str, Any] = {
        "method": trained.info["method"],
        "labels": trained.info["labels"],
        "encoder": trained.info["encoder"]["name"],
        "supervision": trained.info["encoder"]["supervision"],
        "truth": "source" if from_source else "split file",
        "doubts": known_doubts(trained.info),
    }
    for subset in ("test", "val", "train"):
        rows = (opened.subsets == subset) & (classes >= 0)
        if subset == "train":
            rows &= ~given
        if rows.any():
            found = classification_figures(classes[rows], predicted[rows], names)
            found["protocol"] = "transductive" if subset == "train" else "out of sample"
            figures[subset] = found
    audit = audit_figures(run, opened.split)
    if audit is not None:
        figures["audit"] = audit
    measured = bool({"test", "val", "train"} & figures.keys())
    if not measured and audit is None:
        raise DataError(
            f"{run.path}: no answers to compare with. They come from class folders or a label "
            "column of the source, named as in your labels, or from labels you give to val or test "
            f"images in split.csv. Or judge some predictions: usl label {run.path} --audit 50."
            + strangers(opened.collection, opened.split, names_now(run.path))
        )
    if measured:
        figures |= last_epochs_figures(opened, trained, classes, names, progress)
    if from_source:
        figures |= pick_figures(opened, classes, names)
        left = (opened.subsets == "train") & (classes >= 0) & ~given
        answers = dict(zip(opened.ids[left].tolist(), truth[left].tolist(), strict=True))
        if rounds := round_figures(run, answers):
            figures["rounds"] = rounds
    write_evaluation(run, trained, figures)
    return figures


def predicted_classes(opened: Opened, model: Model, names: list[str]) -> NDArray[np.int64]:
    """The class of every point, as a number in ``names``.

    Where images are gone or new since the training, those it labelled keep what it said, and the
    model tells the others.
    """
    train, own = opened.subsets == "train", fitted_classes(model)
    if own is None or len(own[0]) == train.sum():
        return judge_points(model, opened.space, train).classes
    found = predictions_now(opened.run.path)
    said = {} if found is None else found.by_id()
    best = judge_rows(model, opened.space.features).classes
    for row in np.flatnonzero(train).tolist():
        label, _ = said.get(str(opened.ids[row]), (None, 0.0))
        best[row] = names.index(label) if label in names else best[row]
    return best


def audit_figures(run: Run, split: Split) -> dict[str, Any] | None:
    """What an audit says of all labels of the train subset; None where nothing is judged.

    ``accuracy`` with the 95% interval ``low`` to ``high`` of ``n`` labels, ``human`` of them a
    person's; ``judged`` predictions, of which ``right`` are right; ``text`` says it in words. See
    :func:`usl.labeling.answers.audit.accuracy_of_collection`.
    """
    if not store_path(run.path).is_file():
        return None
    with Store.open(run.path) as store:
        found = accuracy_of_collection(run, split, store)
    if found is None or not found["judged"]:
        return None
    counts = {name: found[name] for name in ("judged", "right", "unclear", "pending")}
    return {**found["collection"], **counts, "text": " ".join(audit_in_words(found))}


def write_evaluation(run: Run, trained: TrainedModel, figures: dict[str, Any]) -> None:
    """Write the figures into the folder of the model that they are of; and the run's copy."""
    stamped = {**figures, STAMP: trained.info[STAMP]} if STAMP in trained.info else figures
    with writing(run.path, run.identity):
        now = active_model(run.path)
        if now is None or now.path != trained.path or now.info != trained.info:
            raise DataError(
                f"{run.path} was trained anew meanwhile; these figures are of the former model and "
                f"were not written. Evaluate again: usl evaluate {quoted(run.path)}"
            )
        write_json(trained.path / EVALUATION, stamped)
    settle_models(run.path)


def pick_figures(opened: Opened, classes: NDArray[np.int64], names: list[str]) -> dict[str, Any]:
    """Coverage and balance of the picks over the classes of the train subset."""
    train = (opened.subsets == "train") & (classes >= 0)
    present = np.unique(classes[train])
    compact = np.searchsorted(present, classes)
    position = {name: row for row, name in enumerate(opened.ids.tolist())}
    rows = np.array(
        [position[i] for i in picked_ids(opened.run.path) if i in position], dtype=np.int64
    )
    rows = rows[classes[rows] >= 0]
    count = len(present)
    return {
        "picks": {
            "coverage": coverage(compact[rows], count),
            "balance": balance(compact[rows], count),
            "counts": _counts(classes[rows], names),
        },
        "collection": {"counts": _counts(classes[train], names)},
    }


def _counts(classes: NDArray[np.int64], names: list[str]) -> dict[str, int]:
    counts = np.bincount(classes, minlength=len(names))
    return {name: int(count) for name, count in zip(names, counts, strict=True)}

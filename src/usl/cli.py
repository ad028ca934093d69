"""The command line: one thin command per verb; help and options come from the signatures."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from cyclopts import App, Group, Parameter
from cyclopts.config import Env, Toml

from usl import __version__
from usl.console import bars, note, per_cent, plain_warnings, print_json, print_table, say
from usl.core.errors import UslError

EPILOGUE = """\
A first look, on images that come with the package:
  usl demo

Your own images:
  usl select photos --budget 40 --out run   pick 40 of them
  (fill in the label column of run/split.csv)
  usl train run                             learn, and label all the others
  usl report run                            see it: run/report.html"""

PLAIN = Parameter(negative="", show_default=False)  # --overwrite has no --no-overwrite
Flag = Annotated[bool, PLAIN]
Corrupt = Literal["skip", "fail"]


def demo(out: Path = Path("demo-run"), /, *, seeds: int = 20, seed: int = 0) -> None:
    """Run the whole pipeline on images that come with the package, and compare with chance.

    5,000 Fashion-MNIST images, 40 labels, no network, about half a minute on two cores.

    Parameters
    ----------
    out
        Run folder to write; one that is there already is replaced.
    seeds
        Paired seeds of the comparison with random and stratified selection.
    seed
        Of the run itself.
    """
    from usl.demo import run_demo

    run_demo(out, seeds=seeds, seed=seed)


def embed(
    source: str,
    /,
    *,
    model: str = "auto",
    out: Path | None = None,
    on_corrupt: Corrupt = "skip",
    overwrite: Flag = False,
    json: Flag = False,
    dry_run: Flag = False,
) -> None:
    """Compute the features of all images of a source; they are kept in a cache.

    Parameters
    ----------
    source
        Folder, glob, manifest (CSV, JSONL, Parquet), arrays, or builtin:fashion_mnist.
    model
        Encoder: pixels, efficientnet_lite1, efficientnet_lite0, cifar-cld-small, a folder made by
        usl pretrain, a timm model, or ARCH@FILE_OR_URL; auto takes the best that is installed.
    out
        Also write the raw features, with ids and subsets, to this .npz file: a source itself.
    on_corrupt
        What to do with an image that cannot be read.
    overwrite
        Replace the file of --out.
    json
        Print the result as JSON.
    dry_run
        Say what would be done, and do nothing.
    """
    from usl.features.export import check_target, write_features
    from usl.features.plan import plan_embedding

    if dry_run:
        print_plan(plan_embedding(source, model, subset=None), as_json=json)
        return
    check_target(out, overwrite=overwrite)
    from usl.data.open import open_collection
    from usl.features.embed import embed as embed_collection

    with bars() as progress:
        collection = open_collection(source)
        found = embed_collection(collection, model, on_corrupt=on_corrupt, progress=progress)
    report_unreadable([*collection.skipped, *found.skipped])
    if out is not None:
        write_features(out, collection, found)
    if json:
        print_json(
            {
                "encoder": found.encoder.name,
                "supervision": found.encoder.supervision,
                "images": len(found.rows),
                "width": int(found.rows.shape[1]),
                "reused": found.reused,
                "computed": found.computed,
                "seconds": round(found.seconds, 3),
                "unreadable": [list(pair) for pair in found.skipped],
                "out": None if out is None else str(out),
            }
        )
        return
    say(
        f"{len(found.rows):,} images as {found.rows.shape[1]} numbers each by "
        f"{found.encoder.name} (supervision: {found.encoder.supervision}): {found.computed:,} "
        f"computed at {found.images_per_second:,.0f} images/s, {found.reused:,} from the cache."
    )
    if out is not None:
        say(f"Written to {out}.")


def select(
    source: str,
    /,
    *,
    budget: int,
    out: Path,
    method: str = "usl",
    model: str = "auto",
    seed: int = 0,
    overwrite: Flag = False,
    json: Flag = False,
    dry_run: Flag = False,
    on_corrupt: Corrupt = "skip",
    center: bool | None = None,
    standardize: bool | None = None,
    pca: int | None = None,
    **method_params: Any,
) -> None:
    """Pick the images whose labels would teach the most about all the others.

    Only images of the subset train are looked at. A source without subsets is all train.

    Parameters
    ----------
    source
        Folder, glob, manifest (CSV, JSONL, Parquet), embeddings (.npy, .npz, .parquet, .csv), idx,
        CIFAR or MedMNIST files, or builtin:fashion_mnist.
    budget
        How many images you are willing to label (m).
    out
        Run folder to create.
    method
        How to pick. {methods}
    model
        Encoder: pixels, efficientnet_lite1, efficientnet_lite0, cifar-cld-small, a folder made by
        usl pretrain, a timm model, or ARCH@FILE_OR_URL; auto takes the best that is installed.
    seed
        Of every random draw; the same seed gives the same picks.
    overwrite
        Replace the run folder of --out. One that holds your labels is kept beside it.
    json
        Print the result as JSON.
    dry_run
        Say what would be done, and do nothing.
    on_corrupt
        What to do with an image that cannot be read.
    center
        Subtract the mean of the train subset; the default is the encoder's.
    standardize
        Divide by the standard deviation of the train subset; the default is the encoder's.
    pca
        Keep so many principal components; the default is the encoder's.
    """
    if dry_run:
        from usl.features.plan import plan_embedding

        print_plan(plan_embedding(source, model, subset="train", budget=budget), as_json=json)
        return
    from usl.selection.start import start_run

    with bars() as progress:
        run = start_run(
            source,
            budget,
            out,
            method=method,
            model=model,
            seed=seed,
            overwrite=overwrite,
            on_corrupt=on_corrupt,
            center=center,
            standardize=standardize,
            pca=pca,
            progress=progress,
            **method_params,
        )
    encoder, picked = run.info["encoder"], run.info["selection"]
    report_unreadable([*run.info["source"]["unreadable"], *encoder["unreadable"]])
    advise_better_encoder(encoder["name"])
    if json:
        print_json({"run": str(run.path), **run.info})
        return
    total = run.info["source"]["subsets"]["train"]
    oracle = " It has read the answers: a yardstick, not a selection." if picked["oracle"] else ""
    say(
        f"Picked {picked['budget']:,} of {total:,} images with {picked['method']} on "
        f"{encoder['name']} features (supervision: {encoder['supervision']}).{oracle}"
    )
    if (run.path / "encoder.safetensors").is_file():
        say(f"Trained the encoder, too: --model {run.path} uses it.")
    say(
        f"Next: fill in the label column of {run.path / 'split.csv'}, rows 2 to "
        f"{picked['budget'] + 1}, then: usl train {run.path}"
    )


def train(
    run: Path,
    /,
    *,
    method: str = "label_spreading",
    seed: int = 0,
    source: str | None = None,
    model: str | None = None,
    json: Flag = False,
    **method_params: Any,
) -> None:
    """Learn from the labels of a run and label every other image of its collection.

    Parameters
    ----------
    run
        Run folder, with labels filled in.
    method
        How to learn. {methods}
    seed
        Of every random draw.
    source
        Where the images are now, if they have moved.
    model
        Another encoder than the one the selection used.
    json
        Print the result as JSON.
    """
    from usl.training.train import train as train_run

    with bars() as progress:
        done = train_run(
            run,
            method=method,
            seed=seed,
            source=source,
            model=model,
            progress=progress,
            **method_params,
        )
    trained = done.info["training"]
    report_unreadable(trained["encoder"]["unreadable"])
    if json:
        print_json({"run": str(done.path), **trained})
        return
    passed_on = f" (and {n:,} passed on from them)" if (n := trained["propagated"]) else ""
    say(
        f"Trained {trained['method']} on {trained['labels']:,} labels{passed_on} of "
        f"{len(trained['classes'])} classes and {trained['images']:,} images."
    )
    say(f"A label for every image: {done.path / 'predictions.csv'}")
    say(f"Next: usl report {done.path}   (and, where answers are known: usl evaluate {done.path})")


def predict(
    run: Path,
    source: str,
    /,
    *,
    out: Path,
    overwrite: Flag = False,
    json: Flag = False,
) -> None:
    """Label images that are not part of a run, with the model of that run.

    Parameters
    ----------
    run
        Run folder, trained.
    source
        The new images: anything select takes.
    out
        File to write, .csv or .parquet: a label and its probability for every image, the surest
        first.
    overwrite
        Replace that file.
    json
        Print the result as JSON.
    """
    from collections import Counter

    from usl.training.predict import predict as predict_source

    with bars() as progress:
        found = predict_source(run, source, out=out, overwrite=overwrite, progress=progress)
    report_unreadable(found.skipped)
    counts = dict(Counter(found.labels).most_common())
    if json:
        print_json({"out": str(out), "images": len(found.ids), "labels": counts})
        return
    print_table(["label", "images"], [[name, f"{count:,}"] for name, count in counts.items()])
    say(f"A label for each of {len(found.ids):,} images: {out}")


def evaluate(run: Path, /, *, source: str | None = None, json: Flag = False) -> None:
    """Measure a trained run where answers are known: class folders, a label column, test labels.

    Parameters
    ----------
    run
        Run folder, trained.
    source
        Where the images are now, if they have moved.
    json
        Print the result as JSON.
    """
    from usl.data.run import EVALUATION
    from usl.evaluation.evaluate import evaluate as evaluate_run

    with bars() as progress:
        figures = evaluate_run(run, source=source, progress=progress)
    if json:
        print_json(figures)
        return
    say(
        f"{figures['method']} on {figures['labels']} labels, {figures['encoder']} features "
        f"(supervision: {figures['supervision']})"
    )
    rows = [
        [name, f"{found['n']:,}", per_cent(found["accuracy"]), per_cent(found["macro_f1"])]
        for subset in ("test", "val", "train")
        if (found := figures.get(subset))
        for name in [f"{subset} ({found['protocol']})"]
    ]
    print_table(["subset", "images", "accuracy %", "macro-F1 %"], rows)
    if "picks" in figures:
        picks = figures["picks"]
        say(
            f"Picks: {per_cent(picks['coverage'])}% of the classes covered, balance "
            f"{picks['balance']:.3f} (1 is equal numbers of every class)"
        )
    say(f"Per class and confusion: {run / EVALUATION}")


def pretrain(
    source: str,
    /,
    *,
    out: Path,
    method: str = "cld",
    preset: str = "cpu",
    network: str = "compact",
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
        compact (made for CPUs), resnet18, wrn28_2, wrn28_8, resnet50.
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
    from usl.features.encoder import require_torch

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


def report(
    run: Path,
    /,
    *,
    source: str | None = None,
    out: Path | None = None,
    json: Flag = False,
) -> None:
    """Write one HTML page that shows the picks, the map, the classes and the figures of a run.

    Parameters
    ----------
    run
        Run folder.
    source
        Where the images are now, if they have moved.
    out
        File to write; the default is report.html in the run folder.
    json
        Print the result as JSON.
    """
    from usl.evaluation.report import write_report

    with bars() as progress:
        path = write_report(run, source=source, out=out, progress=progress)
    if json:
        print_json({"report": str(path)})
    else:
        say(f"Report: {path}")


def print_plan(plan: dict[str, Any], *, as_json: bool) -> None:
    """Show what a dry run found."""
    if as_json:
        print_json(plan)
        return
    say("Nothing is done; this is the plan.")
    print_table(["what", ""], [[name.replace("_", " "), f"{plan[name]}"] for name in plan])


def report_unreadable(skipped: Sequence[Sequence[str]]) -> None:
    """Name the images that could not be read, the first few in full."""
    if not skipped:
        return
    note(f"{len(skipped)} image{'s' if len(skipped) > 1 else ''} could not be read and left out:")
    for image_id, reason in list(skipped)[:5]:
        note(f"  {image_id}: {reason}")
    if len(skipped) > 5:
        note(f"  and {len(skipped) - 5} more (all are in run.json)")


def advise_better_encoder(name: str) -> None:
    """Say plainly when features are only pixels because nothing better is installed."""
    if name != "pixels":
        return
    from usl.features.open import BETTER_ENCODER_ADVICE, best_installed

    if best_installed() == "pixels":
        note(f"Note: {BETTER_ENCODER_ADVICE}, then the same command again.")


def with_method(
    command: Callable[..., None],
    room: str,
    functions: str | tuple[str, ...],
    shared: Sequence[str],
    chosen: str,
) -> Callable[..., None]:
    """The command with the options of one method, read from the signature of its function."""
    from usl.core.methods import function_of, load_method, method_names

    module = load_method(room, functions, chosen)
    function = function_of(module, functions)
    group = Group(f"Parameters of {chosen}", sort_key=9)
    signature = inspect.signature(command, eval_str=True)
    parameters = [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    parameters += options_of(module, function, shared, group)
    known_options = {parameter.name for parameter in parameters}
    if function == "build" and room == "usl.training":
        network = importlib.import_module("usl.training.network")
        more = options_of(network, "train_network", (), Group("Training a network", sort_key=10))
        parameters += [option for option in more if option.name not in known_options]

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        command(*args, **kwargs)

    known = ", ".join(method_names(room, functions))
    wrapped.__doc__ = (command.__doc__ or "").replace(
        "{methods}",
        f"One of: {known}; or the path of a .py file. Its options: --method NAME --help.",
    )
    wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapped


def options_of(
    module: Any, function: str, shared: Sequence[str], group: Group
) -> list[inspect.Parameter]:
    """The options a function's keyword-only parameters make, with the help of its docstring."""
    from usl.core.methods import method_parameters, parameter_help

    helps = parameter_help(getattr(module, function))
    options = []
    for name, parameter in method_parameters(module, function, shared).items():
        if not is_option(parameter.annotation):
            continue  # an array: from Python only
        about = helps.get(name, "")
        # a preset may switch a flag on, so each can be switched off
        flag = parameter.annotation in (bool, bool | None)
        off = f"--no-{name.replace('_', '-')}" if flag else ""
        described = Parameter(group=group, help=about[:1].upper() + about[1:], negative=off)
        options.append(parameter.replace(annotation=Annotated[parameter.annotation, described]))
    return options


def is_option(annotation: Any) -> bool:
    """Whether a value of this type can be typed on a command line."""
    if get_origin(annotation) is Literal or annotation in (int, float, str, bool, type(None)):
        return True
    return bool(get_args(annotation)) and all(is_option(part) for part in get_args(annotation))


def build(tokens: Sequence[str]) -> App:
    """The app for one command line: the options of ``--method``'s method are part of it."""
    app = App(
        name="usl",
        help="Choose which few images of an unlabelled collection to label, then learn from them.",
        help_epilogue=EPILOGUE,
        version=__version__,
        help_format="plaintext",
        suppress_keyboard_interrupt=False,
        default_parameter=Parameter(show_env_var=False),  # docs/quickstart.md names the scheme
        config=[Env("USL_"), Toml("usl.toml", must_exist=False, allow_unknown=False)],
    )
    commands: tuple[Callable[..., None], ...]
    commands = (
        demo,
        embed,
        _select(tokens),
        _train(tokens),
        predict,
        evaluate,
        report,
        _pretrain(tokens),
    )
    for position, command in enumerate(commands):
        app.command(
            command,
            name=command.__name__,
            sort_key=position,
            help_format="markdown",  # wraps anew; the top page loads faster without it
            help_epilogue="",
        )
    return app


def _select(tokens: Sequence[str]) -> Callable[..., None]:
    if "select" not in tokens[:1]:
        return select
    from usl.selection.contract import FUNCTION, ROOM, SHARED

    return with_method(select, ROOM, FUNCTION, SHARED, _chosen(tokens, "usl"))


def _train(tokens: Sequence[str]) -> Callable[..., None]:
    if "train" not in tokens[:1]:
        return train
    from usl.core.methods import method_names
    from usl.features.encoder import require_torch
    from usl.training.contract import FUNCTIONS, NETWORK_FUNCTION, ROOM, SHARED

    chosen = _chosen(tokens, "label_spreading")
    if chosen in method_names(ROOM, NETWORK_FUNCTION):
        require_torch(f"The method {chosen}")
    return with_method(train, ROOM, FUNCTIONS, SHARED, chosen)


def _pretrain(tokens: Sequence[str]) -> Callable[..., None]:
    if "pretrain" not in tokens[:1] or not find_spec("torch"):
        return pretrain
    from usl.pretraining.contract import FUNCTION, ROOM, SHARED

    return with_method(pretrain, ROOM, FUNCTION, SHARED, _chosen(tokens, "cld"))


def _chosen(tokens: Sequence[str], default: str) -> str:
    """The value of ``--method`` on the command line."""
    for position, token in enumerate(tokens):
        if token == "--method" and position + 1 < len(tokens):
            return tokens[position + 1]
        if token.startswith("--method="):
            return token.partition("=")[2]
    return default


def main(tokens: Sequence[str] | None = None) -> int:
    """Run one command line; the exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    tokens = list(sys.argv[1:] if tokens is None else tokens)
    try:
        with plain_warnings():
            build(tokens)(tokens)
    except UslError as error:
        note(f"Error: {error}")
        return error.exit_code
    except KeyboardInterrupt as stopped:
        note(str(stopped) or "Stopped. Nothing is half-written; features computed so far are kept.")
        return 130
    except BrokenPipeError:  # the reader of our output has gone
        return 1
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

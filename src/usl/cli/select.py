"""``usl select``."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from usl.cli.shared import Corrupt, Flag, print_plan, report_unreadable
from usl.console import bars, note, print_json, say

LIMITS = Parameter(group=Group("Constraints", sort_key=8), negative="", show_default=False)


def select(
    source: str,
    /,
    *,
    budget: int,
    out: Path,
    method: str = "quorum",
    model: str = "auto",
    seed: int = 0,
    overwrite: Flag = False,
    json: Flag = False,
    dry_run: Flag = False,
    on_corrupt: Corrupt = "skip",
    center: bool | None = None,
    standardize: bool | None = None,
    pca: int | None = None,
    memory: str | None = None,
    scratch: Path | None = None,
    resume: Annotated[bool | None, Parameter(show_default=False)] = None,
    exclude: Annotated[Path | None, LIMITS] = None,
    include: Annotated[Path | None, LIMITS] = None,
    collapse_duplicates: Annotated[bool | float, LIMITS] = False,
    groups: Annotated[Path | None, LIMITS] = None,
    quota: Annotated[list[str] | None, LIMITS] = None,
    min_distance: Annotated[float | None, LIMITS] = None,
    **method_params: Any,
) -> None:
    """Pick the images whose labels would teach the most about all the others.

    Only images of the subset train are looked at. A source without subsets is all train.

    Parameters
    ----------
    source
        Folder, glob, manifest (CSV, JSONL, Parquet), embeddings (.npy, .npz, .parquet, .csv, or a
        folder of .npy or .parquet shards), idx, CIFAR or MedMNIST files, or builtin:fashion_mnist.
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
    memory
        Most memory to take, such as 4GB; tables that do not fit lie in files. The picks are the
        same.
    scratch
        Folder for such files; the default is in the cache.
    resume
        Go on from what the same command had finished when it was stopped, and keep what is
        finished. The default does so above 100,000 images.
    exclude
        Images never to pick: a file with one id per line, or a table with a column image_id.
    include
        Images to request in any case, as part of the budget: such a file.
    collapse_duplicates
        Of images nearer to each other than this, leave out all but one; alone: 0.1.
    groups
        Table with the columns image_id and group, for --quota.
    quota
        Number of picks of a group, NAME=COUNT, once for each; or equal, or proportional.
    min_distance
        Least distance between two picks in the feature space, 0 to 2.
    """
    from usl.selection.constraints.quotas import parse_quotas
    from usl.selection.constraints.select_within import Constraints

    given: dict[str, Any] = {
        "exclude": exclude,
        "include": include,
        "collapse_duplicates": collapse_duplicates or None,
        "groups": groups,
        "quotas": parse_quotas(quota or ()),
        "min_distance": min_distance,
    }
    given = {name: value for name, value in given.items() if value is not None}
    constraints = Constraints(**given) if given else None
    if dry_run:
        from usl.selection.dry_run import plan_run

        plan = plan_run(
            source,
            budget,
            method=method,
            model=model,
            pca=pca,
            memory=memory,
            constraints=constraints,
            **method_params,
        )
        print_plan(plan, as_json=json)
        return
    from usl.run.split import first_rows
    from usl.selection.start_run import start_run

    kept_before = _kept(out)
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
            memory=memory,
            scratch=scratch,
            resume=resume,
            constraints=constraints,
            progress=progress,
            **method_params,
        )
    for kept in sorted(_kept(out) - kept_before):
        note(f"Note: the former run has a person's changes in it and is kept as {kept}.")
    encoder, picked = run.info["encoder"], run.info["selection"]
    report_unreadable([*run.info["source"]["unreadable"], *encoder["unreadable"]])
    advise_better_encoder(encoder["name"])
    if json:
        print_json({"run": str(run.path), **run.info})
        return
    total = run.info["source"]["subsets"]["train"] - len(encoder["unreadable"])
    oracle = " It has read the answers: a yardstick, not a selection." if picked["oracle"] else ""
    say(
        f"Picked {picked['budget']:,} of {total:,} images with {picked['method']} on "
        f"{encoder['name']} features (supervision: {encoder['supervision']}).{oracle}"
    )
    if picked.get("constraints", {}).get("near_duplicates"):
        say(f"Left out as near-duplicates: {picked['constraints']['near_duplicates']:,} images.")
    if (run.path / "encoder.safetensors").is_file():
        say(f"Trained the encoder, too: --model {run.path} uses it.")
    say(f"Next: usl label {run.path} --classes NAME,NAME   (or fill in the label column of")
    rows = first_rows(picked["budget"])
    say(f"{run.path / 'split.csv'}, {rows}), then: usl train {run.path}")


def _kept(out: Path) -> set[Path]:
    """Former runs that were kept beside ``out``."""
    return set(out.parent.glob(f"{glob.escape(out.name)}.labeled-*"))


def advise_better_encoder(name: str) -> None:
    """Say plainly when features are only pixels because nothing better is installed."""
    if name != "pixels":
        return
    from usl.features.open_encoder import BETTER_ENCODER_ADVICE, best_installed

    if best_installed() == "pixels":
        note(f"Note: {BETTER_ENCODER_ADVICE}, then the same command again.")

"""CVAT: XML 1.1 ("CVAT for images") or ImageNet's class folders in a zip, both ways.

Only image tags are read; boxes and tracks are passed over. A tag whose source is ``auto`` is a
machine's and no answer, one of ``semi-auto`` is swept. ImageNet archives of older versions, which
put the class before the file name, are understood. CVAT matches images by file name: give it the
pictures under the names of ``images/``.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO, Literal
from xml.parsers import expat

from usl.core.errors import DataError, UsageError
from usl.core.words import counted, verb_for
from usl.data.class_folders import split_classes, without_class
from usl.data.decode import EXTENSIONS
from usl.labeling.exchange.contract import Export, Given, class_list, import_command
from usl.labeling.exchange.names import class_folders, class_of
from usl.labeling.exchange.xml_text import attribute
from usl.run.split_csv import SWEPT

PICTURES = True
SUFFIX = ""

ANNOTATIONS, ARCHIVE, LABELS = "annotations.xml", "imagenet.zip", "labels.json"
SOURCES = {"human": "manual", SWEPT: "semi-auto"}  # by CVAT's words; a model's are "auto"
CHUNK = 1 << 20
SMALL_LIST, MOST_TIMES = 16 << 20, 50  # bytes unpacked; beyond, times the archive's own


def write(
    export: Export,
    out: Path,
    *,
    form: Literal["xml", "folders"] = "xml",
    classes: str | None = None,
    predictions: bool = False,
    link: bool = False,
) -> list[str]:
    """Write the pictures, the labels there are, and the classes for CVAT's label editor.

    Parameters
    ----------
    form : ``xml`` has every image and is for labelling; ``folders`` is an ImageNet archive of the
        labelled images alone.
    classes : classes to offer first ("cat,dog"), besides those the run knows.
    predictions : pre-annotate with the model's labels, where the run is trained.
    link : link to the pictures instead of copying them.
    """
    offered = class_list(export, classes)
    if form == "folders":
        return _write_archive(export, out)
    offered += sorted({i.prediction for i in export.items if i.prediction} - set(offered))
    labels = [{"name": name, "type": "tag", "attributes": []} for name in offered]
    (out / LABELS).write_text(json.dumps(labels, ensure_ascii=False, indent=1), encoding="utf-8")
    (out / "images").mkdir()
    pictures = export.shown
    with open(out / ANNOTATIONS, "w", encoding="utf-8", newline="") as handle:
        handle.write(_head(offered, len(export.items)))
        for index, item in enumerate(export.items):
            name = pictures.name(index)
            pictures.put(index, out / "images" / name, link=link)
            width, height = pictures.size(index)
            guess = item.prediction if predictions else None
            label, source = item.label or guess, SOURCES.get(item.source, "auto")
            tag = f'    <tag label={attribute(label)} source="{source}"></tag>\n' if label else ""
            handle.write(
                f'  <image id="{index}" name={attribute(name)} width="{width}" '
                f'height="{height}">\n{tag}  </image>\n'
            )
            export.progress(index + 1, len(export.items), "images")
        handle.write("</annotations>\n")
    home = export.home
    return [
        f"Create a task in CVAT; under Labels, Raw, paste {home / LABELS}.",
        f"Give it the files of {home / 'images'}.",
        f"Labels that are there already: Upload annotations, CVAT 1.1, {home / ANNOTATIONS}.",
        "When done, Export task dataset as 'CVAT for images 1.1' (or 'ImageNet 1.0' with images), "
        f"then: {import_command(export, 'FILE.zip')}",
    ]


def read(path: Path) -> list[Given]:
    """Read ``annotations.xml``, alone, in a folder or in a zip, or a zip of class folders."""
    path = path / ANNOTATIONS if path.is_dir() else path
    try:
        if path.suffix.lower() != ".zip":
            with open(path, "rb") as handle:
                return _read_xml(handle, str(path))
        with zipfile.ZipFile(path) as archive:
            name = _annotations_in(archive)
            if name is None:
                return _read_folders(archive, path)
            entry = archive.getinfo(name)
            _check_size(path, entry.file_size)
            with archive.open(entry) as handle:
                return _read_xml(handle, f"{path}, {name}")
    except DataError:
        raise
    except Exception as error:  # a damaged archive raises nearly anything
        raise DataError(f"{path}: cannot be read ({error}). Export it from CVAT again.") from error


def recognizes(path: Path) -> bool:
    """Tell XML with CVAT's root, or a zip that holds it or class folders of images."""
    path = path / ANNOTATIONS if path.is_dir() else path
    if path.suffix.lower() == ".xml" and path.is_file():
        with open(path, "rb") as handle:
            return b"<annotations" in handle.read(4096)
    if path.suffix.lower() != ".zip" or not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return _annotations_in(archive) is not None or any(_images_in(archive))
    except Exception:  # a damaged directory raises nearly anything; reading it says what is wrong
        return True


def _check_size(path: Path, unpacked: int) -> None:
    """Refuse a list of images that is far larger unpacked than such lists are."""
    packed = path.stat().st_size
    if unpacked > max(SMALL_LIST, MOST_TIMES * packed):
        raise DataError(
            f"{path}: {packed:,} bytes that hold a list of {unpacked:,}. It is damaged, or made to "
            "fill the memory. Export it from CVAT again."
        )


def _head(classes: list[str], n: int) -> str:
    labels = "".join(
        f"        <label><name>{attribute(name)[1:-1]}</name><type>tag</type>"
        "<attributes></attributes></label>\n"
        for name in classes
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
        f"  <meta>\n    <task>\n      <size>{n}</size>\n      <mode>annotation</mode>\n"
        f"      <labels>\n{labels}      </labels>\n    </task>\n  </meta>\n"
    )


def _write_archive(export: Export, out: Path) -> list[str]:
    """Class folders of the labelled images in a zip, the same bytes whenever it is made."""
    labelled = [index for index, item in enumerate(export.items) if item.label]
    if not labelled:
        raise UsageError(
            "form: folders holds labelled images alone, and none of these has a label. Use the "
            "form xml, or export what is labeled."
        )
    folders = class_folders(sorted({export.items[i].label or "" for i in labelled}))
    pictures = export.shown
    with zipfile.ZipFile(out / ARCHIVE, "w") as archive:
        for done, index in enumerate(labelled, start=1):
            loose = out / "picture"
            pictures.put(index, loose)
            folder = folders[export.items[index].label or ""]
            entry = zipfile.ZipInfo(f"{folder}/{pictures.name(index)}")
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, loose.read_bytes())
            loose.unlink()
            export.progress(done, len(labelled), "images")
    left = len(export.items) - len(labelled)
    note = f"{counted(left, 'image')} without a label {verb_for(left, 'is', 'are')} left out."
    return [
        *([note] if left else []),
        f"In CVAT, import {export.home / ARCHIVE} as 'ImageNet 1.0'.",
    ]


def _read_xml(handle: IO[bytes], name: str) -> list[Given]:
    """Follow the elements as they come; no tree is built, no document type is accepted."""
    given: list[Given] = []
    found: list[tuple[str, str]] = []  # label and source of the open image's tags
    image: list[str] = []
    parser = expat.ParserCreate()

    def begin(element: str, attributes: dict[str, str]) -> None:
        if element == "image":
            image[:] = [attributes.get("name", "")]
            found.clear()
        elif element == "tag" and image:
            found.append((attributes.get("label", "").strip(), attributes.get("source", "")))

    def end(element: str) -> None:
        if element == "image" and image:
            where = f"{name}, line {parser.CurrentLineNumber}"
            label, why = _verdict(found)
            swept = {source for _, source in found} == {SOURCES[SWEPT]}
            given.append(Given(where, image[0], label=label, why=why, is_file=True, swept=swept))
            image.clear()

    def refuse(*_: object) -> None:
        raise DataError(f"{name}: declares a document type, which CVAT's files do not. Refused.")

    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.StartDoctypeDeclHandler = refuse
    try:
        while chunk := handle.read(CHUNK):
            parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise DataError(f"{name}: not valid XML ({error}). Export it from CVAT again.") from error
    if not given:
        raise DataError(f"{name}: lists no images. Export as 'CVAT for images 1.1'.")
    return given


def _verdict(tags: list[tuple[str, str]]) -> tuple[str | None, str]:
    """The one label a person gave, or why there is none."""
    labels = list(dict.fromkeys(label for label, source in tags if label and source != "auto"))
    if len(labels) == 1:
        return labels[0], ""
    if labels:
        return None, f"{len(labels)} tags: {', '.join(labels)}"
    return None, "a machine's tag" if tags else "no tag"


def _read_folders(archive: zipfile.ZipFile, path: Path) -> list[Given]:
    names = _images_in(archive)
    if not names:
        raise DataError(
            f"{path}: holds neither {ANNOTATIONS} nor class folders of images. Export as 'CVAT for "
            "images 1.1', or as 'ImageNet 1.0' with images."
        )
    given = []
    classes = split_classes([name.as_posix() for name in names])
    for name, (folder, file) in zip(names, classes, strict=True):
        label = None if folder is None else class_of(folder)
        given.append(
            Given(
                f"{path}, {name}",
                file,
                label=label,
                why="" if label else without_class(name.as_posix()),
                is_file=True,
                also=name.name.removeprefix(f"{folder}_"),
            )
        )
    return given


def _annotations_in(archive: zipfile.ZipFile) -> str | None:
    return next((n for n in archive.namelist() if PurePosixPath(n).name == ANNOTATIONS), None)


def _images_in(archive: zipfile.ZipFile) -> list[PurePosixPath]:
    """The images below folders; nothing is unpacked."""
    names = [PurePosixPath(name) for name in archive.namelist()]
    return [
        name
        for name in names
        if len(name.parts) > 1
        and name.name.lower().endswith(EXTENSIONS)
        and not name.name.startswith(".")
        and name.parts[0] != "__MACOSX"
    ]

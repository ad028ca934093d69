"""The labelling interface of a Label Studio project, as far as a run can answer its question.

The run answers one question: which class an image has. So there must be one ``Choices`` for an
``Image`` that takes a single choice; other controls, a comment say, are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

from usl.core.errors import DataError
from usl.core.methods import listed
from usl.labeling.exchange.studio_tasks import LABEL

SINGLE = ("single", "single-radio")  # of the attribute ``choice``, which is single by default
FIX = (
    'Use the interface of usl export --to label_studio: <Choices name="label" toName="image" '
    'choice="single"> for an <Image name="image" value="$image"/>.'
)


@dataclass(frozen=True)
class Interface:
    """The question: ``control`` is the name of the Choices, ``picture`` that of the Image."""

    control: str
    picture: str
    choices: tuple[str, ...]

    def choice(self, name: str) -> dict[str, object]:
        """A result that chooses one of them."""
        about = {"from_name": self.control, "to_name": self.picture, "type": "choices"}
        return {**about, "value": {"choices": [name]}}


@dataclass
class _Found:
    images: list[str] = field(default_factory=list)
    controls: dict[str, dict[str, str]] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)


def read_interface(config: str) -> Interface:
    """The question of a labelling configuration, XML as Label Studio sends it.

    A choice is called as annotations call it: by its ``alias``, where it has one.

    Raises :class:`DataError` for one that asks something else.
    """
    found = _parsed(config)
    asked = {
        name: given for name, given in found.controls.items() if given.get("toName") in found.images
    }
    if len(asked) > 1 and LABEL in asked:
        asked = {LABEL: asked[LABEL]}
    if not asked:
        raise DataError(f"The labelling interface has no Choices for an Image. {FIX}")
    if len(asked) > 1:
        raise DataError(
            f"The labelling interface has {len(asked)} Choices for an Image: "
            f"{listed(sorted(asked))}. Call the one that the run answers {LABEL!r}."
        )
    name, given = next(iter(asked.items()))
    if given.get("choice", SINGLE[0]) not in SINGLE:
        raise DataError(
            f"The Choices {name!r} take several answers (choice={given['choice']!r}); an image of "
            f"a run has one class. {FIX}"
        )
    choices = tuple(dict.fromkeys(filter(None, found.choices[name])))
    if not choices:
        raise DataError(f"The Choices {name!r} offer nothing to choose from. {FIX}")
    return Interface(name, given["toName"], choices)


def _parsed(config: str) -> _Found:
    """Follow the elements as they come; no tree is built, no document type is accepted."""
    found = _Found()
    parser = expat.ParserCreate()

    def begin(element: str, given: dict[str, str]) -> None:
        if element == "Image":
            found.images.append(given.get("name", ""))
        elif element == "Choices":
            name = given.get("name", "")
            found.controls[name] = given
            found.choices[name] = []
            found.open.append(name)
        elif element == "Choice" and found.open:
            name = given.get("alias") or given.get("value", "")
            found.choices[found.open[-1]].append(name)

    def end(element: str) -> None:
        if element == "Choices":
            found.open.pop()

    def refuse(*_: object) -> None:
        raise DataError("The labelling interface declares a document type. Refused.")

    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(config, True)
    except (expat.ExpatError, UnicodeError) as error:
        raise DataError(f"The labelling interface is not valid XML ({error}).") from error
    return found
